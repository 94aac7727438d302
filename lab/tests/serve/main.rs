//! `dimmer-lab serve` as its users have it: the server as a process, machines that are none, and, where there is one, a browser.
//!
//! Tests in the browser need `chromedriver` on PATH (Debian: chromium-driver), those of the page without a server Rust's target
//! wasm32-unknown-unknown besides; where they are not, these are left out, which is said.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use libtest_mimic::{Arguments, Failed, Trial};

mod answers;
mod browser;
mod machine;
mod pages;
mod server;
mod standalone;

/// A test and its name.
type Test = (&'static str, fn());

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let has_browser = browser::is_there();
    let has_wasm = standalone::can_be_made();
    let left_out = |count, what, how| {
        if !arguments.list {
            eprintln!("dimmer-lab serve: {count} tests {what} ({how})");
        }
    };
    if !has_browser {
        let count = pages::TESTS.len() + standalone::TESTS.len();
        let what = "in a browser are left out: there is no chromedriver on PATH";
        left_out(count, what, "apt-get install chromium chromium-driver");
    } else if !has_wasm {
        let what = "of the page without a server are left out: Rust's target wasm32-unknown-unknown is not installed";
        left_out(standalone::TESTS.len(), what, "rustup target add wasm32-unknown-unknown");
    }
    let trial = |(name, test): &Test| {
        let test = *test;
        Trial::test(*name, move || {
            test();
            Ok::<_, Failed>(())
        })
    };
    let answers = answers::TESTS.iter().map(trial);
    let pages = pages::TESTS.iter().map(|test| trial(test).with_ignored_flag(!has_browser));
    let standalone = standalone::TESTS.iter();
    let standalone = standalone.map(|test| trial(test).with_ignored_flag(!has_browser || !has_wasm));
    libtest_mimic::run(&arguments, answers.chain(pages).chain(standalone).collect()).exit_code()
}
