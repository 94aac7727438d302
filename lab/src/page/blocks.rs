//! Memory blocks as SVG: a rectangle for each run of equal blocks, with the letter of its zone and the numbers of its blocks.

use std::collections::BTreeSet;

use super::Markup;
use crate::check::Run;

/// Blocks in a line.
const LINE: u64 = 32;
/// A block's width, a line's height, and what is left of the blocks for their number.
const CELL: u64 = 20;
const HEIGHT: u64 = 24;
const MARGIN: u64 = 64;
/// Width of a letter.
const LETTER: u64 = 8;

/// What is said of some blocks beside what they show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// They are other than in the picture before.
    New,
    /// They are not as they are to be.
    Wrong,
}

impl Mark {
    const fn class(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Wrong => "wrong",
        }
    }
}

/// A picture of blocks.
#[derive(Debug, Clone, Copy)]
pub struct Blocks<'a> {
    /// What no other element of the page is called.
    pub id: &'a str,
    /// What it shows, in a few words.
    pub title: &'a str,
    /// The blocks, ascending.
    pub runs: &'a [Run],
    /// First and last blocks of which something is said.
    pub marks: &'a [(u64, u64, Mark)],
}

/// How a run looks.
struct Look {
    class: &'static str,
    letter: char,
}

impl Look {
    fn of(shows: &str) -> Self {
        let (state, zones) = shows.split_once(':').unwrap_or(("online", shows));
        let zone = zones.split(['/', ' ']).next().unwrap_or_default();
        let (class, letter) = match zone {
            "Movable" => ("movable", 'M'),
            "Normal" => ("normal", 'N'),
            "DMA32" | "DMA" => ("dma", 'D'),
            _ => ("several", '-'),
        };
        match state {
            "online" => Self { class, letter },
            "offline" => Self { class: "offline", letter: letter.to_ascii_lowercase() },
            _ => Self { class: "going", letter: 'g' },
        }
    }
}

/// What the letters and colours mean.
pub fn legend(page: &mut Markup) {
    let all = [
        ("Movable", "Movable"),
        ("Normal", "Normal"),
        ("DMA32", "DMA32"),
        ("none", "several zones or nodes"),
        ("offline:Movable", "offline; the letter is of the zone that it would go to"),
        ("going-offline:Movable", "going offline"),
    ];
    page.element("ul", &[("class", "legend")], |list| {
        for (shows, meaning) in all {
            list.element("li", &[], |item| {
                let Look { class, letter } = Look::of(shows);
                item.element("svg", &[("viewBox", "0 0 24 20"), ("aria-hidden", "true")], |svg| {
                    let place = [("x", "1"), ("y", "1"), ("width", "22"), ("height", "18"), ("class", class)];
                    svg.empty("rect", &place);
                    svg.text_element("text", &[("x", "8"), ("y", "14.5")], &letter.to_string());
                });
                item.text(&format!("{letter}: {meaning}"));
            });
        }
        list.text_element("li", &[], "outlined: changed by the step");
        list.text_element("li", &[], "thick outline: not as expected");
    });
}

impl Blocks<'_> {
    /// Draws them. Lines without a block are left out, and so are those in the middle of a run.
    pub fn draw(&self, page: &mut Markup) {
        let lines = self.lines();
        let height = lines.len() as u64 * HEIGHT + 4;
        let view = format!("0 0 {} {height}", MARGIN + LINE * CELL + 2);
        let (title, desc) = (format!("{}-title", self.id), format!("{}-desc", self.id));
        let labelled = format!("{title} {desc}");
        let attributes = [
            ("xmlns", "http://www.w3.org/2000/svg"),
            ("viewBox", view.as_str()),
            ("role", "img"),
            ("aria-labelledby", labelled.as_str()),
        ];
        page.element("svg", &attributes, |svg| {
            svg.text_element("title", &[("id", &title)], self.title);
            svg.text_element("desc", &[("id", &desc)], &self.description());
            let mut before = None;
            for (number, line) in (0..).zip(&lines) {
                let y = number * HEIGHT + 2;
                // Where lines are left out, the next one's number alone would not show it.
                let label = match before {
                    Some(before) if before + LINE < *line && self.covers(before + LINE, *line) => {
                        format!("⋮ {line}")
                    }
                    _ => line.to_string(),
                };
                before = Some(*line);
                let place = [("x", "0"), ("y", &*(y + 15).to_string()), ("class", "label")];
                svg.text_element("text", &place, &format!("{label:>7}"));
                self.line(*line, y, svg);
            }
        });
    }

    /// The blocks in words.
    fn description(&self) -> String {
        let run = |run: &Run| {
            let range = if run.first == run.last {
                run.first.to_string()
            } else {
                format!("{}-{}", run.first, run.last)
            };
            let device = if run.device.is_empty() { String::new() } else { format!(" ({})", run.device) };
            format!("{range} {}{device}", run.shows)
        };
        self.runs.iter().map(run).collect::<Vec<_>>().join(", ")
    }

    /// The first blocks of the lines that are drawn: those in which a run or a mark begins or ends.
    fn lines(&self) -> BTreeSet<u64> {
        let ends = self.runs.iter().flat_map(|run| [run.first, run.last]);
        let marks = self.marks.iter().flat_map(|(first, last, _)| [*first, *last]);
        ends.chain(marks).map(|index| index / LINE * LINE).collect()
    }

    /// Whether there are blocks in these lines.
    fn covers(&self, first: u64, behind: u64) -> bool {
        self.runs.iter().any(|run| run.first < behind && run.last >= first)
    }

    fn line(&self, line: u64, y: u64, svg: &mut Markup) {
        let within = |first: u64, last: u64| {
            let (first, last) = (first.max(line), last.min(line + LINE - 1));
            (first <= last).then_some((first, last))
        };
        for run in self.runs {
            if let Some((first, last)) = within(run.first, run.last) {
                self.run(run, (first, last), line, y, svg);
            }
        }
        for (first, last, mark) in self.marks {
            if let Some((first, last)) = within(*first, *last) {
                rect((first - line, last - line), y, mark.class(), svg, |_| {});
            }
        }
    }

    fn run(&self, run: &Run, (first, last): (u64, u64), line: u64, y: u64, svg: &mut Markup) {
        let Look { class, letter } = Look::of(&run.shows);
        let device = if run.device.is_empty() { "boot RAM" } else { &run.device };
        rect((first - line, last - line), y, class, svg, |rect| {
            let text = format!("{}-{}: {}, {device}", run.first, run.last, run.shows);
            rect.text_element("title", &[], &text);
        });
        let room = (last - first + 1) * CELL / LETTER;
        let words =
            [format!("{letter} {} {device}", run.shows), format!("{letter} {device}"), letter.to_string()];
        let fits = words.into_iter().find(|words| (words.chars().count() as u64) < room);
        let (x, y) = (MARGIN + (first - line) * CELL + 5, y + 15);
        let place = [("x", &*x.to_string()), ("y", &*y.to_string())];
        svg.text_element("text", &place, &fits.unwrap_or_else(|| letter.to_string()));
    }
}

