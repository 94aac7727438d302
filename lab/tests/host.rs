//! `dimmer-lab host` as its users see it: streams, status, time limit, interruption, failure. On a machine with
//! hardware-assisted KVM these run the direct way, elsewhere through the emulated host.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use dimmer_lab::host::detect;

fn lab<const N: usize>(arguments: [&str; N]) -> Command {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_dimmer-lab"));
    lab.arg("host").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    lab
}

/// Standard output, standard error behind the line that says which host it is, and exit status.
fn outcome(output: Output) -> (String, String, Option<i32>) {
    let stderr = String::from_utf8(output.stderr).unwrap();
    let (host, rest) = stderr.split_once('\n').unwrap();
    let expected = if detect::here().is_hardware() { "this machine: " } else { "emulated (" };
    assert!(host.starts_with(&format!("dimmer-lab: host: {expected}")), "{host}");
    (String::from_utf8(output.stdout).unwrap(), rest.to_owned(), output.status.code())
}

fn child_of(process: &Child) -> Option<u32> {
    let children = format!("/proc/{0}/task/{0}/children", process.id());
    fs::read_to_string(children).ok()?.split_whitespace().next()?.parse().ok()
}

/// Polls until `is_so`, for a minute at most.
fn wait_until(is_so: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

#[test]
fn two_at_once_keep_their_streams_status_directory_and_environment() {
    let script = "echo \"out $0 $PWD $VALUE\"; echo \"err $0\" >&2; exit $0";
    let start = |status: &str| {
        let mut lab = lab(["--", "sh", "-c", script, status]);
        lab.current_dir("/usr/bin").env("VALUE", "a value").spawn().unwrap()
    };
    let running = [("7", start("7")), ("0", start("0"))];
    for (status, lab) in running {
        let (stdout, stderr, code) = outcome(lab.wait_with_output().unwrap());
        assert_eq!(stdout, format!("out {status} /usr/bin a value\n"));
        assert_eq!(stderr, format!("err {status}\n"));
        assert_eq!(code, status.parse().ok());
    }
}

#[test]
fn a_hundred_megabytes_pass_in_and_out_unchanged() {
    const SIZE: usize = 100_000_000;
    // A period that shares no factor with any buffer's size: lost, doubled or swapped buffers show.
    let period: Vec<u8> =
        (0..1_000_003u32).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let mut lab = lab(["--", "cat"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = lab.stdin.take().unwrap();
    let sent = period.clone();
    let writer = thread::spawn(move || {
        let mut left = SIZE;
        while left > 0 {
            let length = left.min(sent.len());
            stdin.write_all(&sent[..length]).unwrap();
            left -= length;
        }
    });
    let mut stdout = BufReader::with_capacity(1 << 20, lab.stdout.take().unwrap());
    let mut received = 0;
    loop {
        let bytes = stdout.fill_buf().unwrap();
        if bytes.is_empty() {
            break;
        }
        let at = received % period.len();
        let length = bytes.len().min(period.len() - at);
        assert!(bytes[..length] == period[at..at + length], "differs within {length} bytes at {received}");
        received += length;
        stdout.consume(length);
    }
    writer.join().unwrap();
    assert_eq!(received, SIZE);
    assert_eq!(outcome(lab.wait_with_output().unwrap()).2, Some(0));
}

#[test]
fn a_hung_command_ends_at_the_timeout() {
    let output = lab(["--timeout", "1.5", "--", "sh", "-c", "echo started; sleep 600"]).output().unwrap();
    let (stdout, stderr, code) = outcome(output);
    assert_eq!((stdout.as_str(), code), ("started\n", Some(124)));
    assert!(stderr.contains("took longer than"), "{stderr}");
}

#[test]
fn signals_and_missing_programs_have_the_status_of_a_shell() {
    // The lab's own shell asks for both, so that one host serves them; inside, KVM is there and the way is direct.
    let program = env!("CARGO_BIN_EXE_dimmer-lab");
    let script = format!(
        "{program} host -- /no/such 2>/dev/null; echo $?; {program} host -- /etc/passwd 2>/dev/null; echo $?; \
         kill -SEGV $$"
    );
    let (stdout, _, code) = outcome(lab(["--timeout", "60", "--", "sh", "-c", &script]).output().unwrap());
    assert_eq!((stdout.as_str(), code), ("127\n126\n", Some(139)));
}

#[test]
fn killing_it_leaves_no_process_behind() {
    let script = "echo up; exec sleep 600";
    let mut lab = lab(["--timeout", "500", "--", "sh", "-c", script]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(lab.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    let child = child_of(&lab).unwrap();
    let status = format!("/proc/{child}/status");
    assert!(Path::new(&status).exists());
    lab.kill().unwrap();
    lab.wait().unwrap();
    // A zombie is dead; its new parent reaps it in its own time.
    let is_gone = || fs::read_to_string(&status).map_or(true, |text| text.contains("\nState:\tZ"));
    assert!(wait_until(is_gone), "{child} is alive");
}

#[test]
fn a_panic_of_the_emulated_host_is_told_from_the_command_and_its_console_kept() {
    let crash = "test \"$DIMMER_HOST\" = emulated && echo c > /proc/sysrq-trigger";
    let mut lab = lab(["--emulated", "--", "sh", "-c", crash]);
    let output = lab.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let (_, console) = stderr.trim_end().split_once("its console is in ").unwrap();
    let mut text = String::new();
    fs::File::open(console).unwrap().read_to_string(&mut text).unwrap();
    fs::remove_file(console).unwrap();
    assert!(text.contains("Kernel panic - not syncing: sysrq triggered crash"), "{text}");
}

#[test]
fn bad_usage_is_status_two_and_names_the_flag() {
    for (arguments, named) in [
        (["--timeout", "0", "true"], "--timeout"),
        (["--memory", "1000", "true"], "--memory"),
        (["--cpus", "0", "true"], "--cpus"),
        (["--emulated", "--timeout", "5"], "<CMD>"),
    ] {
        let output = lab(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(named), "{stderr}");
    }
}
