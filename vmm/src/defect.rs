//! Panics: each is a defect of Dimmer.
//!
//! One that may leave a part of the machine half done (on a vCPU's thread, in the event loop) ends the machine, which says
//! so and has an exit status of its own. So does one of the API's thread, behind which nobody controls the machine any more.
//! One that only a request met, on the way to the machine (an API handler) or while the machine goes on without it (populating
//! a DIMM's memory, writing a snapshot), is that request's answer: a guest is not lost for it.

use std::any::Any;

/// What a caught panic said; where it was, is on standard error already.
pub fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panics_words_are_kept_whatever_they_are() {
        let caught = |act: fn()| std::panic::catch_unwind(act).unwrap_err();
        assert_eq!(words(&*caught(|| panic!("plain"))), "plain");
        assert_eq!(words(&*caught(|| panic!("with {}", std::hint::black_box(7)))), "with 7");
        assert_eq!(words(&*caught(|| std::panic::panic_any(7))), "a panic without words");
    }
}
