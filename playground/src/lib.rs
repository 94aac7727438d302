//! The playground without a server: a module of wasm that a page asks what it asks `dimmer-lab serve` otherwise.
//!
//! Texts are UTF-8 in the module's memory. The page gets [`room`] for a question, writes it there, and calls [`answer`]; or it
//! calls [`library`]. What these return lies where they say, [`length`] bytes of it, until the next call.
#![expect(unsafe_code, reason = "a function that a page calls has a name that no other function may have")]

use std::cell::RefCell;

use dimmer_forecast::playground::{self, QUESTION};

thread_local! {
    /// The question, then the answer to it.
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Room for a question of so many bytes; null when there is none for one so long.
// SAFETY: No other function of this module, nor of what it is made of, has this name.
#[unsafe(no_mangle)]
pub extern "C" fn room(length: u32) -> *mut u8 {
    match usize::try_from(length) {
        Ok(length) if length <= QUESTION => TEXT.with_borrow_mut(|text| {
            *text = vec![0; length];
            text.as_mut_ptr()
        }),
        _ => std::ptr::null_mut(),
    }
}

/// Answers the question.
// SAFETY: As above.
#[unsafe(no_mangle)]
pub extern "C" fn answer() -> *const u8 {
    keep(playground::answer(&String::from_utf8_lossy(&TEXT.take())))
}

/// The library of scenarios, and what the letters of a map mean.
// SAFETY: As above.
#[unsafe(no_mangle)]
pub extern "C" fn library() -> *const u8 {
    keep(playground::library())
}

/// Bytes of the last answer.
// SAFETY: As above.
#[unsafe(no_mangle)]
pub extern "C" fn length() -> u32 {
    TEXT.with_borrow(|text| u32::try_from(text.len()).unwrap_or(u32::MAX))
}

fn keep(answer: String) -> *const u8 {
    TEXT.with_borrow_mut(|text| {
        *text = answer.into_bytes();
        text.as_ptr()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What lies at `place`, as the page reads it: by number.
    fn text(place: *const u8) -> String {
        TEXT.with_borrow(|text| {
            assert_eq!((text.as_ptr(), text.len()), (place, length() as usize));
            String::from_utf8(text.clone()).unwrap()
        })
    }

    #[test]
    fn a_question_is_written_and_its_answer_read() {
        let question = r#"{"scenario": "shows = \"nothing\""}"#;
        let place = room(u32::try_from(question.len()).unwrap());
        TEXT.with_borrow_mut(|text| {
            assert_eq!(text.as_mut_ptr(), place);
            text.copy_from_slice(question.as_bytes());
        });
        let told = text(answer());
        assert_eq!(told, playground::answer(question));
        assert!(told.contains("\"action\":\"boot\""), "{told}");
        assert_eq!(text(library()), playground::library());
    }

    #[test]
    fn what_is_no_question_has_problems_and_one_that_is_too_long_no_room() {
        assert!(!room(1).is_null());
        assert!(text(answer()).contains("problems"), "a byte that is 0 is no JSON");
        assert!(!room(u32::try_from(QUESTION).unwrap()).is_null());
        assert!(room(u32::try_from(QUESTION).unwrap() + 1).is_null());
    }
}
