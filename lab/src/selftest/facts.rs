//! What there is to know of a host that a bug may depend on: its system, its processor and what that has for virtualization, KVM,
//! and memory. No names of machines, users or files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use dimmer::host::extensions::{self, Answers, Need};
use serde::{Deserialize, Serialize};

/// KVM's device.
const KVM: &str = "/dev/kvm";

/// What Linux calls features of a processor's virtualization in `flags` (arch/x86/include/asm/cpufeatures.h, words 8 and 15).
/// Intel's are in a line of their own as well, `vmx flags` (since Linux 5.8).
const FEATURES: [&str; 24] = [
    "ept",
    "ept_ad",
    "flexpriority",
    "tpr_shadow",
    "vpid",
    "npt",
    "lbrv",
    "svm_lock",
    "nrip_save",
    "tsc_scale",
    "vmcb_clean",
    "flushbyasid",
    "decodeassists",
    "pausefilter",
    "pfthreshold",
    "avic",
    "x2avic",
    "v_vmsave_vmload",
    "vgif",
    "v_spec_ctrl",
    "vnmi",
    "sev",
    "sev_es",
    "sev_snp",
];

/// Where modules say how they were loaded.
const MODULES: [&str; 3] = ["kvm", "kvm_intel", "kvm_amd"];
/// Their parameters that decide how guest memory is mapped, and what a guest may do.
const PARAMETERS: [&str; 6] = ["ept", "npt", "tdp_mmu", "unrestricted_guest", "nested", "avic"];

/// One thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is.
    pub name: String,
    /// How it is.
    pub value: String,
}

/// All that there is to know where guests run, KVM included.
#[must_use]
pub fn of_the_host() -> Vec<Fact> {
    let mut all = of_a_machine(Path::new("/"));
    all.extend(match extensions::ask(Path::new(KVM)) {
        Ok(answers) => of_kvm(&answers),
        Err(error) => vec![fact("KVM", crate::chain(&error))],
    });
    all
}

/// What the files of `/proc`, `/sys` and `/etc` below `root` say.
#[must_use]
pub fn of_a_machine(root: &Path) -> Vec<Fact> {
    let read = |path: &str| {
        let text = fs::read_to_string(root.join(path)).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let cpuinfo = read("proc/cpuinfo").unwrap_or_default();
    let mut all = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        all.push(fact(name, value.unwrap_or_else(|| "unknown".to_owned())));
    };
    add("system", read("etc/os-release").and_then(|text| system(&text)));
    add("Linux", read("proc/sys/kernel/osrelease"));
    add("processor", processor(&cpuinfo));
    add("microcode", of_cpuinfo(&cpuinfo, "microcode"));
    add("processors", Some(cpuinfo.lines().filter(|line| line.starts_with("processor")).count().to_string()));
    add("address bits", of_cpuinfo(&cpuinfo, "address sizes"));
    let words = words(&cpuinfo);
    add("virtualization", Some(virtualization(&words)));
    add("nested paging", Some(nested_paging(&words)));
    add("is itself a guest", Some(if words.contains("hypervisor") { "yes" } else { "no" }.to_owned()));
    add("modules", Some(modules(&read)));
    let meminfo = read("proc/meminfo").unwrap_or_default();
    add("memory", memory(&meminfo));
    add("huge pages", huge_pages(&meminfo));
    let thp =
        |name: &str| read(&format!("sys/kernel/mm/transparent_hugepage/{name}")).and_then(|it| chosen(&it));
    add("transparent huge pages", thp("enabled"));
    add("of shared memory", thp("shmem_enabled"));
    all
}

