//! Other people's projects, as `examples/` has them: each is run as its page says it is.
//!
//! Those that boot guests take more than a minute where there is no hardware-assisted KVM, and wait until ignored tests are asked
//! for. The one in Python needs `pytest` on PATH; where it is not, it is left out, which is said.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dimmer_lab::host::needs::find;
use libtest_mimic::{Arguments, Failed, Trial};

mod bisect;
mod python;
mod rust;

/// A test, its name, and whether it boots guests.
type Test = (&'static str, fn(), bool);

const TESTS: [Test; 4] = [
    ("bisect::the_first_bad_commit_of_a_tree", bisect::the_first_bad_commit_of_a_tree, false),
    ("bisect::the_kernel_that_moved_a_block", bisect::the_kernel_that_moved_a_block, true),
    ("python::its_tests_pass", python::its_tests_pass, true),
    ("rust::its_tests_pass", rust::its_tests_pass, true),
];

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let is_left_out = |name: &str| name.starts_with("python::") && find(python::PYTEST).is_none();
    if TESTS.iter().any(|(name, ..)| is_left_out(name)) && !arguments.list {
        eprintln!("examples: the one in Python is left out: there is no pytest on PATH (pip install pytest)");
    }
    let tests = TESTS.into_iter().filter(|(name, ..)| !is_left_out(name));
    let trials = tests.map(|(name, test, boots)| {
        let run = move || {
            test();
            Ok::<_, Failed>(())
        };
        Trial::test(name, run).with_ignored_flag(boots)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// The top of the repository.
fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// A directory with the programs `dimmer` and `dimmer-lab`, and PATH with it in front.
fn programs() -> (tempfile::TempDir, OsString) {
    let directory = tempfile::tempdir().unwrap();
    for name in ["dimmer", "dimmer-lab"] {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_dimmer-lab"), directory.path().join(name)).unwrap();
    }
    let path = in_front(directory.path());
    (directory, path)
}

/// PATH with a directory in front.
fn in_front(directory: &Path) -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(directory.to_owned()).chain(std::env::split_paths(&path))).unwrap()
}

/// What a command says, which must succeed.
fn said(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(status.success(), "{command:?}: {status}\n{text}");
    text
}
