//! How often each rule of the model was met, by kernel: what was never met was never compared.

use std::collections::BTreeMap;
use std::fmt;

use dimmer_oracle::rule::{Met, Rule};

/// Columns of a terminal.
const WIDTH: usize = 100;

/// Histories that met each rule, by kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    kernels: BTreeMap<String, BTreeMap<Rule, u64>>,
}

impl Coverage {
    /// Counts what one history on a kernel has met.
    pub fn add(&mut self, kernel: &str, met: Met) {
        let counts = self.kernels.entry(kernel.to_owned()).or_default();
        for rule in met.iter() {
            *counts.entry(rule).or_default() += 1;
        }
    }

    /// The kernels' names, ascending.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.kernels.keys().map(String::as_str)
    }

    /// Histories that met `rule` on a kernel.
    pub fn count(&self, kernel: &str, rule: Rule) -> u64 {
        self.kernels.get(kernel).and_then(|counts| counts.get(&rule)).copied().unwrap_or(0)
    }

    /// The rules that no history has met on any kernel.
    pub fn never(&self) -> impl Iterator<Item = Rule> {
        let is_met = |rule: &Rule| self.kernels.keys().any(|kernel| self.count(kernel, *rule) > 0);
        Rule::ALL.iter().copied().filter(move |rule| !is_met(rule))
    }
}

/// A line for each rule that was met, with a column for each kernel; then those that never were.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = Rule::ALL.iter().map(|rule| rule.name().len()).max().unwrap_or(0);
        let kernels: Vec<&str> = self.kernels().collect();
        write!(f, "{:width$}", "rule, histories")?;
        for kernel in &kernels {
            write!(f, "  {kernel:>8}")?;
        }
        writeln!(f)?;
        for rule in Rule::ALL {
            let counts: Vec<u64> = kernels.iter().map(|kernel| self.count(kernel, *rule)).collect();
            if counts.iter().all(|count| *count == 0) {
                continue;
            }
            write!(f, "{:width$}", rule.name())?;
            for (kernel, count) in kernels.iter().zip(counts) {
                let count = if count == 0 { "-".to_owned() } else { count.to_string() };
                write!(f, "  {count:>0$}", kernel.len().max(8))?;
            }
            writeln!(f)?;
        }
        let mut never = self.never().map(Rule::name).peekable();
        if never.peek().is_none() {
            return f.write_str("never met: none");
        }
        f.write_str("never met:")?;
        let mut column = WIDTH;
        for name in never {
            if column + name.len() >= WIDTH {
                f.write_str("\n ")?;
                column = 1;
            }
            write!(f, " {name}")?;
            column += 1 + name.len();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_met_is_counted_by_kernel_and_what_was_not_is_named() {
        let mut coverage = Coverage::default();
        let mut met = Met::new();
        met.add(Rule::RatioIsZero);
        coverage.add("6.12", met);
        coverage.add("6.12", met);
        coverage.add("6.1", Met::new());
        let text = coverage.to_string();
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        let words: Vec<String> =
            line("ratio-is-zero").unwrap().split_whitespace().map(str::to_owned).collect();
        assert_eq!(words, ["ratio-is-zero", "-", "2"]);
        assert_eq!(line("contig-both"), None);
        let (_, never) = text.split_once("never met:\n").unwrap();
        let names: Vec<&str> = never.split_whitespace().collect();
        assert_eq!(names.len(), Rule::ALL.len() - 1);
        assert!(names.contains(&"contig-both") && !names.contains(&"ratio-is-zero"), "{never}");
        assert!(never.lines().all(|line| line.starts_with("  ") && line.len() <= WIDTH), "{never}");
    }
}