/// What KVM says.
fn of_kvm(answers: &Answers) -> Vec<Fact> {
    let shown = |value: i32| if value == 1 { String::new() } else { format!(" {value}") };
    let there = answers.extensions.iter().filter(|(_, value)| *value > 0);
    let there: Vec<_> = there.map(|(one, value)| format!("{}{}", one.name, shown(*value))).collect();
    let mut all = vec![
        fact("KVM API", answers.version.to_string()),
        fact("KVM extensions in use", if there.is_empty() { "none".to_owned() } else { there.join(", ") }),
    ];
    for (one, _) in answers.extensions.iter().filter(|(_, value)| *value <= 0) {
        let need = match one.need {
            Need::Always => "no machine runs without it",
            Need::Some => "some machines need it",
            Need::Asked => "Dimmer does without",
        };
        all.push(fact("KVM lacks", format!("{} ({}; {need})", one.name, one.purpose)));
    }
    all
}

fn fact(name: &str, value: String) -> Fact {
    Fact { name: name.to_owned(), value }
}

/// The first processor's value of a key.
fn of_cpuinfo(cpuinfo: &str, key: &str) -> Option<String> {
    let pair = |line: &str| {
        line.split_once(':').map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
    };
    cpuinfo.lines().filter_map(pair).find(|(name, _)| name == key).map(|(_, value)| value)
}

/// The words of `flags` and `vmx flags`.
fn words(cpuinfo: &str) -> BTreeSet<String> {
    let lines = ["flags", "vmx flags"].map(|key| of_cpuinfo(cpuinfo, key).unwrap_or_default());
    lines.iter().flat_map(|line| line.split_whitespace()).map(str::to_owned).collect()
}

fn system(text: &str) -> Option<String> {
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

fn processor(cpuinfo: &str) -> Option<String> {
    let value = |key| of_cpuinfo(cpuinfo, key).unwrap_or_else(|| "unknown".to_owned());
    let vendor = of_cpuinfo(cpuinfo, "vendor_id")?;
    let (name, family, model) = (value("model name"), value("cpu family"), value("model"));
    Some(format!("{vendor}, {name}, family {family}, model {model}, stepping {}", value("stepping")))
}

fn virtualization(words: &BTreeSet<String>) -> String {
    let kind = match ["vmx", "svm"].into_iter().find(|word| words.contains(*word)) {
        Some("vmx") => "vmx (Intel's)",
        Some(_) => "svm (AMD's)",
        None => return "neither vmx nor svm".to_owned(),
    };
    let features: Vec<_> = FEATURES.into_iter().filter(|word| words.contains(*word)).collect();
    if features.is_empty() { kind.to_owned() } else { format!("{kind}: {}", features.join(" ")) }
}

/// Which kind there is: the processor walks two page tables by itself, or KVM keeps shadows of the guest's.
fn nested_paging(words: &BTreeSet<String>) -> String {
    let kind = [("ept", "EPT"), ("npt", "NPT")].into_iter().find(|(word, _)| words.contains(*word));
    kind.map_or("not among the flags", |(_, name)| name).to_owned()
}

/// How KVM's modules were loaded.
fn modules(read: &dyn Fn(&str) -> Option<String>) -> String {
    let of = |module: &'static str| {
        let parameter = move |name: &&str| {
            let value = read(&format!("sys/module/{module}/parameters/{name}"))?;
            Some(format!("{module}.{name}={value}"))
        };
        PARAMETERS.iter().filter_map(parameter).collect::<Vec<_>>()
    };
    let all: Vec<_> = MODULES.into_iter().flat_map(of).collect();
    if all.is_empty() { "KVM is not loaded".to_owned() } else { all.join(" ") }
}

/// A number of /proc/meminfo.
fn number(meminfo: &str, key: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

fn memory(meminfo: &str) -> Option<String> {
    let mib = |key| number(meminfo, key).map(|kib| kib >> 10);
    Some(format!("{} MiB, {} MiB available", mib("MemTotal")?, mib("MemAvailable")?))
}

fn huge_pages(meminfo: &str) -> Option<String> {
    let of = |key| number(meminfo, key);
    let (all, free, size) = (of("HugePages_Total")?, of("HugePages_Free")?, of("Hugepagesize")?);
    Some(format!("{all} of {} MiB, {free} free", size >> 10))
}

/// The word in brackets.
fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word.to_owned())
}

#[cfg(test)]
mod tests;
