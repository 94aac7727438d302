//! Images of distributions in the cache.

use super::*;

#[test]
fn names_are_known_or_listed() {
    assert_eq!(find("debian-12").unwrap().suite, "bookworm");
    let error = find("arch").unwrap_err().to_string();
    assert_eq!(error, "There is no distribution \"arch\"; there are: debian-12, debian-13");
}

#[test]
fn the_same_packages_are_the_same_image_however_they_are_said() {
    let said = |more: &[&str]| recipe(&more.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(said(&["stress-ng", "redis"]), said(&["redis", "udev", "stress-ng", "redis"]));
    assert_ne!(said(&["redis"]), said(&[]));
}

#[test]
fn what_was_not_built_is_said_with_the_command_that_builds_it() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::at(directory.path()).unwrap();
    let error = ALL[0].built(&cache).unwrap_err().to_string();
    assert_eq!(error, "debian-12 is not in the cache; build it with: dimmer-lab images build debian-12");
    cache.write("roots/debian-12.squashfs", b"image").unwrap();
    cache.write("roots/debian-12.made", recipe(&[]).as_bytes()).unwrap();
    assert_eq!(ALL[0].built(&cache).unwrap(), ALL[0].build(&cache, &[], false).unwrap());
    assert_eq!(ALL[0].lacking(&cache, &["udev"]), None);
    let lacking = ALL[0].lacking(&cache, &["bc"]).unwrap();
    assert_eq!(recipe(&lacking), recipe(&["bc".to_owned()]));
}
