//! The report of a self-test, for people and for bug reports: text, or Markdown.

use dimmer::printable::printable;
use dimmer::version::VERSION;

use super::facts::Fact;
use super::{Done, Outcome, Tested};

/// How a report is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Plain text.
    #[default]
    Text,
    /// Markdown, to be pasted into an issue.
    Markdown,
}

/// All that there is to say.
#[derive(Debug, Clone)]
pub struct Report {
    /// What is true of the machine that the report was asked for on; nothing where guests ran on it, which `tested` has.
    pub here: Vec<Fact>,
    /// What this machine lacks, a line each.
    pub lacks: Vec<String>,
    /// Where guests ran, in words.
    pub place: String,
    /// What came of it.
    pub tested: Tested,
}

/// Columns for the name of a fact or of a step, and for a fact's value.
const NAME: usize = 24;
const VALUE: usize = 94;

impl Report {
    /// The whole report.
    #[must_use]
    pub fn write(&self, format: Format) -> String {
        let mut out = Out { format, text: String::new() };
        out.heading(&format!("Dimmer {VERSION}: self-test of a host"));
        out.paragraph(&self.verdict());
        if !self.here.is_empty() {
            out.facts("This machine", &self.here);
        }
        if !self.tested.host.is_empty() {
            out.facts(&format!("Where guests ran: {}", self.place), &self.tested.host);
        }
        out.list("What this machine lacks", &self.lacks);
        out.steps(&self.tested.steps);
        for step in &self.tested.steps {
            if let Outcome::Failed { why, said, .. } = &step.outcome {
                out.failure(step.name, why, said);
            }
        }
        out.text
    }

    /// The sum in a sentence.
    #[must_use]
    pub fn verdict(&self) -> String {
        let Tested { steps, hopeless, .. } = &self.tested;
        if let Some(why) = hopeless {
            return format!("This host cannot run guests: {}", first_line(why));
        }
        let count = |wanted: fn(&Outcome) -> bool| steps.iter().filter(|step| wanted(&step.outcome)).count();
        let seconds: f64 = steps.iter().map(|step| step.time.as_secs_f64()).sum();
        let passed = count(Outcome::is_passed);
        let failed = count(|outcome| matches!(outcome, Outcome::Failed { .. }));
        match (failed, steps.len() - passed - failed) {
            (0, 0) => format!("All {passed} steps passed, in {seconds:.1} s."),
            (failed, left) => {
                format!("Passed: {passed}, failed: {failed}, left out: {left}; {seconds:.1} s.")
            }
        }
    }
}

/// A step's word, and what there is to say of it in a line.
fn line(outcome: &Outcome) -> (&'static str, &str) {
    match outcome {
        Outcome::Passed { seen } => ("passed", first_line(seen)),
        Outcome::Failed { why, .. } => ("FAILED", first_line(why)),
        Outcome::LeftOut { why } => ("left out", first_line(why)),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// A report that is being written.
struct Out {
    format: Format,
    text: String,
}

impl Out {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end_matches(' '));
        self.text.push('\n');
    }

    fn heading(&mut self, text: &str) {
        match self.format {
            Format::Text => self.line(text),
            Format::Markdown => self.line(&format!("## {}\n", escaped(text))),
        }
    }

    fn section(&mut self, text: &str) {
        match self.format {
            Format::Text => self.line(&format!("\n{text}")),
            Format::Markdown => self.line(&format!("\n### {}\n", escaped(text))),
        }
    }

    fn paragraph(&mut self, text: &str) {
        match self.format {
            Format::Text => self.line(text),
            Format::Markdown => self.line(&format!("**{}**", escaped(text))),
        }
    }

    fn facts(&mut self, title: &str, facts: &[Fact]) {
        self.section(title);
        if self.format == Format::Markdown {
            self.line("| | |\n|---|---|");
        }
        for Fact { name, value } in facts {
            let value = printable(value);
            match self.format {
                Format::Text => {
                    let names = std::iter::once(&**name).chain(std::iter::repeat(""));
                    names
                        .zip(wrapped(&value))
                        .for_each(|(name, it)| self.line(&format!("  {name:<NAME$}{it}")));
                }
                Format::Markdown => self.line(&format!("| {} | {} |", escaped(name), escaped(&value))),
            }
        }
    }

    fn list(&mut self, title: &str, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        self.section(title);
        for line in lines {
            match self.format {
                Format::Text => self.line(&format!("  {line}")),
                Format::Markdown => self.line(&format!("- {}", escaped(line))),
            }
        }
    }

    fn steps(&mut self, steps: &[Done]) {
        self.section("Steps");
        if self.format == Format::Markdown {
            self.line("| step | | s | |\n|---|---|--:|---|");
        }
        for Done { name, outcome, time } in steps {
            let ((word, more), seconds) = (line(outcome), time.as_secs_f64());
            let more = printable(more);
            match self.format {
                Format::Text => self.line(&format!("  {word:<10}{seconds:6.1} s  {name:<NAME$}  {more}")),
                Format::Markdown => {
                    let name = escaped(name);
                    self.line(&format!("| {name} | {word} | {seconds:.1} | {} |", escaped(&more)));
                }
            }
        }
    }

    /// All that is known of a failure.
    fn failure(&mut self, name: &str, why: &str, said: &str) {
        self.section(&format!("Why it failed: {name}"));
        let lines = why.lines().chain(said.lines()).map(printable);
        let lines: Vec<_> = lines.collect();
        match self.format {
            Format::Text => lines.iter().for_each(|line| self.line(&format!("  {line}"))),
            Format::Markdown => {
                // A fence that is longer than any in it.
                let ticks = |line: &str| line.chars().filter(|it| *it == '`').count();
                let fence = "`".repeat(lines.iter().map(|line| ticks(line)).max().unwrap_or(0).max(2) + 1);
                self.line(&format!("{fence}text"));
                lines.iter().for_each(|line| self.line(line));
                self.line(&fence);
            }
        }
    }
}

/// A value in lines that are not too long; a word stays whole.
fn wrapped(value: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in value.split(' ') {
        let last = lines.last_mut().expect("there is always one");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= VALUE {
            *last += &format!(" {word}");
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Text that Markdown takes for nothing else.
fn escaped(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '|' | '*' | '_' | '<' | '[' | '`' | '\\') {
            all.push('\\');
        }
        all.push(if letter == '\n' { ' ' } else { letter });
    }
    all
}

#[cfg(test)]
mod tests;
