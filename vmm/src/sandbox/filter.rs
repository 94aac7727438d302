//! A list of calls as programs that the host's kernel runs before each call (seccomp(2)).

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};
use syscalls::Sysno;

use super::calls::When;
use super::kind::Kind;

/// A filter that the host's kernel does not take.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// It cannot be written.
    #[error("a filter of system calls: {0}")]
    Backend(#[from] seccompiler::BackendError),
    /// It cannot be installed.
    #[error("a filter of system calls: {0}")]
    Install(#[from] seccompiler::Error),
}

/// What becomes of a call that is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// The thread gets SIGSYS.
    Trap,
    /// It is made, and is in the kernel's log.
    Log,
}

/// The programs of one kind of thread.
#[derive(Debug, Clone)]
pub struct Filter(Vec<BpfProgram>);

impl Filter {
    /// The filter of `kind`.
    ///
    /// # Errors
    /// [`FilterError`], which would be a mistake in a list.
    pub fn compile(kind: Kind, otherwise: Otherwise) -> Result<Self, FilterError> {
        let action = match otherwise {
            Otherwise::Trap => SeccompAction::Trap,
            Otherwise::Log => SeccompAction::Log,
        };
        let allowed = rules(kind)?;
        let starts_threads = allowed.contains_key(&number(Sysno::clone3));
        let mut all = vec![program(allowed, action, SeccompAction::Allow)?];
        if starts_threads {
            // The answer of a kernel that does not have it.
            let old = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
            let clone3 = BTreeMap::from([(number(Sysno::clone3), Vec::new())]);
            all.push(program(clone3, SeccompAction::Allow, old)?);
        }
        Ok(Self(all))
    }

    /// Lets the calling thread make no other calls from now on.
    ///
    /// # Errors
    /// [`FilterError`] when the host's kernel refuses.
    pub fn install(&self) -> Result<(), FilterError> {
        // The one that allows the fewest comes last: it need not allow what installs another.
        Ok(self.0.iter().rev().try_for_each(|program| apply_filter(program))?)
    }
}

fn program(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    action: SeccompAction,
) -> Result<BpfProgram, seccompiler::BackendError> {
    SeccompFilter::new(rules, otherwise, action, TargetArch::x86_64)?.try_into()
}

/// The rules of `kind` by the numbers of calls; no rule means any arguments.
fn rules(kind: Kind) -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for calls in kind.calls() {
        for (call, when) in calls.some {
            rules.entry(number(*call)).or_default().extend(conditions(*when)?);
        }
    }
    for call in kind.calls().iter().flat_map(|calls| calls.any) {
        rules.insert(number(*call), Vec::new());
    }
    Ok(rules)
}

fn conditions(when: When) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let rule = |argument, length, operator, value| {
        SeccompRule::new(vec![SeccompCondition::new(argument, length, operator, value)?])
    };
    let is = |argument, value| rule(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value);
    match when {
        When::OneOf { argument, values } => values.iter().map(|value| is(argument, *value)).collect(),
        When::Without { argument, bits } => {
            Ok(vec![rule(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(bits), 0)?])
        }
        When::Own { argument } => Ok(vec![is(argument, std::process::id().into())?]),
    }
}

fn number(call: Sysno) -> i64 {
    call.id().into()
}
