//! The self-test of a host: all of it, as its users have it, and what it says of a step that does not pass.

use std::fs;
use std::process::Command;

use dimmer_images::Kernel;
use dimmer_lab::selftest::place::Place;
use dimmer_lab::selftest::report::{Format, Report};
use dimmer_lab::selftest::{Outcome, STEPS};

use crate::Outcome as TestOutcome;

crate::tests!("doctor": every_step_passes, a_step_that_fails_is_told_and_the_others_go_on);

fn every_step_passes(kernel: &Kernel) -> TestOutcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("report");
    let mut lab = Command::new(env!("CARGO_BIN_EXE_dimmer-lab"));
    lab.args(["doctor", "--run", "--kernel", &kernel.name, "--report"]).arg(&path);
    let output = lab.output()?;
    let report = fs::read_to_string(&path)?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{report}\n{said}");
    assert!(report.contains(&format!("All {} steps passed", STEPS.len())), "{report}");
    let passed = report.lines().filter(|line| line.starts_with("  passed ")).count();
    assert_eq!(passed, STEPS.len(), "{report}");
    // What decides how a machine fares on a host: whose virtualization, and KVM.
    let line = |name: &str| report.lines().find(|line| line.trim_start().starts_with(name));
    let kind = line("virtualization ").ok_or("nothing of virtualization")?;
    assert!(kind.contains("vmx (") || kind.contains("svm ("), "{kind}");
    assert!(line("KVM API ").is_some_and(|line| line.ends_with(" 12")), "{report}");
    assert!(line("KVM extensions in use ").is_some_and(|line| line.contains("USER_MEMORY, ")), "{report}");
    assert!(!report.contains("no machine runs without it"), "{report}");
    Ok(())
}

fn a_step_that_fails_is_told_and_the_others_go_on(kernel: &Kernel) -> TestOutcome {
    // The machine keeps a DIMM that the guest has let go.
    let tested = Place::new(kernel, "--fault device=d0,on=eject,do=refuse")?.all();
    let failed: Vec<_> = tested.steps.iter().filter(|step| !step.outcome.is_passed()).collect();
    let [eject] = failed[..] else { panic!("{failed:#?}") };
    let Outcome::Failed { why, said, hopeless: false } = &eject.outcome else { panic!("{eject:?}") };
    assert_eq!(eject.name, "eject it");
    assert!(why.starts_with("status 409: "), "{why}");
    assert!(said.contains("vCPUs:"), "{said}");
    assert_eq!(tested.status(), 1);
    let (here, lacks, place) = (Vec::new(), Vec::new(), "here".to_owned());
    let text = Report { here, lacks, place, tested: tested.clone() }.write(Format::Markdown);
    assert!(text.contains("### Why it failed: eject it") && text.contains("status 409: "), "{text}");
    Ok(())
}
