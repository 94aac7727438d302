//! A view in, a picture out.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Wrap};

use super::keys::KEYS;
use super::view::{Message, Pane, View};
use super::words;
use geometry::{Geometry, SMALLEST};

mod blocks;
pub mod geometry;
mod panes;
mod style;

/// How things are drawn.
#[derive(Debug, Clone, Copy)]
pub struct Palette {
    /// Whether colours are used; else weight alone.
    pub coloured: bool,
}

impl Palette {
    /// Text in this colour.
    fn text(self, colour: Color) -> Style {
        if self.coloured { Style::new().fg(colour) } else { Style::new() }
    }

    /// What is there to find other things by.
    fn quiet(self) -> Style {
        if self.coloured {
            Style::new().fg(Color::DarkGray)
        } else {
            Style::new().add_modifier(Modifier::DIM)
        }
    }

    /// What went well.
    fn good(self) -> Style {
        self.text(Color::Green)
    }

    /// What did not.
    fn bad(self) -> Style {
        self.text(Color::Red).add_modifier(Modifier::BOLD)
    }
}

/// Draws all of `view`, which was fitted to the window.
pub fn draw(frame: &mut Frame<'_>, view: &View, palette: Palette) {
    let area = frame.area();
    let Some(geometry) = Geometry::of(area, view) else {
        let text = format!("The window is too small: {}×{} at least; q ends", SMALLEST.0, SMALLEST.1);
        return frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
    };
    frame.render_widget(title(view, palette), geometry.title);
    let map = framed(&map_title(view, &geometry), palette);
    frame.render_widget(Paragraph::new(blocks::lines(view, &geometry, palette)).block(map), geometry.map);
    frame.render_widget(blocks::legend(palette), geometry.legend);
    for (pane, place) in &geometry.panes {
        draw_pane(frame, view, palette, *pane, *place, geometry.panes.len() == 1);
    }
    frame.render_widget(blocks::chosen(view), geometry.chosen);
    let bottom = last_line(view, palette);
    if let (true, Ok(width)) = (view.prompt.is_some(), u16::try_from(bottom.width())) {
        let x = (geometry.message.x + width).min(geometry.message.right().saturating_sub(1));
        frame.set_cursor_position((x, geometry.message.y));
    }
    frame.render_widget(Paragraph::new(bottom), geometry.message);
    frame.render_widget(keys(palette), geometry.keys);
}

fn framed(title: &str, palette: Palette) -> Block<'static> {
    Block::bordered().border_style(palette.quiet()).title(Line::from(format!(" {title} ")).bold())
}

fn draw_pane(frame: &mut Frame<'_>, view: &View, palette: Palette, pane: Pane, place: Rect, alone: bool) {
    let title = match pane {
        Pane::Devices => "Devices",
        Pane::Groups => "Memory groups",
        Pane::Outlook => "What would come next",
        Pane::Events => "Events",
    };
    let title = if alone { format!("{title} (Tab: {})", panes::name(pane.next())) } else { title.to_owned() };
    let block = framed(&title, palette);
    let inner = block.inner(place);
    let text = panes::lines(view, palette, pane, inner);
    let text = Paragraph::new(text).block(block);
    frame.render_widget(text, place);
}

/// The guest's kernel and the settings that decide on zones.
fn title(view: &View, palette: Palette) -> Line<'static> {
    let mut spans = vec![Span::from(" dimmer map ").bold().reversed(), Span::from("  ")];
    match &view.seen {
        None => spans.push("waiting for the guest".into()),
        Some(seen) => spans.push(words::settings(&seen.layout).into()),
    }
    if let Some(trouble) = &view.trouble {
        spans.push(Span::styled(format!("  {trouble}"), palette.bad()));
    }
    Line::from(spans)
}

fn map_title(view: &View, geometry: &Geometry) -> String {
    let Some(seen) = &view.seen else { return "Memory blocks".to_owned() };
    let blocks = seen.layout.blocks.len();
    let (height, rows) = (usize::from(geometry.map_height()), view.rows.len());
    match rows > height {
        true => format!(
            "{blocks} memory blocks, lines {}-{} of {rows}",
            view.top + 1,
            (view.top + height).min(rows)
        ),
        false => format!("{blocks} memory blocks"),
    }
}

/// What is asked, else what is under way, else what came of it.
fn last_line(view: &View, palette: Palette) -> Line<'static> {
    if let Some(prompt) = &view.prompt {
        let mut spans = Vec::new();
        if let Some(Message::Failed(why)) = &view.message {
            spans.push(Span::styled(format!(" {why}; "), palette.bad()));
        }
        spans.push(Span::from(format!(" {}: ", prompt.question.words())).bold());
        spans.push(prompt.answer.clone().into());
        return Line::from(spans);
    }
    let mut spans = match &view.message {
        Some(Message::Done(text)) => vec![Span::styled(format!(" done: {text}"), palette.good())],
        Some(Message::Failed(text)) => vec![Span::styled(format!(" {text}"), palette.bad())],
        None => Vec::new(),
    };
    if !view.under_way.is_empty() {
        let all: Vec<String> = view.under_way.iter().map(ToString::to_string).collect();
        spans.push(Span::styled(format!("  under way: {}", all.join("; ")), palette.text(Color::Magenta)));
    }
    Line::from(spans)
}

fn keys(palette: Palette) -> Line<'static> {
    let mut spans = vec![Span::from(" ")];
    for (key, does) in KEYS {
        spans.push(Span::from(key).bold());
        spans.push(Span::styled(format!(" {does}  "), palette.quiet()));
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests;
