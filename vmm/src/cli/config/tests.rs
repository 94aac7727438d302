//! Files, and the words that say the same.

use clap::{CommandFactory, Parser};

use super::*;
use crate::cli::{Cli, Command as Job};

fn run() -> Command {
    Cli::command().find_subcommand("run").expect("it is one").clone()
}

/// The words of `dimmer run --config FILE` and more, for a file with this text.
fn with(text: &str, more: &[&str]) -> Result<Vec<String>, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vm.toml");
    fs::write(&path, text).unwrap();
    let mut words: Vec<OsString> = ["dimmer", "run", "--config"].map(OsString::from).to_vec();
    words.push(path.clone().into());
    words.extend(more.iter().map(OsString::from));
    let all = expanded(words, &run()).map_err(|error| error.to_string())?;
    let path = path.display().to_string();
    Ok(all.into_iter().map(|word| word.into_string().unwrap()).filter(|word| *word != path).collect())
}

#[test]
fn each_kind_of_value_is_a_flag() {
    let text = r#"
        kernel = "vmlinux"
        cpus = 2
        nested = true
        rng = false
        balloon = true
        disk = ["path=a", { path = "b", readonly = true }]
        [memory]
        size = "4G"
        low = "2G"
        [[memory_hotplug]]
        method = "acpi"
        slots = 16
        [[memory_hotplug]]
        method = "virtio-mem"
        [[numa]]
        id = 0
        distance = ["1@20", "2@30"]
    "#;
    let mut words = with(text, &[]).unwrap();
    assert_eq!(words[..2], ["dimmer", "run"]);
    assert_eq!(words.pop().as_deref(), Some("--config"));
    words.drain(..2);
    words.sort();
    let expected = [
        "--balloon",
        "--cpus=2",
        "--disk=path=a",
        "--disk=path=b,readonly=on",
        "--kernel=vmlinux",
        "--memory-hotplug=method=acpi,slots=16",
        "--memory-hotplug=method=virtio-mem",
        "--memory=low=2G,size=4G",
        "--nested",
        "--numa=distance=1@20,distance=2@30,id=0",
    ];
    assert_eq!(words, expected);
}

#[test]
fn what_is_typed_stands_in_place_of_what_the_file_says() {
    let text = "kernel = \"a\"\ncpus = 2\ndisk = [\"path=a\", \"path=b\"]\n";
    let words = with(text, &["--kernel", "b", "--disk=path=c"]).unwrap();
    assert_eq!(words, ["dimmer", "run", "--cpus=2", "--config", "--kernel", "b", "--disk=path=c"]);
    // A value that looks like a flag is none.
    let words = with(text, &["--cmdline", "--kernel", "--cpus", "4"]).unwrap();
    assert!(words.contains(&"--kernel=a".to_owned()) && !words.contains(&"--cpus=2".to_owned()), "{words:?}");
}

#[test]
fn without_a_file_nothing_changes() {
    for words in [&["dimmer", "run", "--kernel", "k"][..], &["dimmer", "ctl", "--config", "x"], &["dimmer"]] {
        let words: Vec<_> = words.iter().map(OsString::from).collect();
        assert_eq!(expanded(words.clone(), &run()).unwrap(), words);
    }
}

#[test]
fn what_is_wrong_is_said_with_its_key() {
    for (text, said) in [
        ("kernl = \"a\"", "kernl: no flag has this name (valid: agent-socket, "),
        ("config = \"a\"", "config: no flag has this name"),
        ("cpus = 1.5", "cpus: must be a text, a number, true or false, and is a float"),
        ("[memory]\nsize = { a = 1 }", "memory: size: must be a text"),
        ("[memory]\nsize = \"1G,low=2G\"", "memory: size: \"1G,low=2G\" has a comma"),
        ("kernel", "line 1"),
    ] {
        let error = with(text, &[]).unwrap_err();
        assert!(error.starts_with("--config ") && error.contains("vm.toml: "), "{error}");
        assert!(error.contains(said), "{text}: {error}");
    }
    let missing = expanded(["dimmer", "run", "--config", "/no/such"].map(OsString::from).to_vec(), &run());
    assert!(missing.unwrap_err().to_string().starts_with("--config /no/such: No such file"));
}

#[test]
fn what_is_printed_says_the_same() {
    let words = [
        "dimmer",
        "run",
        "--kernel",
        "k",
        "--cmdline",
        "a, b=c",
        "--memory",
        "size=4G,low=2G",
        "--nested",
        "--disk",
        "path=a,readonly=on",
        "--disk",
        "path=b",
        "--numa",
        "id=0,cpus=0,memory=4G,distance=1@20,distance=2@30",
        "--numa",
        "id=1",
        "--numa",
        "id=2",
        "--balloon",
        "--print-config",
    ];
    let matches = Cli::command().get_matches_from(words);
    let run_matches = matches.subcommand_matches("run").unwrap();
    let text = printed(&run(), run_matches);
    for said in ["cmdline = \"a, b=c\"", "[[disk]]", "readonly = true", "[memory]"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let said_nothing_of = |name: &str| text.lines().all(|line| !line.starts_with(name));
    assert!(said_nothing_of("print-config") && said_nothing_of("cpus"), "only what was said: {text}");
    let again: Vec<_> = with(&text, &[]).unwrap().into_iter().filter(|word| word != "--config").collect();
    let spec = |words: &[String]| {
        let Job::Run(arguments) = Cli::parse_from(words).command else { panic!("it runs") };
        arguments.into_spec().unwrap()
    };
    let typed: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
    assert_eq!(spec(&again), spec(&typed));
}

#[test]
fn the_sample_of_the_documentation_is_one() {
    let text = include_str!("../../../../docs/service.md");
    let (_, sample) = text.split_once("```toml\n").unwrap();
    let (sample, _) = sample.split_once("```").unwrap();
    let mut words = with(sample, &[]).unwrap();
    assert_eq!(words.pop().as_deref(), Some("--config"));
    let Job::Run(arguments) = Cli::parse_from(words).command else { panic!("it runs") };
    let spec = arguments.into_spec().unwrap();
    assert_eq!((spec.cpus, spec.disks.len(), spec.windows.len()), (2, 1, 1));
}
