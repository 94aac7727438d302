//! What apt prints and reads, as text in and text out.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use super::Package;

/// Format of `apt-get indextargets` that [`sources`] reads.
pub const TARGET_FORMAT: &str = "$(CREATED_BY)\t$(COMPONENT)\t$(REPO_URI)\t$(RELEASE)";

/// Code and suite names that Debian's own archives have; others' sources are told apart by not using them.
const RELEASES: [&str; 9] =
    ["bullseye", "bookworm", "trixie", "forky", "oldoldstable", "oldstable", "stable", "testing", "sid"];

/// Signs Debian's archives. Given in the sources list where it exists, so that no other key of the machine counts.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The sources list for `suite`, made of the machine's own Debian sources: the same archives, another release if need
/// be. A release such as `bookworm` comes with its updates, one with a pocket such as `trixie-backports` with the release
/// that its packages depend on. `targets` is the output of `apt-get indextargets`. Empty when the machine has no Debian source.
pub fn sources(targets: &str, suite: &str) -> String {
    let keyring = if Path::new(KEYRING).exists() { format!(" signed-by={KEYRING}") } else { String::new() };
    let release = suite.split('-').next().unwrap_or(suite);
    let mut lines = BTreeSet::new();
    for target in targets.lines() {
        let [created_by, "main", uri, source] = target.split('\t').collect::<Vec<_>>()[..] else { continue };
        let (base, pocket) = source.split_once('-').unwrap_or((source, ""));
        if created_by != "Packages"
            || !RELEASES.contains(&base)
            || !["", "updates", "security"].contains(&pocket)
        {
            continue;
        }
        let dash = if pocket.is_empty() { "" } else { "-" };
        lines.insert(format!("deb [arch=amd64{keyring}] {uri} {release}{dash}{pocket} main\n"));
        if pocket.is_empty() {
            lines.insert(format!("deb [arch=amd64{keyring}] {uri} {suite} main\n"));
        }
    }
    lines.into_iter().collect()
}

/// The apt configuration for `suite`: how to reach archives from the machine's (`apt-config dump`), everything else our own.
/// Packages of a pocket such as backports are taken only where they are preferred by name.
pub fn configuration(machine: &str, directory: &Path, list: &Path, suite: &str) -> String {
    let kept = |line: &&str| {
        line.starts_with("Acquire::")
            && !line.starts_with("Acquire::IndexTargets")
            && !line.starts_with("Acquire::Languages")
    };
    let mut text: String = machine.lines().filter(kept).flat_map(|line| [line, "\n"]).collect();
    let directory = directory.display();
    let list = list.display().to_string();
    let own: [(&str, String); 15] = [
        ("APT::Architecture", "amd64".into()),
        ("APT::Sandbox::User", "root".into()), // the cache may be where _apt cannot go
        ("Acquire::Languages", "none".into()),
        ("Acquire::Retries", "2".into()),
        ("Acquire::http::Timeout", "30".into()),
        ("Dir::State", format!("{directory}/state")),
        ("Dir::State::lists", format!("{directory}/state/lists")),
        ("Dir::State::status", format!("{directory}/state/status")),
        ("Dir::Cache", format!("{directory}/cache")),
        ("Dir::Etc::sourcelist", list),
        ("Dir::Etc::sourceparts", "/dev/null".into()),
        ("Dir::Etc::main", "/dev/null".into()),
        ("Dir::Etc::parts", "/dev/null".into()),
        ("Dir::Etc::preferences", "/dev/null".into()),
        ("Dir::Etc::preferencesparts", "/dev/null".into()),
    ];
    let preferred = suite.contains('-').then(|| ("APT::Default-Release", suite.to_owned()));
    for (name, value) in own.into_iter().chain(preferred) {
        writeln!(text, "{name} \"{value}\";").expect("writing to a String cannot fail");
    }
    text
}

/// The value of the field `name` in the first paragraph of a control file.
pub fn field<'a>(control: &'a str, name: &str) -> Option<&'a str> {
    let paragraph = control.lines().take_while(|line| !line.is_empty());
    paragraph.filter_map(|line| line.split_once(": ")).find(|field| field.0 == name).map(|field| field.1)
}

