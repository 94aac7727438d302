//! Batches on another host: where there is no hardware-assisted KVM, this program runs itself in an emulated host, which
//! hands back what becomes of each scenario, a JSON line each. A host that is lost, or falls silent, takes only what it was at
//! work on with it: another one goes on with what is left.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::{Batch, Entry};
use crate::host::bound;

/// Hosts in a row that may be lost without having checked anything.
const FRUITLESS: usize = 2;
/// How long a host may have nothing to tell: several times what the longest scenario takes. One that goes idle for good is
/// found by nothing else.
const SILENCE: Duration = Duration::from_secs(15 * 60);

/// A scenario's name and a kernel's.
pub type Check = (String, String);

/// The names of what a batch checks.
pub fn names<'a>(batch: &'a Batch<'_>) -> impl Iterator<Item = Check> + 'a {
    batch.sources.iter().map(|source| (source.name.clone(), batch.kernel.name.clone()))
}

/// The command that runs this program with `arguments` in an emulated host, where it [`answer`]s.
///
/// # Errors
/// When this program does not know itself.
pub fn host(arguments: &[String]) -> io::Result<Command> {
    let program = std::env::current_exe()?;
    let mut command = Command::new(&program);
    command.args(["host", "--"]).arg(&program).args(arguments);
    bound::bind(&mut command, Vec::new());
    Ok(command)
}

/// Has hosts check `all`, one after the other as long as they are lost. Gives what no host could check.
///
/// # Errors
/// When no host can be started.
pub fn run(
    host: impl Fn() -> io::Result<Command>,
    all: Vec<Check>,
    mut done: impl FnMut(Entry),
) -> io::Result<Vec<Check>> {
    let mut left = all;
    let mut fruitless = 0;
    while !left.is_empty() && fruitless < FRUITLESS {
        let before = left.len();
        one_host(host()?, &left.clone(), |entry| {
            left.retain(|(scenario, kernel)| (scenario, kernel) != (&entry.scenario, &entry.kernel));
            done(entry);
        })?;
        fruitless = if left.len() < before { 0 } else { fruitless + 1 };
        if !left.is_empty() {
            eprintln!("dimmer-lab: the host was lost; {} checks are left", left.len());
        }
    }
    Ok(left)
}

fn one_host(mut command: Command, wanted: &[Check], mut done: impl FnMut(Entry)) -> io::Result<()> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut host = Host(command.spawn()?);
    let missing = || io::Error::other("the host has no standard streams");
    let (mut stdin, stdout) =
        (host.0.stdin.take().ok_or_else(missing)?, host.0.stdout.take().ok_or_else(missing)?);
    // A host that is gone already shows at the end of its output.
    let _ = writeln!(stdin, "{}", serde_json::to_string(wanted)?);
    let (send, lines) = channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        for entry in lines.map_while(|line| serde_json::from_str::<Entry>(&line).ok()) {
            if send.send(entry).is_err() {
                break;
            }
        }
    });
    loop {
        match lines.recv_timeout(SILENCE) {
            Ok(entry) => done(entry),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {
                eprintln!("dimmer-lab: the host has said nothing for {} minutes", SILENCE.as_secs() / 60);
                return Ok(());
            }
        }
    }
}

/// The process that has the host; dropping it ends both.
struct Host(Child);

impl Drop for Host {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The other side: keeps of `batches` what standard input asks for.
///
/// # Errors
/// When it asks for nothing that can be read.
pub fn asked_for<'a>(batches: Vec<Batch<'a>>) -> io::Result<Vec<Batch<'a>>> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let wanted: Vec<Check> = serde_json::from_str(&line)?;
    let keep = |mut batch: Batch<'a>| {
        let kernel = &batch.kernel.name;
        batch
            .sources
            .retain(|source| wanted.iter().any(|(scenario, on)| (scenario, on) == (&source.name, kernel)));
        (!batch.sources.is_empty()).then_some(batch)
    };
    Ok(batches.into_iter().filter_map(keep).collect())
}

/// The other side: hands an entry back.
///
/// # Errors
/// When nobody is there to take it.
pub fn answer(entry: &Entry) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string(entry)?)?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::entry::{Outcome, Which};

    fn checks(count: usize) -> Vec<Check> {
        (0..count).map(|number| (format!("0{number}-a"), "6.1".to_owned())).collect()
    }

    fn passed((scenario, kernel): &Check) -> Entry {
        Entry {
            scenario: scenario.clone(),
            shows: String::new(),
            kernel: kernel.clone(),
            outcome: Outcome::Passed { steps: 1, remarks: Vec::new() },
            guest: Which::Fresh,
            seconds: 0.0,
            repeat: String::new(),
        }
    }

    /// Reads what is wanted, and tells of as many of those entries as `$1` says.
    const TELL: &str = r#"
        read -r wanted; left=$1; shift
        for entry; do
            name=${entry#*:\"}; name=${name%%\"*}
            case $wanted in *\"$name\"*) [ $left -gt 0 ] || exit 1; left=$((left - 1)); echo "$entry";; esac
        done"#;

    /// A host that tells of the first `count` checks that it is asked for, and is lost then.
    fn short_lived(count: usize) -> Command {
        let all =
            checks(9).iter().map(|check| serde_json::to_string(&passed(check)).unwrap()).collect::<Vec<_>>();
        let mut command = Command::new("sh");
        command.args(["-c", TELL, "sh", &count.to_string()]).args(all);
        command
    }

    #[test]
    fn another_host_goes_on_with_what_is_left() {
        let (mut told, hosts) = (Vec::new(), std::cell::Cell::new(0));
        let host = || {
            hosts.set(hosts.get() + 1);
            Ok(short_lived(2))
        };
        let left = run(host, checks(5), |entry| told.push((entry.scenario, entry.kernel))).unwrap();
        assert_eq!((left, told, hosts.get()), (Vec::new(), checks(5), 3));
    }

    #[test]
    fn hosts_that_get_nothing_done_are_not_started_for_ever() {
        let hosts = std::cell::Cell::new(0);
        let host = || {
            hosts.set(hosts.get() + 1);
            Ok(short_lived(if hosts.get() == 1 { 1 } else { 0 }))
        };
        let left = run(host, checks(3), drop).unwrap();
        assert_eq!((left, hosts.get()), (checks(3).split_off(1), 3));
    }
}
