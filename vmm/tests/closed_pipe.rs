//! Whoever reads what `dimmer` prints may have seen enough (`| head -1`), of complaints as of answers.

use std::io::{BufRead, BufReader, PipeWriter, Write};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::thread;

fn closed() -> PipeWriter {
    std::io::pipe().expect("the host has a pipe").1
}

fn dimmer(arguments: &[&str], out: impl Into<Stdio>, complaints: impl Into<Stdio>) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dimmer"));
    let command = command.args(arguments).stdin(Stdio::null()).stdout(out).stderr(complaints);
    let output = command.spawn().and_then(Child::wait_with_output).expect("it runs");
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn answers_and_help_that_nobody_reads_are_given() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api");
    let listener = UnixListener::bind(&path).unwrap();
    let machine = thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            let head =
                BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            assert!(head.count() > 0);
            let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]";
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let socket = path.to_str().unwrap();
    for more in [&["devices"][..], &["--json", "devices"]] {
        let arguments = [&["ctl", "--api-socket", socket][..], more].concat();
        assert_eq!(dimmer(&arguments, closed(), Stdio::piped()), (Some(0), String::new()), "{more:?}");
    }
    machine.join().unwrap();
    assert_eq!(dimmer(&["run", "--help"], closed(), Stdio::piped()), (Some(0), String::new()));
}

#[test]
fn complaints_that_nobody_reads_change_no_exit_status() {
    let commands: [&[&str]; 4] = [
        &["ctl", "--api-socket", "/there/is/none", "ping"],
        &["merge", "/there/is/none", "/nor/here"],
        &["run", "--kernel", "/there/is/none"],
        &["run"],
    ];
    for command in commands {
        let (status, _) = dimmer(command, Stdio::null(), closed());
        assert_eq!(status, Some(2), "{command:?}");
    }
}
