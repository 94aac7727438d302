//! JUnit's XML: a suite for each kernel, a case for each scenario. A difference is a `failure`, and what could not be
//! carried out is an `error`.

use std::io::{self, Write};
use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::{Entry, Outcome, Report, human};

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut document = quick_junit::Report::new("dimmer-lab check");
    document.set_time(Duration::try_from_secs_f64(report.seconds).unwrap_or_default());
    let mut kernels: Vec<&str> = report.entries.iter().map(|entry| entry.kernel.as_str()).collect();
    kernels.sort_unstable();
    kernels.dedup();
    for kernel in kernels {
        let mut suite = TestSuite::new(kernel);
        for entry in report.entries.iter().filter(|entry| entry.kernel == kernel) {
            suite.add_test_case(case(entry));
        }
        document.add_test_suite(suite);
    }
    document.serialize(out).map_err(io::Error::other)
}

fn case(entry: &Entry) -> TestCase {
    let wrong = |kind| {
        let mut status = TestCaseStatus::non_success(kind);
        status.set_message(entry.outcome.line()).set_type(entry.outcome.word().to_lowercase());
        status.set_description(human::details(entry).unwrap_or_default());
        status
    };
    let status = match &entry.outcome {
        Outcome::Passed { .. } => TestCaseStatus::success(),
        Outcome::Differs { .. } => wrong(NonSuccessKind::Failure),
        Outcome::Failed { .. } => wrong(NonSuccessKind::Error),
        Outcome::Skipped => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(entry.outcome.line());
            status
        }
    };
    let mut case = TestCase::new(&entry.scenario, status);
    case.set_classname(format!("scenarios.{}", entry.kernel));
    case.set_time(Duration::try_from_secs_f64(entry.seconds).unwrap_or_default());
    case
}
