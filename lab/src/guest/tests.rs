//! The client against the agent's own server loop, and against peers that misbehave.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::thread::{self, JoinHandle};

use dimmer_agent::protocol::Status;
use dimmer_agent::server;
use dimmer_agent::tree::Tree;
use serde_json::{Value, json};

use super::*;

/// Far more than any answer here needs; only a peer that never answers reaches it.
const DEADLINE: Duration = Duration::from_secs(60);
/// For calls that are to run into their deadline.
const SHORT: Duration = Duration::from_millis(50);
/// For calls that are to run into their deadline after several answers.
const SOME: Duration = Duration::from_secs(1);

const MEMORY: &str = "sys/devices/system/memory";

/// A guest with one block, and the socket on which its agent answers.
struct Fixture {
    root: tempfile::TempDir,
    socket: PathBuf,
}

impl Fixture {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let socket = root.path().join("agent.sock");
        let fixture = Self { root, socket };
        fixture.put("proc/sys/kernel/osrelease", "6.1.0-test\n");
        fixture.put("proc/sys/kernel/random/boot_id", "first\n");
        fixture.put("proc/zoneinfo", "");
        fixture.put(&format!("{MEMORY}/block_size_bytes"), "8000000\n");
        fixture.put(&format!("{MEMORY}/memory48/state"), "online\n");
        fixture
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Serves every client that connects, as the machine's agent port would.
    fn serve(&self) {
        let listener = UnixListener::bind(&self.socket).unwrap();
        let tree = Tree::new(self.root.path());
        thread::spawn(move || {
            for client in listener.incoming().map(Result::unwrap) {
                let tree = tree.clone();
                thread::spawn(move || server::serve(File::from(OwnedFd::from(client)), tree));
            }
        });
    }

    /// Accepts one client and answers each of its requests, by number and id, with the text that
    /// `answer` gives, until that is `None`.
    fn play(&self, answer: impl Fn(usize, &Value) -> Option<String> + Send + 'static) -> JoinHandle<()> {
        let listener = UnixListener::bind(&self.socket).unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            for (number, line) in lines.filter(|line| !line.is_empty()).enumerate() {
                let request: Value = serde_json::from_str(&line).unwrap();
                let Some(text) = answer(number, &request["id"]) else { return };
                stream.write_all(text.as_bytes()).unwrap();
            }
        })
    }

    fn connect(&self) -> Guest {
        Guest::connect(&self.socket, DEADLINE).unwrap()
    }
}

fn pong(id: &Value) -> String {
    format!("{}\n", json!({"id": id, "ok": {"kernel": "6.1.0", "agent": "0", "boot_id": "first"}}))
}

#[test]
fn the_agent_answers_what_it_is_asked() {
    let fixture = Fixture::new();
    fixture.serve();
    let mut guest = fixture.connect();
    assert_eq!(guest.kernel(), "6.1.0-test");
    assert_eq!(guest.layout().unwrap().blocks[0].index, 48);
    let executed = guest.exec(&["sh", "-c", "cat; exit 3"], b"hello").unwrap();
    assert_eq!((executed.status, executed.stdout.0), (Status::Code(3), b"hello".to_vec()));
    let results = guest.offline(&"48-49".parse().unwrap()).unwrap();
    assert_eq!((results[0].errno, results[1].error.as_deref()), (None, Some("ENOENT")));
    assert_eq!(
        fs::read_to_string(fixture.root.path().join(MEMORY).join("memory48/state")).unwrap(),
        "offline"
    );
}

#[test]
fn a_refusal_carries_the_kernels_error_number() {
    let fixture = Fixture::new();
    fixture.serve();
    let mut guest = fixture.connect();
    let error = guest.set(Parameter::OnlinePolicy, "auto-movable").unwrap_err();
    let GuestError::Refused(failure) = &error else { panic!("{error}") };
    assert_eq!(failure.errno, Some(2));
    assert!(error.to_string().contains("online_policy: ENOENT"), "{error}");
}

