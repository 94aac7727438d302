//! libFuzzer with one target in it, which `DIMMER_FUZZ_TARGET` names. `dimmer-fuzz` builds and runs it.
#![no_main]

use std::sync::LazyLock;

use dimmer_fuzz::{TARGETS, Target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("DIMMER_FUZZ_TARGET").unwrap_or_default();
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("there is no target {name:?}"))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