fn rect((first, last): (u64, u64), y: u64, class: &str, svg: &mut Markup, fill: impl FnOnce(&mut Markup)) {
    let (x, width) = (MARGIN + first * CELL + 1, (last - first + 1) * CELL - 2);
    let numbers = [x, y, width, HEIGHT - 3].map(|number| number.to_string());
    let [x, y, width, height] = numbers.each_ref().map(String::as_str);
    let place = [("x", x), ("y", y), ("width", width), ("height", height), ("class", class)];
    svg.element("rect", &place, fill);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: u64, last: u64, shows: &str, device: &str) -> Run {
        Run { first, last, shows: shows.to_owned(), device: device.to_owned() }
    }

    fn drawn(runs: &[Run], marks: &[(u64, u64, Mark)]) -> String {
        let mut page = Markup::default();
        Blocks { id: "a", title: "After <it>", runs, marks }.draw(&mut page);
        page.as_str().to_owned()
    }

    #[test]
    fn each_part_of_a_run_is_a_rectangle_with_a_letter_and_words() {
        let runs = [
            run(0, 0, "none", ""),
            run(1, 40, "DMA32", ""),
            run(41, 42, "offline:Movable/Normal", "d0"),
            run(43, 43, "going-offline:Normal/Movable node 1", "d0"),
        ];
        let text = drawn(&runs, &[(41, 43, Mark::Wrong), (0, 0, Mark::New)]);
        let document = roxmltree::Document::parse(&text).unwrap();
        let of =
            |name: &'static str| document.descendants().filter(move |node| node.tag_name().name() == name);
        let classes: Vec<_> = of("rect").map(|rect| rect.attribute("class").unwrap()).collect();
        assert_eq!(classes, ["several", "dma", "new", "dma", "offline", "going", "wrong"]);
        let texts: Vec<_> = of("text").map(|node| node.text().unwrap().trim().to_owned()).collect();
        assert_eq!(texts, ["0", "-", "D DMA32 boot RAM", "32", "D DMA32 boot RAM", "m d0", "g"]);
        let titles: Vec<_> = of("title").map(|node| node.text().unwrap()).collect();
        assert_eq!((titles[0], titles[4]), ("After <it>", "41-42: offline:Movable/Normal, d0"));
        let desc = of("desc").next().unwrap().text().unwrap();
        assert!(desc.starts_with("0 none, 1-40 DMA32, 41-42 offline:Movable/Normal (d0)"), "{desc}");
        let root = document.root_element();
        assert_eq!(root.attribute("aria-labelledby"), Some("a-title a-desc"));
    }

    #[test]
    fn thousands_of_equal_blocks_take_few_lines() {
        let text = drawn(&[run(0, 47, "Normal", ""), run(64, 9000, "Movable", "vmem0")], &[]);
        let document = roxmltree::Document::parse(&text).unwrap();
        let labels: Vec<_> = document
            .descendants()
            .filter(|node| node.attribute("class") == Some("label"))
            .map(|node| node.text().unwrap().trim().to_owned())
            .collect();
        assert_eq!(labels, ["0", "32", "64", "⋮ 8992"]);
        assert!(drawn(&[], &[]).contains("<svg"), "no block is a picture, too");
    }
}
