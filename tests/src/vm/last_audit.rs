//! The last look at a machine before it goes: its books must agree, whatever a test was about.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::time::Instant;

use super::{LOOK_AFTER, LOOK_AGAIN, TestVm};
use crate::rest::RestError;

thread_local! {
    /// What was found on this thread; `None` outside of [`audited`].
    static FOUND: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// A test whose machines' books did not agree when they went.
#[derive(Debug)]
pub struct BooksDiffer {
    found: Vec<String>,
    /// What was wrong besides.
    test: Option<Box<dyn Error>>,
}

impl fmt::Display for BooksDiffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the audit of a machine at its end:\n  {}", self.found.join("\n  "))?;
        match &self.test {
            Some(error) => write!(f, "\nand before that: {}", crate::chain(&**error)),
            None => Ok(()),
        }
    }
}

impl Error for BooksDiffer {}

/// Runs `test`, which also fails when the audit of a machine that goes meanwhile is not as it
/// should be. Machines that go on another thread, or outside of this, panic then.
///
/// # Errors
/// The test's, or [`BooksDiffer`].
pub fn audited<T>(test: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<T, Box<dyn Error>> {
    FOUND.set(Some(Vec::new()));
    let result = test();
    match FOUND.take() {
        Some(found) if !found.is_empty() => Err(Box::new(BooksDiffer { found, test: result.err() })),
        _ => result,
    }
}

/// What the audit is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    AllAgrees,
    /// A test has planted an error, and the audit must see it.
    AProblem,
}

/// What is wrong with the books of a machine that goes. One that has ended has none, and a test that
/// panics has failed already.
pub(super) fn audit(vm: &mut TestVm) -> Vec<String> {
    if std::thread::panicking() || !runs(vm) {
        return Vec::new();
    }
    match vm.rest.audit() {
        Ok(audit) => judge(vm.expected, audit.ok, audit.problems),
        Err(RestError::Client(_)) if ends(vm) => Vec::new(),
        Err(error) => vec![crate::chain(&error)],
    }
}

/// Fails the test that runs on this thread with what was found.
///
/// # Panics
/// When there is something and no test to fail.
pub(super) fn report(found: Vec<String>) {
    if found.is_empty() {
        return;
    }
    FOUND.with_borrow_mut(|all| match all {
        Some(all) => all.extend(found),
        None => panic!("the audit of a machine at its end: {}", found.join("; ")),
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
    matches!(vm.child.try_wait(), Ok(None))
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
        let find = |text: &str| FOUND.with_borrow_mut(|all| all.as_mut().unwrap().push(text.to_owned()));
        assert_eq!(audited(|| Ok(7)).unwrap(), 7);
        let error = audited(|| {
            find("one");
            find("two");
            Ok(())
        });
        assert_eq!(error.unwrap_err().to_string(), "the audit of a machine at its end:\n  one\n  two");
        let error = audited::<()>(|| {
            find("one");
            Err("no layout".into())
        });
        assert!(error.unwrap_err().to_string().ends_with("one\nand before that: no layout"));
        assert_eq!(audited(|| Ok(7)).unwrap(), 7, "nothing is left behind");
    }
}
