//! What the process of `dimmer run` may do on the host, and who may come to its sockets.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::keys::{KeyError, Keys, number, size, word};
use crate::spec::{KvmSpec, Limit, SandboxMode, SandboxSpec, SocketSpec};

/// Where the host has its users and groups by name (passwd(5), group(5)).
const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// The flags.
#[derive(Debug, Clone, Args)]
pub struct SandboxArgs {
    /// What the process may do on the host while the guest runs: on (default: what its threads need, and no more), log (everything;
    /// the host's kernel log says what `on` would have ended the machine for) or off (everything)
    #[arg(long, value_name = "on|log|off", default_value = "on", value_parser = word::<SandboxMode>)]
    pub sandbox: SandboxMode,

    /// A directory below which clients may have snapshots written, and forks' sockets and consoles (may be repeated; default: anywhere)
    ///
    /// With it no path is reached in the sandbox that was not named on the command line. Sockets of forks may also be where the
    /// machine's own sockets are. Without it clients name any path, and the threads that write for them reach every file that this
    /// user does.
    #[arg(long, value_name = "DIR")]
    pub allow_path: Vec<PathBuf>,

    /// Limits of the process: [nofile=N][,fsize=SIZE][,as=SIZE][,core=SIZE][,memlock=SIZE], as setrlimit(2) has them
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub rlimit: Option<LimitsArg>,

    /// Join this control group, a directory with cgroup.procs, before anything else
    #[arg(long, value_name = "DIR")]
    pub cgroup: Option<PathBuf>,

    /// KVM's device: a path, or fd=N for one that this process was started with (default: /dev/kvm)
    #[arg(long, value_name = "PATH")]
    pub kvm: Option<KvmArg>,

    /// Whose the machine's sockets are, and who may come: [mode=0660][,owner=USER][,group=GROUP][,uid=N]...[,gid=N]...
    ///
    /// All sockets that it listens on have the permissions `mode` (0600 without it), and the user `owner` and the group `group`, by
    /// number or name. With `uid` or `gid`, which may stand several times, only processes of these users and groups are served,
    /// whatever the file lets through.
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub sockets: Option<SocketsArg>,

    /// The thread of this name makes a call that its sandbox does not allow
    #[arg(long, hide = true, value_name = "THREAD")]
    pub sandbox_try: Option<String>,
}

impl SandboxArgs {
    /// What was typed.
    pub fn into_spec(self) -> SandboxSpec {
        SandboxSpec {
            mode: self.sandbox,
            allowed: self.allow_path,
            tried: self.sandbox_try,
            limits: self.rlimit.map_or_else(Vec::new, |LimitsArg(limits)| limits),
            cgroup: self.cgroup,
            sockets: self.sockets.map_or_else(SocketSpec::default, |SocketsArg(sockets)| sockets),
            kvm: self.kvm.map_or_else(KvmSpec::default, |KvmArg(kvm)| kvm),
        }
    }
}

/// What a fork of a machine with `spec` is started with to be like it. (Limits and control groups are handed down.)
pub fn words(spec: &SandboxSpec) -> Vec<OsString> {
    let mode = match spec.mode {
        SandboxMode::On => "on",
        SandboxMode::Log => "log",
        SandboxMode::Off => "off",
    };
    let mut words: Vec<OsString> = vec!["--sandbox".into(), mode.into()];
    for directory in &spec.allowed {
        let mut word = OsString::from("--allow-path=");
        word.push(directory);
        words.push(word);
    }
    words.push("--kvm".into());
    words.push(match &spec.kvm {
        KvmSpec::Path(path) => path.into(),
        KvmSpec::Fd(number) => format!("fd={number}").into(),
    });
    let SocketSpec { mode, owner, group, users, groups } = &spec.sockets;
    let mut keys = vec![format!("mode={mode:04o}")];
    keys.extend(owner.map(|owner| format!("owner={owner}")));
    keys.extend(group.map(|group| format!("group={group}")));
    keys.extend(users.iter().map(|user| format!("uid={user}")));
    keys.extend(groups.iter().map(|group| format!("gid={group}")));
    words.extend(["--sockets".into(), keys.join(",").into()]);
    words
}

/// The value of `--rlimit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsArg(Vec<(Limit, u64)>);

impl FromStr for LimitsArg {
    type Err = KeyError;

    fn from_str(argument: &str) -> Result<Self, KeyError> {
        let sizes = [Limit::Fsize, Limit::As, Limit::Core, Limit::Memlock];
        let keys = Keys::parse(argument, &["nofile", "fsize", "as", "core", "memlock"], &[])?;
        let files = keys.optional("nofile", |value| number(value, 1..=u64::MAX))?;
        let mut limits: Vec<_> = files.map(|files| (Limit::Nofile, files)).into_iter().collect();
        for limit in sizes {
            limits.extend(keys.optional(limit.key(), size)?.map(|bytes| (limit, bytes)));
        }
        Ok(Self(limits))
    }
}

