//! Facts of made-up machines, one of each vendor.

use super::*;

const INTEL: &str = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 106\n\
    model name\t: Some Xeon\nstepping\t: 6\nmicrocode\t: 0xd0003b9\nflags\t\t: fpu vmx ept vpid ept_ad\n\
    vmx flags\t: vnmi unrestricted_guest\naddress sizes\t: 46 bits physical, 57 bits virtual\n\n\
    processor\t: 1\nvendor_id\t: GenuineIntel\n";
const AMD: &str =
    "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: An EPYC\nflags\t\t: svm npt hypervisor\n";

/// The facts of a machine with these files.
fn facts(files: &[(&str, &str)]) -> Vec<(String, String)> {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    of_a_machine(root.path()).into_iter().map(|fact| (fact.name, fact.value)).collect()
}

fn value<'a>(facts: &'a [(String, String)], name: &str) -> &'a str {
    let found = facts.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("{name}: {facts:?}"))
}

#[test]
fn an_intel_machine_is_told_by_vmx_and_its_pages_by_ept() {
    let facts = facts(&[
        ("proc/cpuinfo", INTEL),
        ("proc/sys/kernel/osrelease", "6.12.1\n"),
        ("etc/os-release", "ID=x\nPRETTY_NAME=\"A system 12\"\n"),
        ("sys/module/kvm_intel/parameters/ept", "Y\n"),
        ("sys/module/kvm_intel/parameters/nested", "N\n"),
        (
            "proc/meminfo",
            "MemTotal: 4096 kB\nMemAvailable: 2048 kB\nHugePages_Total: 3\nHugePages_Free: 1\nHugepagesize: 2048 kB\n",
        ),
        ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
    ]);
    for (name, expected) in [
        ("system", "A system 12"),
        ("Linux", "6.12.1"),
        ("processor", "GenuineIntel, Some Xeon, family 6, model 106, stepping 6"),
        ("microcode", "0xd0003b9"),
        ("processors", "2"),
        ("address bits", "46 bits physical, 57 bits virtual"),
        ("virtualization", "vmx (Intel's): ept ept_ad vpid vnmi"),
        ("nested paging", "EPT"),
        ("is itself a guest", "no"),
        ("modules", "kvm_intel.ept=Y kvm_intel.nested=N"),
        ("memory", "4 MiB, 2 MiB available"),
        ("huge pages", "3 of 2 MiB, 1 free"),
        ("transparent huge pages", "madvise"),
        ("of shared memory", "unknown"),
    ] {
        assert_eq!(value(&facts, name), expected, "{name}");
    }
}

#[test]
fn an_amd_machine_is_told_by_svm_and_its_pages_by_npt() {
    let facts = facts(&[("proc/cpuinfo", AMD)]);
    assert_eq!(value(&facts, "virtualization"), "svm (AMD's): npt");
    assert_eq!(value(&facts, "nested paging"), "NPT");
    assert_eq!(value(&facts, "is itself a guest"), "yes");
    assert_eq!(value(&facts, "modules"), "KVM is not loaded");
}

#[test]
fn a_machine_that_says_nothing_has_facts_all_the_same() {
    let facts = facts(&[]);
    assert_eq!(value(&facts, "virtualization"), "neither vmx nor svm");
    assert_eq!(value(&facts, "nested paging"), "not among the flags");
    assert_eq!(value(&facts, "memory"), "unknown");
}

#[test]
fn what_kvm_lacks_is_named_with_what_comes_of_it() {
    let answer = |one: &extensions::Extension| {
        let value = match one.name {
            "DISABLE_QUIRKS2" => 0,
            "NR_MEMSLOTS" => 32764,
            _ => 1,
        };
        (*one, value)
    };
    let answers = Answers { version: 12, extensions: extensions::ALL.iter().map(answer).collect() };
    let facts: Vec<_> = of_kvm(&answers).into_iter().map(|fact| (fact.name, fact.value)).collect();
    assert_eq!(value(&facts, "KVM API"), "12");
    let there = value(&facts, "KVM extensions in use");
    assert!(there.starts_with("USER_MEMORY, NR_MEMSLOTS 32764, IRQCHIP, "), "{there}");
    assert!(!there.contains("QUIRKS"), "{there}");
    let lacks = value(&facts, "KVM lacks");
    assert!(lacks.starts_with("DISABLE_QUIRKS2 (") && lacks.ends_with("Dimmer does without)"), "{lacks}");
}