#[test]
fn a_socket_that_comes_late_is_waited_for() {
    let fixture = Fixture::new();
    let socket = fixture.socket.clone();
    let client = thread::spawn(move || Guest::connect(socket, DEADLINE).map(|guest| guest.pong.kernel));
    // A machine that hangs up on the first attempt, and then is not there at all.
    let first = UnixListener::bind(&fixture.socket).unwrap();
    drop(first.accept().unwrap());
    drop(first);
    fs::remove_file(&fixture.socket).unwrap();
    fixture.serve();
    assert_eq!(client.join().unwrap().unwrap(), "6.1.0-test");
}

#[test]
fn no_socket_and_no_answer_end_at_the_deadline() {
    let fixture = Fixture::new();
    let error = Guest::connect(&fixture.socket, SHORT).unwrap_err();
    assert!(matches!(error, GuestError::NotReady { .. }), "{error}");
    let _listener = UnixListener::bind(&fixture.socket).unwrap();
    let error = Guest::connect(&fixture.socket, SHORT).unwrap_err();
    let expected = format!("No agent answers at {} within 0.05 s", fixture.socket.display());
    assert_eq!(error.to_string(), expected);
    let in_all = error.after(Duration::from_secs(240)).to_string();
    assert_eq!(in_all, expected.replace("0.05 s", "240 s"));
}

#[test]
fn answers_to_others_and_noise_are_skipped() {
    let fixture = Fixture::new();
    let _peer = fixture.play(|_, id| {
        let stranger = json!({"id": "somebody else's", "error": {"text": "no"}});
        let nobody = json!({"id": null, "error": {"text": "Not a request"}});
        Some(format!("tail of a torn line\"}}\n\n{stranger}\n{nobody}\n{}", pong(id)))
    });
    assert_eq!(fixture.connect().kernel(), "6.1.0");
}

#[test]
fn a_late_answer_does_not_confuse_the_next_request() {
    let fixture = Fixture::new();
    let late = std::sync::Mutex::new(String::new());
    let _peer = fixture.play(move |number, id| match number {
        0 => Some(pong(id)),
        1 => {
            *late.lock().unwrap() = format!("{}\n", json!({"id": id, "ok": {"records": [], "next": 1}}));
            Some(String::new())
        }
        _ => {
            let answer = json!({"id": id, "ok": {"records": [], "next": 2}});
            Some(format!("{}{answer}\n", late.lock().unwrap()))
        }
    });
    let mut guest = fixture.connect();
    guest.set_patience(SHORT);
    let error = guest.kernel_log(0).unwrap_err();
    let expected = "The guest has not answered \"kernel_log\" within 0.05 s; it may still carry it out";
    assert_eq!(error.to_string(), expected);
    guest.set_patience(DEADLINE);
    assert_eq!(guest.kernel_log(0).unwrap().next, 2);
}

#[test]
fn a_machine_that_ends_is_told_from_one_that_is_slow() {
    let fixture = Fixture::new();
    let _peer = fixture.play(|number, id| (number == 0).then(|| pong(id)));
    let error = fixture.connect().layout().unwrap_err();
    assert!(matches!(error, GuestError::Closed(_)), "{error}");
}

#[test]
fn a_reboot_is_over_when_another_kernel_answers() {
    let fixture = Fixture::new();
    fixture.serve();
    let mut guest = fixture.connect();
    let error = guest.rebooted(SOME).unwrap_err();
    assert_eq!(error.to_string(), "The guest has not rebooted within 1 s");
    fixture.put("proc/sys/kernel/random/boot_id", "second\n");
    guest.rebooted(DEADLINE).unwrap();
    assert_eq!(guest.layout().unwrap().blocks.len(), 1);
}

