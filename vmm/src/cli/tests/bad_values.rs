//! Keys and values that are wrong, and what is said of them.

use super::{complaint, typed};

#[test]
fn bad_keys_and_values_are_named() {
    let not_a_size = "not a size: it must be a whole number of bytes, or of K, M, G or T such as 512M or 4G";
    let table = [
        ("--memory", "size=4X", format!("size=4X: {not_a_size}")),
        ("--memory", "size=", format!("size=: {not_a_size}")),
        ("--memory", "size=-1", format!("size=-1: {not_a_size}")),
        (
            "--memory",
            "size=16777216T",
            "size=16777216T: does not fit into 64 bits: it must be less than 16777216T".to_owned(),
        ),
        (
            "--memory",
            "4G",
            "\"4G\" is not KEY=VALUE (valid keys: size, low, high, backing, page, path, prealloc, thp, reserve)".to_owned(),
        ),
        ("--memory", "", "\"\" is not KEY=VALUE (valid keys: size, low, high, backing, page, path, prealloc, thp, reserve)".to_owned()),
        (
            "--memory",
            "size=4G,",
            "\"\" is not KEY=VALUE (valid keys: size, low, high, backing, page, path, prealloc, thp, reserve)".to_owned(),
        ),
        (
            "--memory",
            "sized=4G",
            "unknown key \"sized\" (valid: size, low, high, backing, page, path, prealloc, thp, reserve)".to_owned(),
        ),
        ("--memory", "size=4G,size=5G", "key \"size\" is given twice".to_owned()),
        ("--memory", "low=2G", "key \"size\" is missing (bytes of boot RAM, such as size=4G)".to_owned()),
        (
            "--memory",
            "size=4G,backing=disk",
            "backing=disk: must be anon, memfd, hugetlb or file".to_owned(),
        ),
        (
            "--memory",
            "size=4G,backing=memfd,page=2M",
            "page=2M: goes with backing=hugetlb, and with nothing else".to_owned(),
        ),
        ("--memory", "size=4G,path=/x", "path=/x: goes with backing=file, and with nothing else".to_owned()),
        (
            "--memory",
            "size=4G,backing=file",
            "key \"path\" is missing (a file, or a directory for an unnamed file, with backing=file)".to_owned(),
        ),
        ("--memory", "size=4G,thp=yes", "thp=yes: must be on or off".to_owned()),
        ("--numa", "cpus=0", "key \"id\" is missing (the node's number, such as id=0)".to_owned()),
        ("--numa", "id=x", "id=x: must be a whole number from 0 to 4294967295".to_owned()),
        (
            "--numa",
            "id=0,cpus=1-0",
            "cpus=1-0: must be numbers and ascending ranges joined by colons, such as 0-1:4".to_owned(),
        ),
        (
            "--numa",
            "id=0,cpus=",
            "cpus=: must be numbers and ascending ranges joined by colons, such as 0-1:4".to_owned(),
        ),
        (
            "--numa",
            "id=0,cpus=0-99999999",
            "cpus=0-99999999: must be numbers and ascending ranges joined by colons, such as 0-1:4"
                .to_owned(),
        ),
        (
            "--numa",
            "id=0,distance=20",
            "distance=20: must be NODE@DISTANCE with a distance of at most 255, such as 1@20".to_owned(),
        ),
        (
            "--numa",
            "id=0,distance=1@256",
            "distance=1@256: must be NODE@DISTANCE with a distance of at most 255, such as 1@20".to_owned(),
        ),
        (
            "--numa",
            "id=0,latency=65535,bandwidth=1",
            "latency=65535: must be a whole number from 1 to 65534".to_owned(),
        ),
        (
            "--numa",
            "id=0,latency=1,bandwidth=6553401",
            "bandwidth=6553401: must be a whole number from 1 to 6553400".to_owned(),
        ),
        (
            "--numa",
            "id=0,latency=1",
            "key \"bandwidth\" is missing (latency and bandwidth go together)".to_owned(),
        ),
        ("--memory-hotplug", "slots=3", "key \"method\" is missing (must be acpi or virtio-mem)".to_owned()),
        ("--memory-hotplug", "method=dimm,slots=3", "method=dimm: must be acpi or virtio-mem".to_owned()),
        (
            "--memory-hotplug",
            "slits=3,size=4G",
            "unknown key \"slits\" (valid: method, slots, size, id, block, slot, node, requested, start, align, legacy, present)".to_owned(),
        ),
        (
            "--memory-hotplug",
            "method=acpi,slot=3",
            "unknown key \"slot\" (valid: method, slots, size, start, align)".to_owned(),
        ),
        (
            "--memory-hotplug",
            "method=acpi,method=acpi,slots=3,size=4G",
            "key \"method\" is given twice".to_owned(),
        ),
        (
            "--memory-hotplug",
            "method=acpi,slots=16",
            "key \"size\" is missing (bytes of address space, such as size=64G)".to_owned(),
        ),
        (
            "--memory-hotplug",
            "method=acpi,size=64G",
            "key \"slots\" is missing (number of DIMM slots, such as slots=16)".to_owned(),
        ),
        (
            "--memory-hotplug",
            "method=acpi,slots=-1,size=4G",
            "slots=-1: must be a whole number from 0 to 65535".to_owned(),
        ),
        (
            "--memory-hotplug",
            "method=acpi,slots=65536,size=4G",
            "slots=65536: must be a whole number from 0 to 65535".to_owned(),
        ),
        (
            "--memory-hotplug",
            "method=acpi,slots=+1,size=4G",
            "slots=+1: must be a whole number from 0 to 65535".to_owned(),
        ),
        (
            "--memory-hotplug",
            "method=virtio-mem",
            "key \"size\" is missing (bytes of the device, such as size=32G)".to_owned(),
        ),
        (
            "--memory-hotplug",
            "method=virtio-mem,size=1G,slots=1",
            "unknown key \"slots\" (valid: method, size, id, block, slot, node, requested, start, align, legacy, present)".to_owned(),
        ),
        ("--dimm", "size=1G", "key \"id\" is missing (the device's name, such as id=d0)".to_owned()),
        (
            "--dimm",
            "id=d0",
            "key \"size\" is missing (bytes of the device, such as size=4G; or ranges=1G+3G)".to_owned(),
        ),
        (
            "--dimm",
            "id=d0,size=3G,ranges=1G+3G",
            "size=3 GiB: must be what the ranges add up to (4 GiB), or be left out".to_owned(),
        ),
        ("--dimm", "id=d0,ranges=1G+", format!("ranges=1G+: \"\": {not_a_size}")),
        ("--dimm", "id=d0,ranges=1G~2G~3G", format!("ranges=1G~2G~3G: \"2G~3G\": {not_a_size}")),
        ("--dimm", "id=d0,size=1G,order=down", "order=down: must be ascending or descending".to_owned()),
        ("--firmware-range", "size=1G", "key \"kind\" is missing (must be pmem, nvdimm, reserved or soft-reserved)".to_owned()),
        ("--firmware-range", "kind=ram,size=1G", "kind=ram: must be pmem, nvdimm, reserved or soft-reserved".to_owned()),
        (
            "--firmware-range",
            "kind=pmem,size=1G,start=0x+1",
            "start=0x+1: must be an address, such as 0x180000000 or 6G".to_owned(),
        ),
        (
            "--fault",
            "on=map,do=fail",
            "key \"device\" is missing (the memory device's name, such as device=vmem0)".to_owned(),
        ),
        (
            "--fault",
            "device=d0,on=map,do=fail,nth=-1",
            "nth=-1: must be a whole number from 0 to 18446744073709551615".to_owned(),
        ),
    ];
    for (flag, value, what) in table {
        assert_eq!(complaint(&[flag, value]), typed(flag, value, &what));
    }
}

#[test]
fn wrong_words_of_a_fault_are_answered_with_those_that_are_right() {
    let line = complaint(&["--fault", "device=d0,on=plugging,do=busy"]);
    let what = "on=plugging: unknown variant `plugging`, expected one of `plug`, `unplug`, `unplug-all`";
    assert!(line.contains(what), "{line}");
    let line = complaint(&["--fault", "device=d0,on=plug,do=no"]);
    assert!(line.contains("do=no: unknown variant `no`, expected one of `nack`, `busy`"), "{line}");
}
