//! `dimmer-lab serve` as its users have it: the server as a process, machines that are none, and, where there is one, a browser.
//!
//! Tests in the browser need `chromedriver` on PATH (Debian: chromium-driver); where it is not, they are left out, which
//! is said.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use libtest_mimic::{Arguments, Failed, Trial};

mod answers;
mod browser;
mod machine;
mod pages;
mod server;

/// A test and its name.
type Test = (&'static str, fn());

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let has_browser = browser::is_there();
    if !has_browser && !arguments.list {
        eprintln!(
            "dimmer-lab serve: {} tests in a browser are left out: there is no chromedriver on PATH \
             (apt-get install chromium chromium-driver)",
            pages::TESTS.len()
        );
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
    libtest_mimic::run(&arguments, answers.chain(pages).collect()).exit_code()
}
