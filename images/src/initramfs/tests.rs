//! Archives read back by the cpio crate's reader.

use std::collections::BTreeMap;
use std::io::Read;

use super::*;

/// Mode, device number and contents.
type Found = (u32, (u32, u32), Vec<u8>);

/// Every entry of an archive, by path.
fn read_back(bytes: &[u8]) -> BTreeMap<String, Found> {
    let mut rest = bytes;
    let mut entries = BTreeMap::new();
    loop {
        let mut reader = cpio::newc::Reader::new(rest).unwrap();
        if reader.entry().is_trailer() {
            return entries;
        }
        let mut contents = Vec::new();
        reader.read_to_end(&mut contents).unwrap();
        let entry = reader.entry();
        let device = (entry.rdev_major(), entry.rdev_minor());
        let previous = entries.insert(entry.name().to_owned(), (entry.mode(), device, contents));
        assert!(previous.is_none(), "{} is there twice", entry.name());
        rest = reader.finish().unwrap();
    }
}

fn module(name: &str) -> Module {
    Module { name: name.into(), image: name.as_bytes().to_vec() }
}

#[test]
fn an_archive_reads_back_as_it_was_built() {
    let mut archive = Archive::new(b"the agent");
    archive.modules("load", vec![module("virtio"), module("virtio_mem")]);
    archive.modules("optional/fault", vec![module("base"), module("fault")]);
    archive.entries.insert("bin/sh".into(), Entry::Link("busybox".into()));
    let entries = read_back(&archive.bytes().unwrap());
    assert_eq!(entries["init"], (0o100_755, (0, 0), b"the agent".to_vec()));
    assert_eq!(entries["dev/console"], (0o020_600, (5, 1), Vec::new()));
    assert_eq!(entries["bin/sh"], (0o120_777, (0, 0), b"busybox".to_vec()));
    assert_eq!(entries["tmp"].0, 0o040_755);
    assert_eq!(entries["lib/modules/virtio_mem.ko"].2, b"virtio_mem");
    assert_eq!(entries["modules/load"].2, b"/lib/modules/virtio.ko\n/lib/modules/virtio_mem.ko\n");
    assert_eq!(entries["modules/optional/fault"].2, b"/lib/modules/base.ko\n/lib/modules/fault.ko\n");
}

#[test]
fn every_directory_comes_before_what_is_in_it() {
    let archive = Archive::new(b"");
    for path in archive.entries.keys() {
        if let Some((parent, _)) = path.rsplit_once('/') {
            assert!(matches!(archive.entries.get(parent), Some(Entry::Directory)), "{path}");
            assert!(parent < path.as_str());
        }
    }
}

#[test]
fn the_same_contents_give_the_same_bytes_and_others_another_hash() {
    let build = |agent: &[u8]| Archive::new(agent).bytes().unwrap();
    assert_eq!(build(b"one"), build(b"one"));
    assert_ne!(hash(&[&build(b"one")]), hash(&[&build(b"two")]));
    assert_ne!(hash(&[b"12345678"]), hash(&[b"1234567"]));
    assert_ne!(hash(&[b"1234", b"5678"]), hash(&[b"12345678"]));
}

#[test]
fn an_archive_is_built_once_for_what_it_is_made_of() {
    let directory = tempfile::tempdir().unwrap();
    let cache = crate::Cache::at(directory.path()).unwrap();
    std::fs::create_dir_all(cache.root().join("kernels/6.1-cloud-6.1.1-1")).unwrap();
    std::fs::write(cache.root().join("kernels/6.1-cloud.current"), "6.1.1-1\n").unwrap();
    std::fs::write(cache.root().join("kernels/6.1-cloud-6.1.1-1/release"), "6.1.0-1-cloud-amd64\n").unwrap();
    let mut kernel = Kernel::resolve_in(&cache, "6.1").unwrap();
    let built = |kernel: &Kernel, parts: &[&[u8]], content: &[u8]| {
        let mut times = 0;
        let build = || {
            times += 1;
            Ok(Archive::new(content))
        };
        let path = stored(kernel, "guest", parts, build).unwrap();
        (std::fs::read(&path).unwrap(), path, times)
    };
    let (bytes, path, times) = built(&kernel, &[b"agent"], b"one");
    assert_eq!((times, built(&kernel, &[b"agent"], b"two")), (1, (bytes.clone(), path.clone(), 0)));
    for (version, parts) in [(Some("6.1.1-1"), [b"other"]), (Some("6.1.1-2"), [b"agent"])] {
        kernel.version = version.map(str::to_owned);
        let (other, at, times) = built(&kernel, &[parts[0]], b"two");
        assert!(other != bytes && at != path && times == 1, "{version:?}");
    }
    // What a kernel of one's own has may have changed, and is looked at each time.
    kernel.version = None;
    let (one, _, _) = built(&kernel, &[b"agent"], b"one");
    let (two, _, times) = built(&kernel, &[b"agent"], b"two");
    assert!(one == bytes && two != one && times == 1);
}

#[test]
fn files_are_added_behind_the_archive_with_their_directories() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mut first = Archive::new(b"the agent").bytes().unwrap();
    // Some archives end anywhere.
    first.push(0);
    std::fs::write(path("first"), &first).unwrap();
    std::fs::write(path("kernel"), b"a kernel").unwrap();
    let files = [("/next/boot/kernel".to_owned(), path("kernel")), ("plain".to_owned(), path("kernel"))];
    let bytes = extended(&path("first"), &files).unwrap();
    assert!(bytes.starts_with(&first));

    let second = first.len().next_multiple_of(4);
    let entries = read_back(&bytes[second..]);
    let names: Vec<_> = entries.keys().map(String::as_str).collect();
    assert_eq!(names, ["next", "next/boot", "next/boot/kernel", "plain"]);
    assert_eq!(entries["next/boot"].0, 0o040_755);
    assert_eq!(entries["next/boot/kernel"], (0o100_644, (0, 0), b"a kernel".to_vec()));

    let missing = [("x".to_owned(), path("nothing"))];
    let error = extended(&path("first"), &missing).unwrap_err();
    assert_eq!(error.to_string(), format!("Cannot read {}", path("nothing").display()));
}
