//! Running ACPICA's tools.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Once;

use tempfile::TempDir;

/// Installs ACPICA's tools where they are missing: as root, after saying so. Others are told how.
fn ensure_installed() {
    static ENSURED: Once = Once::new();
    ENSURED.call_once(|| {
        if Command::new("iasl").arg("-v").output().is_ok() {
            return;
        }
        let command = "apt-get update && apt-get install --yes --no-install-recommends acpica-tools";
        let id = Command::new("id").arg("-u").output().expect("every system has id");
        assert_eq!(id.stdout, b"0\n", "These tests need acpica-tools: sudo sh -c '{command}'");
        // Not with `eprintln!`, which the test runner keeps to itself.
        let _ =
            std::io::stderr().write_all(b"Installing acpica-tools, which the tests of ACPI tables need\n");
        let shell = ["-c", &format!("{{ {command}; }} >&2")];
        let status = Command::new("sh").args(shell).env("DEBIAN_FRONTEND", "noninteractive").status();
        assert!(status.is_ok_and(|status| status.success()), "cannot install acpica-tools; try: {command}");
    });
}

/// Runs a tool in `directory` and returns what it printed; it must succeed.
pub fn run(tool: &str, arguments: &[&str], directory: &Path) -> String {
    ensure_installed();
    let output = Command::new(tool).args(arguments).current_dir(directory).output();
    let output = output.unwrap_or_else(|error| panic!("{tool} did not start: {error}"));
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{tool} {arguments:?} failed:\n{text}");
    text
}

/// A DSDT in the reference interpreter, beside a table of the test's own in ASL.
pub struct Interpreter {
    directory: TempDir,
}

impl Interpreter {
    /// `extra` goes into a `DefinitionBlock` of its own.
    pub fn new(dsdt: &[u8], extra: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        std::fs::write(path.join("dsdt.aml"), dsdt).unwrap();
        let source = format!("DefinitionBlock (\"\", \"SSDT\", 2, \"DIMMER\", \"TEST\", 1) {{ {extra} }}");
        std::fs::write(path.join("test.asl"), source).unwrap();
        run("iasl", &["test.asl"], path);
        Self { directory }
    }

    /// Evaluates `methods` one after the other, each given with its arguments, and returns what was
    /// printed for each. An error in the AML fails the test.
    pub fn evaluate(&self, methods: &[&str]) -> Vec<String> {
        self.execute(&[], methods)
    }

    /// Evaluates `methods` and returns the notifications that each sent, in order: device and value.
    ///
    /// Debug level 4 says when `Notify` is executed. What is printed without it comes from the
    /// thread of a handler, in any order and perhaps too late.
    pub fn notifications(&self, methods: &[&str]) -> Vec<Vec<(String, u32)>> {
        self.execute(&["-x", "0x4"], methods).iter().map(|result| notifications(result)).collect()
    }

    fn execute(&self, options: &[&str], methods: &[&str]) -> Vec<String> {
        let commands: String = methods.iter().map(|method| format!("execute {method};")).collect();
        // -dt: tracking allocations would take longer than all the rest.
        let batch = ["-dt", "-b", &format!("{commands}quit"), "dsdt.aml", "test.aml"];
        let text = run("acpiexec", &[options, &batch].concat(), self.directory.path());
        for sign in ["ACPI Error", "ACPI Exception", "ACPI Warning", "AE_"] {
            assert!(!text.contains(sign), "{methods:?}:\n{text}");
        }
        let results: Vec<_> = text.split("Evaluating ").skip(1).map(str::to_owned).collect();
        assert_eq!(results.len(), methods.len(), "{text}");
        results
    }
}

/// The integers in the result of an evaluation.
pub fn integers(result: &str) -> Vec<u64> {
    result
        .split("[Integer] = ")
        .skip(1)
        .map(|rest| u64::from_str_radix(rest.split_whitespace().next().unwrap(), 16).unwrap())
        .collect()
}

/// The bytes of the buffer in the result of an evaluation.
pub fn buffer(result: &str) -> Vec<u8> {
    let (_, dump) = result.split_once("[Buffer] Length").expect("the result is a buffer");
    // Lines of "    0010: 66 55 01  // text", the first of them behind "Length 13 =".
    let (_, dump) = dump.split_once('=').unwrap();
    let lines = dump.lines().skip_while(|line| line.trim().is_empty());
    let lines = lines.map_while(|line| line.split_once(": "));
    let digits = lines.flat_map(|(_, line)| line.split("//").next().unwrap().split_whitespace());
    digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect()
}

fn notifications(result: &str) -> Vec<(String, u32)> {
    let parse = |rest: &str| {
        let (device, rest) = rest.split_once(']').unwrap();
        let (_, value) = rest.split_once("Value 0x").unwrap();
        let value = value.split_whitespace().next().unwrap();
        (device.to_owned(), u32::from_str_radix(value, 16).unwrap())
    };
    result.split("Dispatching Notify on [").skip(1).map(parse).collect()
}
