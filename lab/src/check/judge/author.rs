//! What the author of a scenario wrote, held against what was seen.

use dimmer::printable::printable;
use dimmer_agent::protocol::Status;

use super::{Moment, words};
use crate::check::Difference;
use crate::expect;
use crate::scenario::{Expected, Ran};

impl Moment<'_> {
    pub(in crate::check) fn against_the_author(
        &self,
        expected: &Expected,
    ) -> Result<Vec<Difference>, String> {
        let mut all = Vec::new();
        if let Some(blocks) = &expected.blocks {
            all.extend(self.blocks(blocks)?);
        }
        if let Some(wanted) = expected.outcome.filter(|wanted| Some(*wanted) != self.seen.outcome) {
            let seen = words::outcome(self.seen.outcome);
            all.push(Difference::author("outcome", words::outcome(Some(wanted)), seen));
        }
        if let Some(wanted) = expected.reports()?.filter(|wanted| *wanted != self.seen.ost) {
            all.push(Difference::author("_OST", words::reports(&wanted), words::reports(&self.seen.ost)));
        }
        if let Some(wanted) = expected.plugged.filter(|wanted| Some(wanted.0) != self.seen.plugged) {
            let seen = words::size(self.seen.plugged);
            all.push(Difference::author("plugged size", words::size(Some(wanted.0)), seen));
        }
        if let Some(wanted) = expected.refusals()?.filter(|wanted| *wanted != self.seen.refused) {
            let seen = words::refusals(&self.seen.refused);
            all.push(Difference::author("refused blocks", words::refusals(&wanted), seen));
        }
        let corrupted = self.seen.hardware_corrupted;
        if let Some(wanted) = expected.hardware_corrupted.filter(|wanted| Some(wanted.0) != corrupted) {
            let seen = words::size(corrupted);
            all.push(Difference::author("broken memory", words::size(Some(wanted.0)), seen));
        }
        let log: Vec<&str> = self.log.iter().map(String::as_str).collect();
        all.extend(unsaid("the kernel's log", &expected.log, &log));
        all.extend(self.command(expected));
        Ok(all)
    }

    /// What a command that was run was to do and has not.
    pub(super) fn command(&self, expected: &Expected) -> Vec<Difference> {
        let Some(Ran { status, output }) = &self.seen.ran else { return Vec::new() };
        let lines: Vec<&str> = output.lines().collect();
        let wanted = Status::Code(expected.status.unwrap_or_default().into());
        let mut all = Vec::new();
        if *status != wanted {
            let last = lines.last().map_or(String::new(), |line| format!(", saying {:?}", printable(line)));
            all.push(Difference::author(
                "the command",
                words::status(wanted),
                words::status(*status) + &last,
            ));
        }
        all.extend(unsaid("the command's output", &expected.output, &lines));
        all
    }

    /// Why a block shows what was seen, where the oracle has it so, too.
    fn why(&self, index: u64, seen: &str) -> String {
        let linux = &self.model.linux;
        if dimmer_oracle::words::shown(&linux.memory, index) == seen {
            linux.why(index)
        } else {
            String::new()
        }
    }

    /// The blocks that the author wrote: all from the lowest that is named on, or all behind boot memory
    /// when none is named.
    fn blocks(&self, text: &str) -> Result<Vec<Difference>, String> {
        let wanted = expect::parse(text).map_err(|error| error.to_string())?;
        let behind_boot = || {
            let early = self.model.linux.memory.blocks().iter().filter(|(_, block)| block.early);
            early.map(|(index, _)| index + 1).max().unwrap_or(0)
        };
        let first = wanted.keys().next().copied().unwrap_or_else(behind_boot);
        let seen = expect::seen_as(&wanted, self.layout).split_off(&first);
        let rows = expect::compare(&wanted, &seen, |_| String::new());
        let difference = |row: &expect::Row| {
            let what = if row.first == row.last { "block" } else { "blocks" };
            let what = format!("{what} {}", row.range());
            let why = self.why(row.first, &row.seen);
            Difference { why, ..Difference::author(&what, row.expected.clone(), row.seen.clone()) }
        };
        Ok(rows.iter().filter(|row| !row.is_right()).map(difference).collect())
    }
}

/// What `lines` of something were to say and do not.
fn unsaid(what: &str, wanted: &[String], lines: &[&str]) -> Vec<Difference> {
    let said = |text: &&String| lines.iter().any(|line| line.contains(text.as_str()));
    let last = lines.last().copied().unwrap_or("nothing");
    let difference = |text: &String| {
        Difference::author(what, format!("{text:?}"), format!("not said; its last line is {last:?}"))
    };
    wanted.iter().filter(|text| !said(text)).map(difference).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use dimmer_agent::report::{BlockState, Layout};
    use dimmer_oracle::release::Release;

    use super::*;
    use crate::layout::sample::blocks;
    use crate::predict::Prediction;
    use crate::scenario::{Effect, Expect, Scenario};

    const RELEASE: Release = Release::new(6, 12);

    /// What is not as expected of a guest of 512 MiB, in which `seen` came of a step.
    fn judged(seen: &Effect, expected: Option<&Expect>) -> Vec<String> {
        let text = "shows = \"\"\n[machine]\nmemory = \"size=512M\"\n";
        let model = Prediction::new(&Scenario::parse(text, Path::new("a.toml")).unwrap(), RELEASE).unwrap();
        let layout: Layout = crate::verdict::report::of(&model.linux);
        let (model, predicted) = (&model, &Effect::default());
        let moment =
            Moment { before: model, model, predicted, seen, layout: &layout, baseline: None, log: &[] };
        moment.judge(expected).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_command_is_to_succeed_unless_somebody_says_otherwise() {
        let ran = |code, output: &str| Effect {
            ran: Some(Ran { status: Status::Code(code), output: output.to_owned() }),
            ..Effect::default()
        };
        let wanted = |status, output: &[&str]| {
            let output = output.iter().map(|text| (*text).to_owned()).collect();
            Expect::Details(Expected { status, output, ..Expected::default() })
        };
        assert_eq!(judged(&ran(0, "all\n"), None), [""; 0]);
        let failed = "the command: expected exit status 0, seen exit status 1, saying \"busy\"";
        assert_eq!(judged(&ran(1, "one\nbusy\n"), None), [failed]);
        assert_eq!(judged(&ran(1, "one\nbusy\n"), Some(&wanted(Some(1), &["bus", "one"]))), [""; 0]);
        let unsaid = "the command's output: expected \"two\", seen not said; its last line is \"busy\"";
        assert_eq!(judged(&ran(1, "one\nbusy\n"), Some(&wanted(Some(1), &["two"]))), [unsaid]);
    }

    #[test]
    fn what_lsmem_prints_is_held_against_the_oracle() {
        let mut listed = blocks(0, 0, BlockState::Online, &["none"]);
        listed.extend(blocks(1, 3, BlockState::Online, &["DMA32"]));
        let seen = |listed: Vec<_>| Effect { listed: Some(listed), ..Effect::default() };
        assert_eq!(judged(&seen(listed.clone()), None), [""; 0]);
        listed.truncate(3);
        let found = judged(&seen(listed), None);
        assert!(
            found.len() == 1 && found[0].starts_with("lsmem: block 3: the oracle says DMA32, seen absent"),
            "{found:?}"
        );
    }
}
