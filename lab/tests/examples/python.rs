//! `examples/python`: pytest, on a host with KVM.

use std::process::Command;

use crate::{programs, said, top};

/// What runs its tests.
pub const PYTEST: &str = "pytest";

/// The page's own commands.
pub fn its_tests_pass() {
    let (programs, path) = programs();
    let lab = |arguments: &[&str]| {
        let mut lab = Command::new(programs.path().join("dimmer-lab"));
        lab.args(arguments).current_dir(top().join("examples/python"));
        lab.env("PATH", &path).env("PYTHONDONTWRITEBYTECODE", "1");
        lab
    };
    said(&mut lab(&["images", "fetch", "6.12"]));
    said(&mut lab(&["images", "path", "6.12"]));
    let text = said(&mut lab(&["host", "--", PYTEST, "-v", "-p", "no:cacheprovider"]));
    for test in [
        "a_dimm_is_movable_and_goes",
        "a_resize_is_done_when_it_says_so",
        "the_oracle_agrees_with_this_project",
    ] {
        assert!(text.contains(&format!("test_memory.py::test_{test} PASSED")), "{text}");
    }
    assert!(text.contains(" 3 passed in "), "{text}");
}
