//! The Test Anything Protocol, version 14 (testanything.org): a test point for each scenario on each kernel, with what
//! went wrong as a YAML block.

use std::io::{self, Write};

use super::{Entry, Outcome, Report, human};

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "TAP version 14\n1..{}", report.entries.len())?;
    for (number, entry) in (1..).zip(&report.entries) {
        let ok =
            if matches!(entry.outcome, Outcome::Passed { .. } | Outcome::Skipped) { "ok" } else { "not ok" };
        let skip = match entry.outcome {
            Outcome::Skipped => format!(" # SKIP {}", entry.outcome.line()),
            _ => String::new(),
        };
        let description = escaped(&format!("{} on {}", entry.scenario, entry.kernel));
        writeln!(out, "{ok} {number} - {description}{skip}")?;
        diagnostics(entry, out)?;
    }
    Ok(())
}

/// What went wrong. A text in quotes as JSON has it is YAML, too.
fn diagnostics(entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
    let Some(details) = human::details(entry) else { return Ok(()) };
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    writeln!(out, "  ---")?;
    writeln!(out, "  message: {}", quoted(&entry.outcome.line()))?;
    writeln!(
        out,
        "  severity: {}",
        if matches!(entry.outcome, Outcome::Failed { .. }) { "error" } else { "fail" }
    )?;
    writeln!(out, "  duration_ms: {:.0}", entry.seconds * 1000.0)?;
    writeln!(out, "  repeat: {}", quoted(&entry.repeat))?;
    writeln!(out, "  details:")?;
    for line in details.lines() {
        writeln!(out, "    - {}", quoted(line))?;
    }
    writeln!(out, "  ...")
}

/// A description in which nothing is taken for a directive.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('#', r"\#")
}
