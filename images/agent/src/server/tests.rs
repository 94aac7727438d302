//! The real server loop on a socket pair, about a tree in a temporary directory.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::json;

use super::*;

/// Far more than any answer here needs; only a server that does not answer at all reaches it.
const DEADLINE: Duration = Duration::from_secs(60);

/// A client of a server that runs in its own thread until the client goes.
struct Client {
    lines: BufReader<UnixStream>,
    root: tempfile::TempDir,
}

impl Client {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (host, guest) = UnixStream::pair().unwrap();
        host.set_read_timeout(Some(DEADLINE)).unwrap();
        let tree = Tree::new(root.path());
        thread::spawn(move || serve(File::from(OwnedFd::from(guest)), tree));
        let client = Self { lines: BufReader::new(host), root };
        client.put("proc/sys/kernel/osrelease", "6.1.0-test\n");
        client.put("proc/sys/kernel/random/boot_id", "6b1e\n");
        client.put("proc/zoneinfo", "");
        client.put("sys/devices/system/memory/block_size_bytes", "8000000\n");
        client
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A named pipe, at which a command can be made to wait.
    fn gate(&self) -> PathBuf {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let gate = self.root.path().join("gate");
        mknodat(CWD, &gate, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        gate
    }

    fn say(&self, text: &str) {
        self.lines.get_ref().write_all(text.as_bytes()).unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn ask(&mut self, request: &Value) -> Value {
        self.say(&format!("{request}\n"));
        self.hear()
    }

    fn ping(&mut self, id: &str) {
        let answer = self.ask(&json!({"id": id, "do": "ping"}));
        assert_eq!(answer["id"], id, "{answer}");
        let expected = json!({"kernel": "6.1.0-test", "agent": env!("CARGO_PKG_VERSION"), "boot_id": "6b1e"});
        assert_eq!(answer["ok"], expected);
    }
}

#[test]
fn garbage_is_answered_and_forgotten() {
    let mut client = Client::new();
    client.say("\n\r\n   \n");
    for garbage in ["hello", "{", "[1,2]", "null", "{\"id\":{}}x", "\u{0}\u{1}"] {
        client.say(&format!("{garbage}\n"));
        let answer = client.hear();
        assert_eq!(answer["id"], Value::Null, "{garbage:?}: {answer}");
        assert!(answer["error"]["text"].as_str().unwrap().starts_with("Not a request: "), "{answer}");
    }
    client.ping("after");
}

#[test]
fn a_bad_request_is_refused_under_its_own_id() {
    let mut client = Client::new();
    let answer = client.ask(&json!({"id": "a", "do": "dance"}));
    assert_eq!(answer["id"], "a");
    assert!(answer["error"]["text"].as_str().unwrap().contains("dance"), "{answer}");
    let answer = client.ask(&json!({"id": 7, "do": "offline", "blocks": "9-3"}));
    assert_eq!(answer["id"], 7);
    assert!(answer["error"]["text"].as_str().unwrap().contains("9-3"), "{answer}");
}

#[test]
fn the_next_client_is_not_hurt_by_half_a_line() {
    let mut client = Client::new();
    client.say("{\"id\":\"first\",\"do\":\"pi");
    client.say("\n");
    client.say("{\"id\":\"second\",\"do\":\"ping\"}\n");
    assert_eq!(client.hear()["id"], Value::Null);
    assert_eq!(client.hear()["id"], "second");
}

#[test]
fn a_request_that_blocks_holds_up_no_other() {
    let mut client = Client::new();
    let gate = client.gate();
    let wait = json!({"id": "slow", "do": "exec", "argv": ["cat", gate.to_str().unwrap()]});
    client.say(&format!("{wait}\n"));
    for id in ["x", "y", "z"] {
        client.ping(id);
    }
    let answer = client.ask(&json!({"id": "layout", "do": "layout"}));
    assert_eq!(answer["id"], "layout");
    std::fs::write(&gate, "opened").unwrap();
    let answer = client.hear();
    assert_eq!(answer["id"], "slow");
    assert_eq!(answer["ok"], json!({"status": {"code": 0}, "stdout": "opened", "stderr": ""}));
}

#[test]
fn a_report_of_eight_thousand_blocks_is_one_line() {
    let mut client = Client::new();
    client.put("block/state", "online\n");
    client.put("block/valid_zones", "Movable\n");
    let block = client.root.path().join("block");
    for index in 0..8192 {
        let link = client.root.path().join(format!("sys/devices/system/memory/memory{index}"));
        std::os::unix::fs::symlink(&block, link).unwrap();
    }
    let answer = client.ask(&json!({"id": "big", "do": "layout"}));
    let layout: Response<Layout> = serde_json::from_value(answer).unwrap();
    let Outcome::Ok(layout) = layout.outcome else { panic!("refused") };
    assert_eq!(layout.blocks.len(), 8192);
    assert_eq!(layout.blocks[8191].index, 8191);
}

#[test]
fn changes_reach_the_kernels_files() {
    let mut client = Client::new();
    client.put("sys/devices/system/memory/memory48/state", "offline\n");
    client.put("sys/devices/system/memory/auto_online_blocks", "offline\n");
    let answer = client.ask(&json!({"id": 1, "do": "online", "blocks": "48-49", "zone": "kernel"}));
    assert_eq!(answer["ok"], json!([{"index": 48}, {"index": 49, "error": "ENOENT", "errno": 2}]));
    let set = json!({"id": 2, "do": "set", "name": "auto_online_blocks", "value": "online_movable"});
    assert_eq!(client.ask(&set), json!({"id": 2, "ok": null}));
    let read = |path| std::fs::read_to_string(client.root.path().join(path)).unwrap();
    assert!(read("sys/devices/system/memory/memory48/state").starts_with("online_kernel"));
    assert!(read("sys/devices/system/memory/auto_online_blocks").starts_with("online_movable"));
}

#[test]
fn the_kernels_log_comes_with_the_number_to_go_on_from() {
    let mut client = Client::new();
    client.put("dev/kmsg", "6,41,1000,-;Linux version\n");
    let log = client.ask(&json!({"id": 1, "do": "kernel_log"}));
    let record = json!({"seq": 41, "level": 6, "time_us": 1000, "text": "Linux version"});
    assert_eq!(log["ok"], json!({"records": [record], "next": 42}));
}

#[test]
fn too_many_requests_at_once_are_refused() {
    let mut client = Client::new();
    let gate = client.gate();
    // Open for both, the pipe blocks neither side and never ends.
    let mut keeper = File::options().read(true).write(true).open(&gate).unwrap();
    let input = format!("if={}", gate.to_str().unwrap());
    let slow = json!({"id": "slow", "do": "exec", "argv": ["dd", input, "bs=1", "count=1", "status=none"]});
    for _ in 0..MAX_REQUESTS {
        client.say(&format!("{slow}\n"));
    }
    let answer = client.ask(&json!({"id": "one too many", "do": "ping"}));
    assert_eq!(answer["id"], "one too many");
    assert!(answer["error"]["text"].as_str().unwrap().contains("64 requests already"), "{answer}");
    keeper.write_all(&[b'.'; MAX_REQUESTS]).unwrap();
    for _ in 0..MAX_REQUESTS {
        assert_eq!(client.hear()["ok"]["stdout"], ".");
    }
    // The last thread may still be ending when its answer is there.
    while client.ask(&json!({"id": "again", "do": "ping"})).get("ok").is_none() {}
}