#[test]
fn switching_off_is_done_when_the_machine_is_gone() {
    let fixture = Fixture::new();
    let _peer = fixture.play(|number, id| (number == 0).then(|| pong(id)));
    fixture.connect().power_off().unwrap();
}

#[test]
fn an_answer_of_the_wrong_kind_is_no_answer() {
    let fixture = Fixture::new();
    let _peer = fixture.play(|_, id| Some(pong(id)));
    let error = fixture.connect().layout().unwrap_err();
    assert!(matches!(error, GuestError::Answer { .. }), "{error}");
}

#[test]
fn a_quiet_layout_is_settled() {
    let fixture = Fixture::new();
    fixture.serve();
    assert_eq!(fixture.connect().settled(DEADLINE).unwrap().blocks.len(), 1);
}

#[test]
fn what_is_pending_is_named_at_the_deadline() {
    let fixture = Fixture::new();
    fixture.put(&format!("{MEMORY}/memory48/state"), "going-offline\n");
    fixture.serve();
    let error = fixture.connect().settled(SOME).unwrap_err();
    let expected = "The guest's memory layout has not settled within 1 s\n  block 48 is going offline";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_layout_settles_once_reports_agree() {
    let fixture = Fixture::new();
    let _peer = fixture.play(|number, id| {
        let changing = Layout { mem_total_kb: Some(number.min(5) as u64), ..Layout::default() };
        let answer = format!("{}\n", json!({"id": id, "ok": changing}));
        Some(if number == 0 { pong(id) } else { answer })
    });
    // Requests 5 and 6 are the first two in a row that agree.
    assert_eq!(fixture.connect().settled(DEADLINE).unwrap().mem_total_kb, Some(5));
}

#[test]
fn a_layout_that_keeps_changing_is_shown_with_the_difference() {
    let fixture = Fixture::new();
    let _peer = fixture.play(|number, id| {
        let changing = Layout { mem_total_kb: Some(number as u64 % 2), ..Layout::default() };
        let answer = format!("{}\n", json!({"id": id, "ok": changing}));
        Some(if number == 0 { pong(id) } else { answer })
    });
    let error = fixture.connect().settled(SOME).unwrap_err();
    let GuestError::NotSettled { reasons, .. } = error else { panic!("{error}") };
    let mut reasons: Vec<_> = reasons.iter().map(|reason| &reason[2..]).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["MemTotal 0 kB", "MemTotal 1 kB"]);
}

#[test]
fn memory_is_read_and_written_where_asked() {
    let fixture = Fixture::new();
    fixture.put("dev/mem", &"0123456789abcdef".repeat(512));
    fixture.serve();
    let mut guest = fixture.connect();
    assert_eq!(guest.peek(4094, 4).unwrap(), b"ef01");
    guest.poke(4095, &[0xff, 0]).unwrap();
    assert_eq!(guest.peek(4094, 4).unwrap(), b"e\xff\x001");
    let refused = guest.peek(4096, 0).unwrap_err();
    assert_eq!(refused.to_string(), "The guest refused: 0 bytes: it must be 1 to 1048576");
}

#[test]
fn what_is_not_there_cannot_be_released_or_started() {
    let fixture = Fixture::new();
    fixture.put("sys/kernel/kexec_loaded", "0\n");
    fixture.serve();
    let mut guest = fixture.connect();
    assert_eq!(guest.unpin(0x1000).unwrap_err().to_string(), "The guest refused: No page at 0x1000 is held");
    assert_eq!(guest.kexec().unwrap_err().to_string(), "The guest refused: No kernel is loaded");
    let load = KexecLoad {
        kernel: "/no/such/kernel".into(),
        initramfs: "/no/such/initramfs".into(),
        cmdline: String::new(),
        on_crash: false,
    };
    let refused = guest.kexec_load(&load).unwrap_err().to_string();
    assert!(refused.contains("Cannot open the kexec file /no/such/kernel: ENOENT"), "{refused}");
}