/// The kernel image that a metapackage depends on, as in `Depends: linux-image-6.1.0-1-amd64 (= 6.1.4-1)`.
pub fn kernel(control: &str) -> Option<Package> {
    let dependencies = field(control, "Depends")?.split(',').map(str::trim);
    let mut images = dependencies.filter(|dependency| dependency.starts_with("linux-image-"));
    let (name, version) = images.next()?.split_once(" (= ")?;
    Some(Package { name: name.into(), version: version.strip_suffix(')')?.into() })
}

/// The packages in the same version that make a kernel, its image first. In newer ones the image package is empty, and
/// the kernel, its modules and their lists are in packages of their own.
pub fn parts(control: &str) -> Option<Vec<Package>> {
    let (name, version) = (field(control, "Package")?, field(control, "Version")?);
    let release = name.strip_prefix("linux-image-")?;
    let dependencies = field(control, "Depends").unwrap_or_default();
    let others = ["base", "binary", "modules"].map(|part| format!("linux-{part}-{release}"));
    let is_split = dependencies.contains(&others[1]);
    let names = std::iter::once(name.to_owned()).chain(others.into_iter().filter(|_| is_split));
    Some(names.map(|name| Package { name, version: version.into() }).collect())
}

/// The newest of the packages `linux-image-SERIES.…-FLAVOUR` in `names`, one name a line, as apt-cache gives them.
pub fn newest<'a>(names: &'a str, series: &str, flavour: &str) -> Option<&'a str> {
    let version = |name: &str| -> Option<Vec<u64>> {
        let release = name.strip_prefix("linux-image-")?.strip_suffix(flavour)?.strip_suffix('-')?;
        // What follows the upstream version, such as `+deb13`, must be no other flavour.
        let (upstream, debian) = release.split_once(['+', '-']).unwrap_or((release, ""));
        let debian = debian.strip_prefix("deb").unwrap_or(debian);
        let is_plain = debian.chars().all(|c| c.is_ascii_digit() || c == '.');
        let rest = upstream.strip_prefix(series)?.strip_prefix('.')?;
        let numbers = rest.split('.').map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
        is_plain.then_some(numbers)
    };
    let known = names.lines().filter_map(|name| Some((version(name)?, name)));
    known.max().map(|(_, name)| name)
}

/// The errors and warnings in what apt wrote to standard error, one line, each once.
pub fn complaints(stderr: &str) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for line in stderr.lines().filter(|line| line.starts_with("E: ") || line.starts_with("W: ")) {
        let complaint = line[3..].trim();
        if !seen.contains(&complaint) {
            seen.push(complaint);
        }
    }
    if seen.is_empty() { stderr.trim().to_owned() } else { seen.join("; ") }
}

