//! Kernels as packages have them, and what package managers say.

use dimmer_images::apt::text;
use dimmer_images::vmlinux::{extract, is_bzimage, release};

pub fn package(bytes: &[u8]) {
    if let Ok(vmlinux) = extract(bytes) {
        assert!(is_bzimage(bytes) && vmlinux.starts_with(b"\x7fELF"), "no kernel was extracted");
    }
    if let Some(release) = release(bytes) {
        assert!(!release.is_empty() && !release.contains(' '), "{release:?} is no release");
    }
    let Ok(control) = std::str::from_utf8(bytes) else { return };
    if let Some(newest) = text::newest(control, "6.12", "amd64") {
        assert!(control.contains(newest), "{newest:?} was made up");
    }
    if let Some(value) = text::field(control, "Version") {
        assert!(control.contains(value), "{value:?} was made up");
    }
    drop((text::kernel(control), text::parts(control)));
    let complaints = text::complaints(control);
    assert!(complaints.lines().count() <= control.lines().count());
    text::is_offline(control);
}
