//! Images of each format, and files that are none.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use imago::FormatCreateBuilder;
use imago::storage::StorageCreateOptions;
use tempfile::TempDir;

use super::*;
use crate::spec::RateSpec;

const SIZE: u64 = 1 << 20;

fn disk(dir: &TempDir, format: DiskFormat) -> DiskSpec {
    let path = dir.path().join("disk");
    match format {
        DiskFormat::Raw => File::create(&path).unwrap().set_len(SIZE).unwrap(),
        DiskFormat::Qcow2 => create(&path, None),
    }
    let (id, serial) = ("d0".to_owned(), String::new());
    DiskSpec { id, path, format, readonly: false, serial, direct: false, rate: RateSpec::default() }
}

fn create(path: &Path, backing: Option<&str>) {
    use imago::Storage as _;
    let options = StorageCreateOptions::new().filename(path);
    let builder = Qcow2::<Storage>::create_builder(Storage::create_open(options).unwrap()).size(SIZE);
    match backing {
        None => builder.create().unwrap(),
        Some(name) => builder.backing(name.to_owned(), "raw".to_owned()).create().unwrap(),
    }
}

fn write(image: &mut Image, place: u64, bytes: &[u8]) {
    image.carry_out(&Work::Write { place, bytes: bytes.to_vec() }, false).unwrap();
}

fn read(image: &mut Image, place: u64, length: u64) -> Vec<u8> {
    image.carry_out(&Work::Read(place..place + length), false).unwrap()
}

#[test]
fn what_is_written_is_read_again_in_either_format() {
    for format in [DiskFormat::Raw, DiskFormat::Qcow2] {
        let dir = tempfile::tempdir().unwrap();
        let disk = disk(&dir, format);
        let mut image = Image::open(&disk).unwrap();
        assert_eq!(image.sectors(), SIZE / SECTOR);
        write(&mut image, 4096, &[7; 1024]);
        image.carry_out(&Work::Flush, false).unwrap();
        assert_eq!(read(&mut image, 4096 + 512, 1024), [[7; 512], [0; 512]].concat());
        drop(image);
        let mut image = Image::open(&disk).unwrap();
        assert_eq!(read(&mut image, 4096, 512), [7; 512]);
        image.carry_out(&Work::Zero { part: 4096..4608, unmap: false }, false).unwrap();
        image.carry_out(&Work::Zero { part: 4608..5120, unmap: true }, true).unwrap();
        assert_eq!(read(&mut image, 4096, 1024), [0; 1024]);
        image.carry_out(&Work::Discard(0..SIZE), false).unwrap();
    }
}

#[test]
fn a_part_that_is_given_back_takes_no_space() {
    let dir = tempfile::tempdir().unwrap();
    let disk = disk(&dir, DiskFormat::Raw);
    let mut image = Image::open(&disk).unwrap();
    write(&mut image, 0, &vec![7; 1 << 20]);
    image.carry_out(&Work::Flush, false).unwrap();
    let blocks = || fs::metadata(&disk.path).unwrap().blocks();
    let before = blocks();
    image.carry_out(&Work::Discard(0..SIZE / 2), false).unwrap();
    assert!(blocks() < before, "{before} and {}", blocks());
}

#[test]
fn an_image_reads_what_it_does_not_have_from_the_one_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("base");
    fs::write(&base, vec![5; usize::try_from(SIZE).unwrap()]).unwrap();
    let disk = disk(&dir, DiskFormat::Raw);
    fs::remove_file(&disk.path).unwrap();
    create(&disk.path, Some("base"));
    let disk = DiskSpec { format: DiskFormat::Qcow2, ..disk };
    let mut image = Image::open(&disk).unwrap();
    write(&mut image, 512, &[6; 512]);
    assert_eq!(read(&mut image, 0, 1024), [[5; 512], [6; 512]].concat());
    drop(image);
    assert!(fs::read(&base).unwrap().iter().all(|byte| *byte == 5), "the one behind it stays as it is");
}

#[test]
fn a_disk_that_is_written_is_one_machines_alone() {
    let dir = tempfile::tempdir().unwrap();
    let disk = disk(&dir, DiskFormat::Raw);
    let readonly = DiskSpec { readonly: true, ..disk.clone() };
    let complaint = |disk: &DiskSpec| Image::open(disk).unwrap_err().to_string();
    let writer = Image::open(&disk).unwrap();
    assert_eq!(complaint(&disk), "another machine has it");
    assert_eq!(complaint(&readonly), "another machine writes it");
    drop(writer);
    let mut first = Image::open(&readonly).unwrap();
    let _second = Image::open(&readonly).unwrap();
    assert_eq!(complaint(&disk), "another machine has it");
    assert!(first.carry_out(&Work::Write { place: 0, bytes: vec![1; 512] }, false).is_err());
}

#[test]
fn what_is_no_disk_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let raw = disk(&dir, DiskFormat::Raw);
    assert!(Image::open(&DiskSpec { format: DiskFormat::Qcow2, ..raw.clone() }).is_err());
    assert!(Image::open(&DiskSpec { path: PathBuf::from("/nowhere"), ..raw }).is_err());
}
