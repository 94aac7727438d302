//! The last look at a machine before it goes: its books must agree, whatever a test was about.

use std::any::Any;
use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::{LOOK_AFTER, LOOK_AGAIN, TestVm};

thread_local! {
    /// What was found on this thread; `None` outside of [`audited`].
    static FOUND: RefCell<Option<Found>> = const { RefCell::new(None) };
}

/// What the last looks at machines found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What is wrong with their books.
    problems: Vec<String>,
    /// What there is to say of machines that had failed by then, or whose guests had fallen silent: no problem where a test
    /// wants just that.
    failed: Vec<String>,
}

/// What went wrong in a test, and what its machines had to say at their end.
#[derive(Debug)]
pub struct LastWords {
    found: Found,
    test: Option<Box<dyn Error>>,
}

impl fmt::Display for LastWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let test = self.test.as_ref().map(|error| crate::chain(&**error));
        let problems = self.found.problems.iter().map(|problem| format!("the last audit: {problem}"));
        let failed = self.found.failed.iter().cloned();
        f.write_str(&test.into_iter().chain(problems).chain(failed).collect::<Vec<_>>().join("\n"))
    }
}

impl Error for LastWords {}

/// Runs `test`, which also fails when the audit of a machine that goes meanwhile is not as it
/// should be. Machines that go on another thread, or outside of this, panic then.
///
/// # Errors
/// The test's, which may be a panic's message, or [`LastWords`] with what its machines said.
pub fn audited<T>(test: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<T, Box<dyn Error>> {
    let outer = FOUND.replace(Some(Found::default()));
    let result = catch_unwind(AssertUnwindSafe(test)).unwrap_or_else(|panic| Err(message(&*panic).into()));
    let found = FOUND.replace(outer).unwrap_or_default();
    match result {
        Ok(value) if found.problems.is_empty() => Ok(value),
        Err(error) if found.problems.is_empty() && found.failed.is_empty() => Err(error),
        result => Err(Box::new(LastWords { found, test: result.err() })),
    }
}

/// What a panic says; where it was has been printed by then.
fn message(panic: &dyn Any) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// What the audit is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    AllAgrees,
    /// A test has planted an error, and the audit must see it.
    AProblem,
}

/// Looks at a machine that goes. One that has ended has no books, and a test that panics has failed without.
pub(super) fn look(vm: &mut TestVm) -> Found {
    let audit = if runs(vm) && !std::thread::panicking() { Some(vm.rest.audit()) } else { None };
    let problems = match audit {
        None => Vec::new(),
        Some(Ok(audit)) => judge(vm.expected, audit.ok, audit.problems),
        Some(Err(_)) if ends(vm) => Vec::new(),
        Some(Err(error)) => vec![crate::chain(&error)],
    };
    Found { problems, failed: last_words(vm).into_iter().collect() }
}

/// What a machine said that has failed, or that its guest says nothing where it should; nothing when it runs, or ended as
/// somebody wished.
fn last_words(vm: &mut TestVm) -> Option<String> {
    if let Some(silence) = vm.silence() {
        return Some(format!("{silence}{}", vm.context()));
    }
    let status = vm.process.ended().ok()??;
    status.failed().then(|| format!("the machine had ended: {status}{}", vm.context()))
}

/// Fails the test that runs on this thread with what was found.
///
/// # Panics
/// When books differ and there is no test to fail.
pub(super) fn report(found: Found) {
    FOUND.with_borrow_mut(|all| match all {
        Some(all) => {
            all.problems.extend(found.problems);
            all.failed.extend(found.failed);
        }
        None if found.problems.is_empty() || std::thread::panicking() => {}
        None => panic!("the last audit of a machine: {}", found.problems.join("; ")),
    });
}

/// What is wrong with an answer to `GET /vm.audit`.
fn judge(expected: Expected, ok: bool, problems: Vec<String>) -> Vec<String> {
    match (expected, ok, problems.as_slice()) {
        (Expected::AllAgrees, true, []) | (Expected::AProblem, false, [_, ..]) => Vec::new(),
        (Expected::AProblem, true, []) => vec!["it says ok, although an error was planted".to_owned()],
        (_, false, []) => vec!["it is not ok and names no problem".to_owned()],
        (_, true, _) => vec![format!("it is ok and names problems: {}", problems.join("; "))],
        (Expected::AllAgrees, false, _) => problems,
    }
}

fn runs(vm: &mut TestVm) -> bool {
    matches!(vm.process.ended(), Ok(None))
}

/// Whether the machine, which does not answer, is on its way out.
fn ends(vm: &mut TestVm) -> bool {
    let end = Instant::now() + LOOK_AFTER;
    while runs(vm) {
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_is_judged_by_what_the_test_planted() {
        let problem = || vec!["slot 3 is nobody's".to_owned()];
        assert_eq!(judge(Expected::AllAgrees, true, vec![]), Vec::<String>::new());
        assert_eq!(judge(Expected::AProblem, false, problem()), Vec::<String>::new());
        assert_eq!(judge(Expected::AllAgrees, false, problem()), problem());
        for (expected, ok, problems) in [
            (Expected::AProblem, true, vec![]),
            (Expected::AProblem, false, vec![]),
            (Expected::AllAgrees, false, vec![]),
            (Expected::AllAgrees, true, problem()),
        ] {
            assert_eq!(judge(expected, ok, problems).len(), 1, "{expected:?} {ok}");
        }
    }

    #[test]
    fn what_is_found_fails_a_test_and_hides_no_error_of_its_own() {
        let find = |text: &str| {
            FOUND.with_borrow_mut(|all| all.as_mut().unwrap().problems.push(text.to_owned()));
        };
        assert_eq!(audited(|| Ok(7)).unwrap(), 7);
        let error = audited(|| {
            find("one");
            find("two");
            Ok(())
        });
        assert_eq!(error.unwrap_err().to_string(), "the last audit: one\nthe last audit: two");
        let error = audited::<()>(|| {
            find("one");
            Err("no layout".into())
        });
        assert_eq!(error.unwrap_err().to_string(), "no layout\nthe last audit: one");
        assert_eq!(audited(|| Ok(7)).unwrap(), 7, "nothing is left behind");
    }

    #[test]
    fn a_panic_is_an_error_like_any_other() {
        let said = |test: fn() -> Result<(), Box<dyn Error>>| audited(test).unwrap_err().to_string();
        assert_eq!(said(|| panic!("no layout")), "no layout");
        assert_eq!(said(|| panic!("no layout after {} s", 4)), "no layout after 4 s");
    }

    #[test]
    fn a_machine_that_failed_explains_an_error_and_is_none_itself() {
        let fail = || FOUND.with_borrow_mut(|all| all.as_mut().unwrap().failed.push("it had ended".into()));
        let right = audited(|| {
            fail();
            Ok(7)
        });
        assert_eq!(right.unwrap(), 7, "some tests want just that");
        let wrong = audited::<()>(|| {
            fail();
            Err("no answer".into())
        });
        assert_eq!(wrong.unwrap_err().to_string(), "no answer\nit had ended");
    }
}
