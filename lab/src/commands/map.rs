//! `dimmer-lab map`: a guest's memory on a terminal, live.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::map::act::Sockets;
use crate::map::deed::Deed;
use crate::map::draw::geometry::Geometry;
use crate::map::draw::{Palette, draw};
use crate::map::keys::{Effect, press};
use crate::map::view::{Message, View};
use crate::map::watch::{Look, Watch};
use crate::picture::is_coloured;
use clap::Args;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use ratatui::layout::Rect;

/// How long a key is waited for before a look at what else there is to draw.
const TICK: Duration = Duration::from_millis(50);
/// What ends a program from outside; the terminal is put back all the same.
const SIGNALS: [i32; 3] =
    [signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP, signal_hook::consts::SIGINT];

/// `dimmer-lab map`
///
/// Colours are left out where NO_COLOR is set.
#[derive(Debug, Args)]
pub struct Map {
    /// The machine's agent socket, as given to `dimmer run --agent-socket`.
    #[arg(long, value_name = "PATH")]
    agent_socket: PathBuf,
    /// The machine's API socket, as given to `dimmer run --api-socket`.
    #[arg(long, value_name = "PATH")]
    api_socket: PathBuf,
}

/// What is new.
enum News {
    /// From the machine and its guest.
    Look(Look),
    /// What came of a deed.
    End(Deed, Message),
}

impl Map {
    /// Draws until `q`; exit status 2 without a terminal.
    pub fn run(&self) -> super::Result {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(
                "map: standard input and output must be a terminal; `dimmer-lab layout` needs none".into()
            );
        }
        let sockets = Sockets { api: self.api_socket.clone(), agent: self.agent_socket.clone() };
        let (sender, news) = channel();
        let watch = Watch::new(sockets.clone())?;
        let to = sender.clone();
        thread::spawn(move || watch.run(|look| to.send(News::Look(look)).is_ok()));
        let ended = Arc::new(AtomicBool::new(false));
        for signal in SIGNALS {
            signal_hook::flag::register(signal, Arc::clone(&ended))?;
        }
        // Its hook for panics puts the terminal back, too.
        let mut terminal = ratatui::try_init()?;
        let shown = Screen { sockets, sender, news, ended }.show(&mut terminal);
        ratatui::try_restore()?;
        shown?;
        Ok(ExitCode::SUCCESS)
    }
}

struct Screen {
    sockets: Sockets,
    sender: Sender<News>,
    news: Receiver<News>,
    ended: Arc<AtomicBool>,
}

impl Screen {
    fn show(&self, terminal: &mut DefaultTerminal) -> io::Result<()> {
        let palette = Palette { coloured: is_coloured() };
        let mut view = View::default();
        let mut is_new = true;
        while !self.ended.load(Ordering::Relaxed) {
            for news in self.news.try_iter() {
                take(&mut view, news);
                is_new = true;
            }
            if is_new {
                let size = terminal.size()?;
                if let Some(geometry) = Geometry::of(Rect::new(0, 0, size.width, size.height), &view) {
                    view.fit(&geometry);
                }
                terminal.draw(|frame| draw(frame, &view, palette))?;
            }
            is_new = event::poll(TICK)?;
            if is_new && let Event::Key(key) = event::read()? {
                match press(&mut view, key) {
                    Effect::Nothing => {}
                    Effect::End => return Ok(()),
                    Effect::Do(deed) => self.begin(deed),
                }
            }
        }
        Ok(())
    }

    /// Has a deed done in a thread of its own: one that never ends holds up nothing.
    fn begin(&self, deed: Deed) {
        let (sockets, sender) = (self.sockets.clone(), self.sender.clone());
        thread::spawn(move || {
            let message = sockets.carry_out(&deed);
            // Nobody listens once the screen is gone.
            let _ = sender.send(News::End(deed, message));
        });
    }
}

fn take(view: &mut View, news: News) {
    match news {
        News::Look(Look::Seen(seen)) => view.see(*seen),
        News::Look(Look::Nothing(why)) => view.trouble = Some(why),
        News::End(deed, message) => view.end(&deed, message),
    }
}
