//! Resolving names and files against a cache made here.

use super::*;
use crate::elf::sample;

/// A cache with version 1-1 of the kernel `6.1-cloud`.
fn cache() -> (tempfile::TempDir, Cache) {
    let root = tempfile::tempdir().unwrap();
    let cache = Cache::at(root.path()).unwrap();
    let source = kernels::find("6.1").unwrap();
    let directory = cache.root().join(directory(source, "1-1"));
    fs::create_dir_all(directory.join("modules")).unwrap();
    fs::write(directory.join("release"), "6.1.0-1-cloud\n").unwrap();
    fs::write(directory.join("modules/modules.builtin"), "").unwrap();
    cache.write(current(source), b"1-1\n").unwrap();
    (root, cache)
}

fn bzimage(release: &str) -> Vec<u8> {
    let mut image = vec![0; 2048];
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x20e..0x210].copy_from_slice(&0x200u16.to_le_bytes());
    image[0x400..0x400 + release.len()].copy_from_slice(release.as_bytes());
    image
}

#[test]
fn a_fetched_kernel_is_found_by_both_names() {
    let (_root, cache) = cache();
    for name in ["6.1", "6.1-cloud"] {
        let kernel = Kernel::resolve_in(&cache, name).unwrap();
        assert_eq!((kernel.name.as_str(), kernel.release.as_str()), ("6.1-cloud", "6.1.0-1-cloud"));
        assert!(kernel.image().ends_with("kernels/6.1-cloud-1-1/vmlinux"), "{:?}", kernel.image());
    }
    let fetched: Vec<_> = list(&cache).unwrap().into_iter().filter(|row| row.1.is_some()).collect();
    assert_eq!((fetched.len(), fetched[0].0.name), (1, "6.1-cloud"));
}

#[test]
fn a_kernel_that_is_not_fetched_says_how_to() {
    let (_root, cache) = cache();
    let error = Kernel::resolve_in(&cache, "6.12").unwrap_err().to_string();
    assert!(error.ends_with("dimmer-lab images fetch 6.12-cloud"), "{error}");
}

#[test]
fn fetching_what_is_there_needs_no_lock() {
    let (_root, cache) = cache();
    let _lock = cache.lock().unwrap();
    let kernels = crate::fetch(&cache, &["6.1", "6.1-cloud"], false).unwrap();
    assert_eq!(kernels.len(), 2);
}

#[test]
fn a_file_is_told_by_its_contents() {
    let (root, cache) = cache();
    let path = root.path().join("image");
    let resolve = || Kernel::resolve_in(&cache, path.to_str().unwrap());
    fs::write(&path, bzimage("6.9.9-mine #1")).unwrap();
    let kernel = resolve().unwrap();
    assert_eq!((kernel.release.as_str(), kernel.vmlinux, kernel.modules), ("6.9.9-mine", None, None));
    let text = b"Linux version %s\0Linux version 6.8.1 (x)\0";
    fs::write(&path, sample(".rodata", text)).unwrap();
    let kernel = resolve().unwrap();
    assert_eq!((kernel.release.as_str(), kernel.bzimage), ("6.8.1", None));
    fs::write(&path, "a text file").unwrap();
    assert!(matches!(resolve(), Err(Error::NoKernel { .. })));
}

#[test]
fn a_name_that_is_nothing_lists_the_names() {
    let (_root, cache) = cache();
    let error = Kernel::resolve_in(&cache, "6.2").unwrap_err().to_string();
    assert!(error.contains("\"6.2\"") && error.contains("6.12 (6.12-cloud)"), "{error}");
}

#[test]
fn modules_of_a_file_are_found_beside_it() {
    let (root, cache) = cache();
    let cached = cache.root().join("kernels/6.1-cloud-1-1");
    fs::write(cached.join("vmlinuz"), bzimage("6.1.0-1-cloud")).unwrap();
    let kernel = Kernel::resolve_in(&cache, cached.join("vmlinuz").to_str().unwrap()).unwrap();
    assert_eq!(kernel.modules, Some(cached.join("modules")));
    let installed = root.path().join("tree/lib/modules/6.5.0");
    fs::create_dir_all(&installed).unwrap();
    fs::create_dir_all(root.path().join("tree/boot")).unwrap();
    fs::write(installed.join("modules.builtin"), "").unwrap();
    let image = root.path().join("tree/boot/vmlinuz-6.5.0");
    fs::write(&image, bzimage("6.5.0")).unwrap();
    let kernel = Kernel::resolve_in(&cache, image.to_str().unwrap()).unwrap();
    assert_eq!(kernel.modules, Some(fs::canonicalize(installed).unwrap()));
}

#[test]
fn modules_of_a_file_are_where_they_are_said_to_be() {
    let (root, cache) = cache();
    let image = root.path().join("bzImage");
    fs::write(&image, bzimage("6.5.0")).unwrap();
    let tree = root.path().join("tree");
    let installed = tree.join("lib/modules/6.5.0");
    fs::create_dir_all(&installed).unwrap();
    let resolve = |directory: &Path| {
        Kernel::resolve_in(&cache, &format!("{},modules={}", image.display(), directory.display()))
    };
    let error = resolve(&tree).unwrap_err().to_string();
    assert!(error.contains("tree has no modules") && error.contains("lib/modules/6.5.0"), "{error}");
    fs::write(installed.join("modules.builtin"), "").unwrap();
    for directory in [&tree, &installed] {
        assert_eq!(resolve(directory).unwrap().modules, Some(fs::canonicalize(&installed).unwrap()));
    }
}
