//! The playground as one file, opened without any server.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Instant;

use serde_json::{Value, json};

use crate::Test;
use crate::browser::Browser;
use crate::server::PATIENCE;

/// The tests of this file.
pub const TESTS: &[Test] = &[
    ("standalone::it_says_of_the_library_what_predict_says", it_says_of_the_library_what_predict_says),
    ("standalone::a_scenario_is_edited_explained_and_saved", a_scenario_is_edited_explained_and_saved),
    ("standalone::it_talks_to_nobody", it_talks_to_nobody),
    ("standalone::what_takes_too_long_is_ended", what_takes_too_long_is_ended),
];

/// Whether modules of wasm can be built.
pub fn can_be_made() -> bool {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", "wasm32-unknown-unknown"]).stderr(Stdio::null());
    rustc.output().is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

/// The page, which is made once; it stays where all that is built is.
static PAGE: LazyLock<PathBuf> = LazyLock::new(|| {
    let page = Path::new(env!("CARGO_TARGET_TMPDIR")).join("a page #1.html");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/playground");
    let made = Command::new(script).arg(&page).arg(env!("CARGO_BIN_EXE_dimmer-lab")).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    page
});

fn opened() -> Browser {
    let browser = Browser::start();
    let path = PAGE.display().to_string().replace(' ', "%20").replace('#', "%23");
    browser.open(&format!("file://{path}"));
    browser.wait("document.body.classList.contains('answered')");
    browser
}

/// What the oracle in the page answers, as the page gets it.
fn asked(browser: &Browser, question: &Value) -> Value {
    let ask = "
        delete window.told;
        oracle.answer(arguments[0]).then((told) => { window.told = told; }, (error) => { window.told = error.message; });";
    browser.run(ask, std::slice::from_ref(question));
    browser.wait("window.told");
    browser.run("return window.told", &[])
}

/// Every number, word and reason of it.
fn it_says_of_the_library_what_predict_says() {
    let browser = opened();
    let names = browser.run(
        "return [...document.querySelectorAll('#editor select[name=library] option')].map((one) => one.value)",
        &[],
    );
    let names: Vec<&str> =
        names.as_array().unwrap().iter().skip(1).map(|name| name.as_str().unwrap()).collect();
    assert!(names.iter().copied().eq(dimmer_lab::library::texts().map(|(name, _)| name)));
    for (name, text) in dimmer_lab::library::texts() {
        let mut answer = asked(&browser, &json!({ "scenario": text }));
        assert!(answer["steps"].is_array(), "{name}: {answer}");
        for step in answer["steps"].as_array_mut().unwrap() {
            let step = step.as_object_mut().unwrap();
            let taken = ["text", "shown", "sample"].map(|key| step.remove(key));
            assert!(taken.iter().all(Option::is_some), "{name}");
        }
        let predict = ["predict", name, "--json"];
        let output = Command::new(env!("CARGO_BIN_EXE_dimmer-lab")).args(predict).output().unwrap();
        let predicted: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer, predicted, "{name}");
    }
    assert_eq!(browser.complaints(), [""; 0]);
}

fn a_scenario_is_edited_explained_and_saved() {
    let browser = opened();
    browser.wait("document.querySelector('#map [data-block=\"48\"].new')");
    assert_eq!(browser.run("return document.getElementById('home')", &[]), Value::Null, "there is no server");
    browser.click("#map [data-block=\"48\"]");
    browser.wait("document.getElementById('explained').textContent.includes('early kernel pages')");
    let text = "shows = \"one\"\n[guest]\nauto_online_blocks = \"online_kernel\"\n[machine]\nmemory_hotplug = \
                [\"method=acpi,slots=1,size=2G\"]\n[[step]]\nplug = { id = \"d7\", size = \"1G\" }\n";
    browser.fill("#text", text);
    browser.wait("document.querySelector('#map [data-block=\"55\"].normal.new')?.textContent === 'N'");
    browser.wait("document.getElementById('devices').textContent.includes('d7')");
    browser.run("document.getElementById('save').click()", &[]);
    let saved = browser.downloads().join("scenario.toml");
    let end = Instant::now() + PATIENCE;
    while std::fs::read_to_string(&saved).ok().as_deref() != Some(text) {
        assert!(Instant::now() < end, "{} is not there", saved.display());
        std::thread::yield_now();
    }
    browser.fill("#text", "shows = \"it\"\n[machine]\nmemory_hotplug = [\"method=acpi,slotz=1,size=1G\"]");
    browser.wait("document.getElementById('problems').textContent.includes('slotz')");
    assert_eq!(browser.complaints(), [""; 0]);
}

/// Neither the page nor the thread of its oracle may reach anybody, and nobody was tried to be reached.
fn it_talks_to_nobody() {
    let browser = opened();
    assert_eq!(
        browser.run(
            "return performance.getEntriesByType('resource').map((one) => one.name)
        .filter((name) => !name.startsWith('blob:') && !name.startsWith('data:'))",
            &[]
        ),
        json!([])
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let attempt = "
        delete window.told;
        fetch(arguments[0], { mode: 'no-cors' }).then(() => { window.told = 'reached'; }, () => { window.told = 'stopped'; });
        document.body.append(Object.assign(document.createElement('img'), { src: arguments[0] }));";
    browser.run(attempt, &[json!(address)]);
    browser.wait("window.told");
    assert_eq!(browser.run("return window.told", &[]), "stopped");
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|one| one.contains("Content Security Policy")), "{complaints:?}");
    assert!(!complaints.is_empty());
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// A text within its bounds, but an answer that is not; the next question is answered as ever.
fn what_takes_too_long_is_ended() {
    let browser = opened();
    let step = "[[step]]\noffline = \"0-1048575\"\n";
    let text = format!("shows = \"much\"\n{}", step.repeat(1500));
    let told = asked(&browser, &json!({ "scenario": text }));
    let why = told.as_str().unwrap_or_else(|| panic!("{told}"));
    assert!(why.contains("more than 10 seconds") || why.contains("more memory than it may have"), "{why}");
    let told = asked(&browser, &json!({ "scenario": format!("shows = \"{}\"", "x".repeat(64 << 10)) }));
    assert!(told.as_str().unwrap().contains("too long"), "{told}");
    let told = asked(&browser, &json!({ "scenario": "shows = \"little\"" }));
    assert_eq!(told["steps"][0]["action"], "boot", "{told}");
}
