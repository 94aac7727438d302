//! A page about all runs of a campaign: what they were, the rules that they met, what differs and how to see it again, with memory as
//! it was expected beside how it was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use dimmer_oracle::rule::Rule;

use super::campaign::Campaign;
use super::found::{Found, Memory};
use super::record::{End, Finding, History, Record};
use crate::page::table::{facts, row, table};
use crate::page::{self, Markup, Page, blocks, differences};

/// What a page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// What was to be explored.
    pub campaign: &'a Campaign,
    /// What came of it.
    pub record: &'a Record,
    /// How long it took.
    pub time: Duration,
}

impl Report<'_> {
    /// Writes it into `directory`, which need not exist yet. Returns where the page is.
    ///
    /// # Errors
    /// Those of the host's files.
    pub fn write_page(&self, directory: &Path) -> io::Result<PathBuf> {
        self.page(SystemTime::now()).write(directory)
    }

    /// The page, made at this time.
    pub fn page(&self, made: SystemTime) -> Page {
        let mut body = Markup::default();
        self.what(&mut body);
        self.findings(&mut body);
        self.lost(&mut body);
        self.rules(&mut body);
        self.histories(&mut body);
        let summary = self.record.summary(self.time).to_string();
        let lead = summary.lines().next().unwrap_or_default().to_owned() + ".";
        let title = format!("The explorer, seed {}", self.campaign.seed);
        Page { title, lead, body, foot: page::made(made) }
    }

    fn what(&self, page: &mut Markup) {
        let Campaign { seed, runs, kernels, only_exact, mistake, .. } = self.campaign;
        let kernels: Vec<_> =
            kernels.iter().map(|(name, release)| format!("{name} (Linux {release})")).collect();
        let steps = if *only_exact { "those with one outcome" } else { "also those with several" };
        let planted = mistake.map_or("none", |mistake| mistake.name());
        let all = [
            ("seed", seed.to_string()),
            ("histories", format!("{} to {}", runs.start, runs.end.saturating_sub(1))),
            ("kernels", kernels.join(", ")),
            ("steps", steps.to_owned()),
            ("error planted in the oracle", planted.to_owned()),
        ];
        page.text_element("h2", &[], "What was explored");
        facts(
            page,
            "A history depends on seed and number alone.",
            all.iter().map(|(name, value)| (*name, &**value)),
        );
        page.text_element(
            "pre",
            &[],
            &self.repeat(runs, self.campaign.kernels.iter().map(|(name, _)| &**name)),
        );
    }

    /// The command that does some runs again.
    fn repeat<'b>(&self, runs: &std::ops::Range<u64>, kernels: impl Iterator<Item = &'b str>) -> String {
        let Campaign { seed, only_exact, mistake, .. } = self.campaign;
        let (from, runs) = (runs.start, runs.end.saturating_sub(runs.start));
        let mut words = format!("dimmer-lab explore --seed {seed} --from {from} --runs {runs}");
        kernels.for_each(|kernel| words += &format!(" --kernel {}", crate::check::entry::quoted(kernel)));
        words += if *only_exact { "" } else { " --inexact" };
        words + &mistake.map(|mistake| format!(" --plant {}", mistake.name())).unwrap_or_default()
    }

    fn findings(&self, page: &mut Markup) {
        page.text_element("h2", &[], "Differences");
        if self.record.findings.is_empty() {
            return page.text_element("p", &[], "None: guests and oracle agreed after every step.");
        }
        blocks::legend(page);
        let mut findings: Vec<_> = self.record.findings.iter().collect();
        findings.sort_by_key(|finding| (finding.run, &finding.kernel));
        findings.into_iter().for_each(|finding| self.finding(finding, page));
    }

    fn finding(&self, finding: &Finding, page: &mut Markup) {
        let Finding { run, kernel, file, scenario, found } = finding;
        let place = place(*run, kernel);
        let Found::Difference { step, memory: Memory { differences, seen }, .. } = found else { return };
        page.element("article", &[("id", &place), ("class", "differs")], |article| {
            article.text_element("h3", &[], &format!("✗ Run {run} on {kernel}: differs after step {step}"));
            differences::pictures(article, &place, seen, differences);
            differences::table(article, differences);
            article.text_element("h4", &[], "The smallest scenario that shows it");
            article.text_element("pre", &[], scenario.to_toml().trim_end());
            article.text_element("h4", &[], "To repeat it");
            let quoted = crate::check::entry::quoted;
            let (file, name) = (quoted(&file.display().to_string()), quoted(kernel));
            let again = self.repeat(&(*run..run + 1), std::iter::once(&**kernel));
            let check = format!("dimmer-lab check {file} --kernel {name}");
            // Another oracle than the one that was wrong on purpose sees nothing in the scenario.
            let lines = if self.campaign.mistake.is_some() { again } else { format!("{check}\n{again}") };
            article.text_element("pre", &[], &lines);
        });
    }

    fn lost(&self, page: &mut Markup) {
        let lost = |history: &&History| matches!(history.end, End::Lost(_));
        let lost: Vec<_> = self.record.histories.iter().filter(lost).collect();
        if lost.is_empty() {
            return;
        }
        page.text_element("h2", &[], "Guests that were lost");
        for History { run, kernel, end, .. } in lost {
            let End::Lost(why) = end else { continue };
            page.element("article", &[("id", &*place(*run, kernel)), ("class", "failed")], |article| {
                article.text_element("h3", &[], &format!("! Run {run} on {kernel}"));
                article.text_element("pre", &[], why);
            });
        }
    }

    /// Rules by kernels.
    fn rules(&self, page: &mut Markup) {
        let coverage = &self.record.coverage;
        let kernels: Vec<&str> = coverage.kernels().collect();
        let never: BTreeSet<Rule> = coverage.never().collect();
        page.text_element("h2", &[], "Rules of the oracle that were met");
        let headings: Vec<&str> = [&["rule"][..], &kernels, &["what it says"]].concat();
        table(page, "matrix", "Histories that met each rule, by kernel", &headings, |body| {
            for rule in Rule::ALL.iter().filter(|rule| !never.contains(rule)) {
                row(body, rule.name(), |row| {
                    for kernel in &kernels {
                        let count = coverage.count(kernel, *rule);
                        let (text, class) =
                            if count > 0 { (count.to_string(), "number") } else { ("–".into(), "skipped") };
                        row.text_element("td", &[("class", class)], &text);
                    }
                    row.element("td", &[("class", "words")], |words| words.prose(rule.about().trim()));
                });
            }
        });
        let never: Vec<_> = never.iter().map(|rule| rule.name()).collect();
        let never = if never.is_empty() { "none".to_owned() } else { never.join(", ") };
        page.text_element("p", &[], &format!("Never met, and so never compared: {never}."));
    }

    /// Runs by kernels.
    fn histories(&self, page: &mut Markup) {
        let mut runs: BTreeMap<u64, BTreeMap<&str, &History>> = BTreeMap::new();
        for history in &self.record.histories {
            runs.entry(history.run).or_default().insert(&history.kernel, history);
        }
        let kernels: BTreeSet<&str> = self.record.histories.iter().map(|it| &*it.kernel).collect();
        let headings: Vec<&str> = std::iter::once("run").chain(kernels.iter().copied()).collect();
        page.text_element("h2", &[], "Histories");
        page.element("details", &[], |details| {
            details.text_element("summary", &[], &format!("{} runs", runs.len()));
            table(details, "matrix", "Steps and how they ended", &headings, |body| {
                for (run, histories) in &runs {
                    row(body, &run.to_string(), |row| {
                        kernels.iter().for_each(|kernel| self.cell(histories.get(kernel).copied(), row));
                    });
                }
            });
        });
    }

    fn cell(&self, history: Option<&History>, row: &mut Markup) {
        let Some(History { run, kernel, steps, end }) = history else {
            return row.text_element("td", &[], "");
        };
        let (text, class) = match end {
            End::Right(blocks) => (format!("✓ {steps} steps, {blocks} block checks"), "passed"),
            End::Differs(step) => (format!("✗ differs after step {step} of {steps}"), "differs"),
            End::Lost(_) => ("! lost".to_owned(), "failed"),
        };
        // What was found in a beginning that several have in common is told once.
        let is_told = self.record.findings.iter().any(|it| it.run == *run && it.kernel == *kernel);
        row.element("td", &[("class", class)], |cell| match is_told || matches!(end, End::Lost(_)) {
            true => cell.text_element("a", &[("href", &*format!("#{}", place(*run, kernel)))], &text),
            false => cell.text(&text),
        });
    }
}

/// Where the article of a run is; a kernel may be a path.
fn place(run: u64, kernel: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    format!("run-{run}-{}", kernel.chars().map(plain).collect::<String>())
}

#[cfg(test)]
mod tests;