/// Whether apt's complaints say that the network or the archive is out of reach.
pub fn is_offline(complaints: &str) -> bool {
    let signs = [
        "Temporary failure resolving",
        "Could not resolve",
        "Could not connect",
        "Cannot initiate the connection",
        "Network is unreachable",
        "No route to host",
        "Connection timed out",
        "Connection refused",
        "Unable to connect to",
        "Something wicked happened resolving",
    ];
    signs.iter().any(|sign| complaints.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: &str = "Packages\tmain\thttp://archive.test/debian/\ttrixie\n\
        DEP-11\tmain\thttp://archive.test/debian/\ttrixie\n\
        Packages\tcontrib\thttp://archive.test/debian/\ttrixie\n\
        Packages\tmain\thttp://archive.test/debian/\ttrixie\n\
        Packages\tmain\thttp://archive.test/debian/\ttrixie-backports\n\
        Packages\tmain\thttp://security.test/\ttrixie-security\n\
        Packages\tmain\thttp://vendor.test/apt/\tnodistro\n\
        a line of another kind\n";

    #[test]
    fn sources_keep_debian_archives_and_move_to_the_release() {
        let text = sources(TARGETS, "bookworm");
        let lines: Vec<_> = text.lines().map(|line| line.split_once("] ").unwrap().1).collect();
        let expected =
            ["http://archive.test/debian/ bookworm main", "http://security.test/ bookworm-security main"];
        assert_eq!(lines, expected);
        assert_eq!(sources("Packages\tmain\thttp://vendor.test/apt/\tnodistro\n", "bookworm"), "");
    }

    #[test]
    fn the_configuration_keeps_proxies_and_drops_hooks_and_directories() {
        let machine = "Acquire::http::Proxy \"http://proxy.test:3142\";\nAcquire::Languages \"de\";\n\
            APT::Update::Post-Invoke:: \"rm x\";\nDir::Cache \"/var/cache/apt\";\n";
        let text =
            configuration(machine, Path::new("/c/apt"), Path::new("/c/apt/sources.list"), "trixie-backports");
        assert!(text.starts_with("Acquire::http::Proxy \"http://proxy.test:3142\";\n"), "{text}");
        assert!(text.contains("Dir::Cache \"/c/apt/cache\";\n"));
        assert!(text.contains("APT::Default-Release \"trixie-backports\";\n"), "{text}");
        assert!(
            !text.contains("Post-Invoke") && !text.contains("/var/") && !text.contains("\"de\""),
            "{text}"
        );
    }

    #[test]
    fn a_metapackage_names_the_current_kernel() {
        let control = "Package: linux-image-amd64\nVersion: 6.1.4-1\n\
            Depends: initramfs | x, linux-image-6.1.0-1-amd64 (= 6.1.4-1)\n\n\
            Package: linux-image-amd64\nDepends: linux-image-6.0.0-1-amd64 (= 6.0.1-1)\n";
        let kernel = kernel(control).unwrap();
        assert_eq!((kernel.name.as_str(), kernel.version.as_str()), ("linux-image-6.1.0-1-amd64", "6.1.4-1"));
        assert_eq!(super::kernel("Package: x\nDepends: libc6 (>= 2)\n"), None);
        assert_eq!(super::kernel("Package: x\n"), None);
        assert_eq!(field(control, "Version"), Some("6.1.4-1"));
    }

    #[test]
    fn a_pocket_comes_with_its_release() {
        let text = sources(TARGETS, "trixie-backports");
        let lines: Vec<_> = text.lines().map(|line| line.split_once("] ").unwrap().1).collect();
        let expected = [
            "http://archive.test/debian/ trixie main",
            "http://archive.test/debian/ trixie-backports main",
            "http://security.test/ trixie-security main",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn the_newest_of_a_series_is_that_of_the_highest_numbers() {
        let names = "linux-image-7.3.4+deb13-cloud-amd64\nlinux-image-7.10.1+deb13-cloud-amd64\n\
            linux-image-7.11.0+deb13-amd64\nlinux-image-7.12.0-rt-cloud-amd64\nlinux-image-70.1-cloud-amd64\n\
            linux-image-7.9.12+deb13-cloud-amd64\nlinux-image-cloud-amd64\n";
        let found = |series| newest(names, series, "cloud-amd64");
        assert_eq!(found("7"), Some("linux-image-7.10.1+deb13-cloud-amd64"));
        assert_eq!(found("7.3"), Some("linux-image-7.3.4+deb13-cloud-amd64"));
        assert_eq!(found("8"), None);
        assert_eq!(newest(names, "7", "amd64"), Some("linux-image-7.11.0+deb13-amd64"));
    }

    #[test]
    fn a_kernel_in_several_packages_is_whole() {
        let control = "Package: linux-image-7.3.4-amd64\nVersion: 7.3.4-1\nDepends: dracut | x, \
            linux-base-7.3.4-amd64 (= 7.3.4-1), linux-binary-7.3.4-amd64 (= 7.3.4-1), \
            linux-modules-7.3.4-amd64 (= 7.3.4-1)\n";
        let names: Vec<_> = parts(control).unwrap().into_iter().map(|package| package.name).collect();
        assert_eq!(
            names,
            ["image", "base", "binary", "modules"].map(|part| format!("linux-{part}-7.3.4-amd64"))
        );
        let one = parts(
            "Package: linux-image-6.1-amd64\nVersion: 6.1-1\nDepends: kmod, linux-base-6.1-amd64 (= 6.1-1)\n",
        )
        .unwrap();
        assert_eq!((one.len(), one[0].version.as_str()), (1, "6.1-1"));
    }

    #[test]
    fn complaints_are_told_apart_from_noise() {
        let stderr = "Reading…\nW: Failed to fetch http://a.test/x  Temporary failure resolving 'a.test'\n\
            W: Failed to fetch http://a.test/x  Temporary failure resolving 'a.test'\nE: Unable to locate\n";
        let text = complaints(stderr);
        let expected =
            "Failed to fetch http://a.test/x  Temporary failure resolving 'a.test'; Unable to locate";
        assert_eq!(text, expected);
        assert!(is_offline(&text));
        assert!(!is_offline("Unable to locate package x"));
        assert_eq!(complaints(" something else\n"), "something else");
    }
}
