//! The kernel's own selftests in a guest of that kernel, as their users have them; and tests that do not pass.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use dimmer_images::{Cache, Kernel, fetch, selftests};
use dimmer_lab::distribution::Guest;
use dimmer_lab::kselftest::Tests;
use dimmer_lab::kselftest::place::{DISTRIBUTION, PACKAGES};
use libtest_mimic::Arguments;

use crate::{Case, KERNELS, Outcome};

/// The blocks of the two DIMMs.
const DIMMS: std::ops::RangeInclusive<u32> = 104..=119;

/// All of them, which wait until ignored tests are asked for: the sources of the kernels are fetched then.
pub fn cases(arguments: &Arguments, kernels: &[Kernel]) -> Result<Vec<Case>, Box<dyn Error>> {
    if arguments.ignored || arguments.include_ignored {
        let cache = Cache::open()?;
        for kernel in kernels {
            Guest::with(&cache, DISTRIBUTION, Some(&kernel.name), &PACKAGES)?;
            Tests::of(&cache, kernel)?;
        }
    }
    let case = |kernel: &str, name: &str, test: fn(&Kernel) -> Outcome| {
        let kernel = kernel.to_owned();
        let name = format!("{kernel}::selftest::{name}");
        let run = move || test(&fetch(&Cache::open()?, &[&kernel], false)?[0]);
        Case::new(name, true, run).costing(8)
    };
    let mut all: Vec<_> =
        KERNELS.iter().map(|kernel| case(kernel, "linux_passes_its_own", linux_passes_its_own)).collect();
    all.push(case(KERNELS[1], "those_that_do_not_pass_are_told", those_that_do_not_pass_are_told));
    Ok(all)
}

fn lab(
    kernel: &Kernel,
    arguments: &[&str],
    report: &Path,
) -> Result<(Output, String, String), Box<dyn Error>> {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_dimmer-lab"));
    lab.args(["selftest", "--kernel", &kernel.name]).args(arguments).arg("--report").arg(report);
    let output = lab.output()?;
    let text = String::from_utf8(output.stdout.clone())?;
    Ok((output, text, fs::read_to_string(report)?))
}

/// The blocks that are in lines of `text` behind these words.
fn moved(text: &str, how: &str) -> Vec<u32> {
    text.lines().filter_map(|line| line.strip_prefix(how)?.trim().parse().ok()).collect()
}

fn linux_passes_its_own(kernel: &Kernel) -> Outcome {
    let directory = tempfile::tempdir()?;
    let (output, text, report) = lab(kernel, &["--full"], &directory.path().join("report.tap"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}\n{said}");
    assert_eq!(text, report);
    let points: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        points,
        [
            "TAP version 13",
            "1..2",
            "ok 1 selftests: cpu-hotplug: cpu-on-off-test.sh",
            "ok 2 selftests: memory-hotplug: mem-on-off-test.sh"
        ]
    );
    // Of 24 blocks a tenth, rounded up, goes offline, those of DIMMs among them; and comes back.
    assert!(text.contains("trying to offline 3 out of 24 memory block(s):"), "{text}");
    assert_eq!(text.matches("# -> Success").count(), 3, "{text}");
    let (gone, back) = (moved(&text, "# online->offline memory"), moved(&text, "# offline->online memory"));
    assert!(back.len() == 3 && back.iter().all(|block| gone.contains(block)), "{text}");
    assert!(back.iter().any(|block| DIMMS.contains(block)), "{text}");
    assert!(text.contains("Test with memory notifier error injection") && !text.contains("skip "), "{text}");
    // The processor that came is there, besides the two of the boot.
    assert!(text.contains("present_cpus = 0-2 present_max = 2"), "{text}");
    Ok(())
}

fn those_that_do_not_pass_are_told(kernel: &Kernel) -> Outcome {
    let directory = tempfile::tempdir()?;
    let tests = directory.path().join("tests");
    let found = selftests::find(&Cache::open()?, kernel).ok_or("the selftests are not in the cache")?;
    let copied = Command::new("cp").arg("-a").arg(found).arg(&tests).status()?;
    assert!(copied.success());
    fs::create_dir(tests.join("planted"))?;
    let planted = [
        ("fails.sh", "echo what was seen; exit 1"),
        ("hangs.sh", "exec sleep 1000"),
        ("skips.sh", "exit 4"),
        ("panics.sh", "echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger"),
        ("comes_too_late.sh", "true"),
    ];
    for (name, script) in planted {
        let path = tests.join("planted").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    let names: String = planted.iter().map(|(name, _)| format!("planted:{name}\n")).collect();
    fs::write(tests.join(selftests::LIST), format!("memory-hotplug:mem-on-off-test.sh\n{names}"))?;
    let path = tests.to_str().ok_or("a name that is no text")?;
    let arguments = ["--tests", path, "--timeout", "120", "--format", "json"];
    let (output, text, report) = lab(kernel, &arguments, &directory.path().join("report.json"))?;
    assert_eq!(output.status.code(), Some(1), "{text}");
    let points: Vec<_> =
        text.lines().filter(|line| line.starts_with("ok ") || line.starts_with("not ok ")).collect();
    let begin = [
        "ok 1 selftests: memory-hotplug: mem-on-off-test.sh",
        "not ok 2 selftests: planted: fails.sh # exit=1",
        "not ok 3 selftests: planted: hangs.sh # TIMEOUT 120 seconds",
        "ok 4 selftests: planted: skips.sh # SKIP",
        "not ok 5 selftests: planted: panics.sh # The machine closed the agent's connection",
        "not ok 6 selftests: planted: comes_too_late.sh # the guest was lost with planted:panics.sh",
    ];
    assert_eq!(points.len(), begin.len(), "{text}");
    for (point, begin) in points.iter().zip(begin) {
        assert!(point.starts_with(begin), "{point}\n{text}");
    }
    assert!(text.contains("# what was seen\n") && text.contains("sysrq triggered crash"), "{text}");
    let report: serde_json::Value = serde_json::from_str(&report)?;
    let outcomes: Vec<_> =
        report["tests"].as_array().ok_or("no tests")?.iter().map(|it| &it["outcome"]).collect();
    assert_eq!(outcomes, ["ok", "not-ok", "not-ok", "skipped", "not-ok", "not-ok"]);
    Ok(())
}
