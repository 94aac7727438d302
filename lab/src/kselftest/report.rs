//! The report of the selftests that ran: TAP, JSON or JUnit's XML; and what all of them come to.

use std::io;
use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

use super::{Done, Outcome, tap};

/// How a report is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// TAP version 13, with all that the tests wrote.
    #[default]
    Tap,
    /// One JSON document.
    Json,
    /// JUnit's XML.
    Junit,
}

/// All tests that ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The kernel's release.
    pub kernel: String,
    /// How each ended, in the order in which they ran.
    pub tests: Vec<Done>,
}

impl Report {
    /// The whole report.
    ///
    /// # Errors
    /// When a time or a text can be written in no such form.
    pub fn write(&self, format: Format) -> io::Result<String> {
        match format {
            Format::Tap => {
                let tests = (1..).zip(&self.tests).map(|(number, done)| tap::test(number, done));
                Ok(std::iter::once(tap::head(self.tests.len())).chain(tests).collect())
            }
            Format::Json => Ok(serde_json::to_string_pretty(self)? + "\n"),
            Format::Junit => self.junit().to_string().map_err(io::Error::other),
        }
    }

    /// The exit status: 0 when every test is ok or skipped, else 1.
    #[must_use]
    pub fn status(&self) -> u8 {
        u8::from(self.count(|outcome| matches!(outcome, Outcome::NotOk(_))) > 0)
    }

    /// All of it in a line.
    #[must_use]
    pub fn verdict(&self) -> String {
        let ok = self.count(|outcome| *outcome == Outcome::Ok);
        let skipped = self.count(|outcome| *outcome == Outcome::Skipped);
        let wrong = self.tests.len() - ok - skipped;
        format!("{}: {ok} ok, {wrong} not ok, {skipped} skipped", self.kernel)
    }

    fn count(&self, is_it: impl Fn(&Outcome) -> bool) -> usize {
        self.tests.iter().filter(|done| is_it(&done.outcome)).count()
    }

    fn junit(&self) -> quick_junit::Report {
        let mut suite = TestSuite::new(&self.kernel);
        for Done { name, outcome, output, seconds } in &self.tests {
            let status = match outcome {
                Outcome::Ok => TestCaseStatus::success(),
                Outcome::Skipped => TestCaseStatus::skipped(),
                Outcome::NotOk(why) => {
                    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    status.set_message(why);
                    status
                }
            };
            let mut case = TestCase::new(&name.test, status);
            case.set_classname(format!("selftests.{}", name.collection));
            case.set_time(Duration::try_from_secs_f64(*seconds).unwrap_or_default());
            case.set_system_out(output.join("\n"));
            suite.add_test_case(case);
        }
        let mut report = quick_junit::Report::new("dimmer-lab selftest");
        report.add_test_suite(suite);
        report
    }
}
