//! What the author of a scenario wrote, held against what was seen.

use super::{Moment, words};
use crate::check::Difference;
use crate::expect;
use crate::scenario::Expected;

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
        all.extend(self.unsaid(&expected.log));
        Ok(all)
    }

    /// What the kernel's log was to say and does not.
    fn unsaid(&self, wanted: &[String]) -> Vec<Difference> {
        let said = |text: &&String| self.log.iter().any(|line| line.contains(text.as_str()));
        let last = self.log.last().map_or("nothing", String::as_str);
        let difference = |text: &String| {
            Difference::author(
                "the kernel's log",
                format!("{text:?}"),
                format!("not said; its last line is {last:?}"),
            )
        };
        wanted.iter().filter(|text| !said(text)).map(difference).collect()
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