/// The value of `--kvm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvmArg(KvmSpec);

impl FromStr for KvmArg {
    type Err = String;

    fn from_str(argument: &str) -> Result<Self, String> {
        match argument.strip_prefix("fd=") {
            Some(value) => number(value, 0..=i32::MAX).map(|number| Self(KvmSpec::Fd(number))),
            None if argument.is_empty() => Err("must be a path, or fd=N".to_owned()),
            None => Ok(Self(KvmSpec::Path(argument.into()))),
        }
    }
}

/// The value of `--sockets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketsArg(SocketSpec);

impl FromStr for SocketsArg {
    type Err = KeyError;

    fn from_str(argument: &str) -> Result<Self, KeyError> {
        let keys = Keys::parse(argument, &["mode", "owner", "group", "uid", "gid"], &["uid", "gid"])?;
        let default = SocketSpec::default();
        Ok(Self(SocketSpec {
            mode: keys.optional("mode", mode)?.unwrap_or(default.mode),
            owner: keys.optional("owner", |value| id(value, "user", USERS))?,
            group: keys.optional("group", |value| id(value, "group", GROUPS))?,
            users: keys.all("uid", |value| id(value, "user", USERS))?,
            groups: keys.all("gid", |value| id(value, "group", GROUPS))?,
        }))
    }
}

fn mode(value: &str) -> Result<u32, String> {
    let digits = !value.is_empty() && value.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mode = u32::from_str_radix(value, 8).ok().filter(|mode| digits && mode & !0o777 == 0);
    mode.ok_or_else(|| "must be permissions in octal, such as 0660".to_owned())
}

/// A user or group by number, or by its name in the host's file.
fn id(value: &str, what: &str, file: &str) -> Result<u32, String> {
    if let Ok(number) = number(value, 0..=u32::MAX - 1) {
        return Ok(number);
    }
    let text = fs::read_to_string(file).unwrap_or_default();
    listed(&text, value).ok_or_else(|| format!("must be the number of a {what}, or a name in {file}"))
}

/// The third field of the line that begins with `name`.
fn listed(text: &str, name: &str) -> Option<u32> {
    let mut lines = text.lines().map(|line| line.split(':'));
    lines.find_map(|mut line| (line.next()? == name).then(|| line.nth(1)?.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn typed(words: &[&str]) -> Result<SandboxSpec, String> {
        let words = [&["dimmer", "run", "--kernel", "k"], words].concat();
        match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Run(run) => Ok(run.sandbox.into_spec()),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn a_fork_is_like_its_parent() {
        assert_eq!(typed(&[]).unwrap(), SandboxSpec::default());
        let words = [
            ["--sandbox", "log"],
            ["--allow-path", "/srv/a,b"],
            ["--allow-path", "-c"],
            ["--kvm", "fd=7"],
            ["--sockets", "mode=0660,owner=0,group=36,uid=0,uid=1000,gid=36"],
        ];
        let words = words.map(|[flag, value]| format!("{flag}={value}"));
        let spec = typed(&words.each_ref().map(String::as_str)).unwrap();
        assert_eq!(
            spec.sockets,
            SocketSpec {
                mode: 0o660,
                owner: Some(0),
                group: Some(36),
                users: vec![0, 1000],
                groups: vec![36]
            }
        );
        let again: Vec<_> = super::words(&spec).into_iter().map(|word| word.into_string().unwrap()).collect();
        let again: Vec<_> = again.iter().map(String::as_str).collect();
        assert_eq!(typed(&again).unwrap(), spec);
    }

    #[test]
    fn limits_have_their_units() {
        let spec =
            typed(&["--rlimit", "nofile=100,fsize=1M,core=0", "--cgroup", "/sys/fs/cgroup/vm"]).unwrap();
        assert_eq!(spec.limits, [(Limit::Nofile, 100), (Limit::Fsize, 1 << 20), (Limit::Core, 0)]);
        assert_eq!(spec.cgroup, Some("/sys/fs/cgroup/vm".into()));
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        for (flag, value, said) in [
            ("--sandbox", "yes", "unknown variant `yes`, expected one of `on`, `log`, `off`"),
            ("--rlimit", "nofile=0", "from 1"),
            ("--rlimit", "files=1", "unknown key \"files\" (valid: nofile, fsize, as, core, memlock)"),
            ("--kvm", "fd=x", "must be a whole number"),
            ("--sockets", "mode=1777", "must be permissions in octal"),
            ("--sockets", "mode=+7", "must be permissions in octal"),
            ("--sockets", "group=no such group", "or a name in /etc/group"),
        ] {
            let error = typed(&[flag, value]).unwrap_err();
            assert!(error.contains(said) && error.contains(flag), "{error}");
        }
    }

    #[test]
    fn names_are_whole_fields() {
        let text = "root:x:0:\nkvm:x:36:alice\nkv:x:7:\n";
        assert_eq!((listed(text, "kvm"), listed(text, "kv"), listed(text, "k")), (Some(36), Some(7), None));
    }
}
