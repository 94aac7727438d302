//! A browser without a window, driven as WebDriver has it (W3C), over chromedriver.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::server::{PATIENCE, ask};

/// What keeps it from talking to anybody else.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
];
/// The name of an element in answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Whether there is one.
pub fn is_there() -> bool {
    let version =
        Command::new("chromedriver").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// The browser; it ends when it is dropped.
pub struct Browser {
    driver: Child,
    host: String,
    session: String,
    profile: tempfile::TempDir,
}

impl Browser {
    /// It starts, and knows nothing.
    pub fn start() -> Self {
        let mut driver = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = |line: String| {
            Some(line.split_once("started successfully on port ")?.1.trim_end_matches('.').to_owned())
        };
        let host = format!("127.0.0.1:{}", lines.map_while(Result::ok).find_map(port).unwrap());
        let profile = tempfile::tempdir().unwrap();
        let mut flags: Vec<String> = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"args": flags, "prefs": {
                "download.default_directory": profile.path().join("downloads"),
            }},
        }}});
        let mut browser = Self { driver, host, session: String::new(), profile };
        let session = browser.tell("POST", "/session", &wanted);
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        browser
    }

    fn tell(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let path = format!("{}{path}", self.session);
        let headers = [("Host", self.host.as_str()), ("Content-Type", "application/json")];
        let answer = ask(&self.host, method, &path, &headers, &body);
        assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        answer.json()["value"].take()
    }

    /// Opens an address.
    pub fn open(&self, address: &str) {
        self.tell("POST", "/url", &json!({ "url": address }));
    }

    /// What a script returns.
    pub fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.tell("POST", "/execute/sync", &json!({"script": script, "args": arguments}))
    }

    /// Waits until an expression is true.
    pub fn wait(&self, expression: &str) {
        let end = Instant::now() + PATIENCE;
        while self.run(&format!("return Boolean({expression})"), &[]) != true {
            let page = || self.run("return document.body.innerText", &[]);
            assert!(Instant::now() < end, "not in time: {expression}; the page says: {}", page());
        }
    }

    fn element(&self, selector: &str) -> String {
        let found = self.tell("POST", "/element", &json!({"using": "css selector", "value": selector}));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Clicks as a person would, which fails where something else lies over the element.
    pub fn click(&self, selector: &str) {
        self.tell("POST", &format!("/element/{}/click", self.element(selector)), &json!({}));
    }

    /// Types into an element, in place of what was there.
    pub fn fill(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.tell("POST", &format!("/element/{element}/clear"), &json!({}));
        self.tell("POST", &format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// Presses keys, wherever the focus is.
    pub fn press(&self, keys: &[&str]) {
        let press =
            |key: &&str| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})];
        let actions: Vec<Value> = keys.iter().flat_map(press).collect();
        self.tell(
            "POST",
            "/actions",
            &json!({"actions": [{"type": "key", "id": "keys", "actions": actions}]}),
        );
    }

    /// Where it puts what is saved.
    pub fn downloads(&self) -> PathBuf {
        self.profile.path().join("downloads")
    }

    /// What the browser complained of since it was asked last.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.tell("POST", "/se/log", &json!({"type": "browser"}));
        log.as_array().unwrap().iter().map(Value::to_string).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.tell("DELETE", "", &json!({}));
        }
        // It is gone, or will be.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
