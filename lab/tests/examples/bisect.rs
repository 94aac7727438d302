//! `examples/bisect`: `git bisect run` with its script, in trees whose `make` takes no time.

use std::fs;
use std::path::Path;
use std::process::Command;

use dimmer_images::{Cache, Kernel, fetch};

use crate::{in_front, programs, said, top};

/// What the scenario is about: a DIMM is movable, as it is since Linux has memory groups. The oracle would have it otherwise where
/// it knows the release to have none.
const SCENARIO: &str = "shows = \"A DIMM is movable\"\n[machine]\nmemory_hotplug = [\"method=acpi,slots=1,size=1G\"]\n\
    [[step]]\nplug = { id = \"d0\", size = \"1G\" }\nexpect = { blocks = \"48-55 Movable\", oracle = false }\n";

/// Makes of the file `image` a kernel, and of the link `modules` what is installed; `broken` ends it.
const MAKEFILE: &str = "olddefconfig:\n\ttest -f .config\n\
    bzImage:\n\ttest ! -e broken\n\tmkdir -p arch/x86/boot\n\tcp -L image arch/x86/boot/bzImage\n\
    modules:\n\ttest -e modules\n\
    modules_install:\n\ttest \"$(INSTALL_MOD_STRIP)\" = 1\n\tmkdir -p $(INSTALL_MOD_PATH)/lib/modules\n\
    \tcp -rL modules $(INSTALL_MOD_PATH)/lib/modules/`cat release`\n\
    .PHONY: olddefconfig bzImage modules modules_install\n";

/// What is checked out in a commit.
struct Commit<'a> {
    /// What the kernel is a copy of.
    image: &'a Path,
    /// Its modules, and its release.
    modules: &'a Path,
    release: &'a str,
    /// Whether it cannot be built.
    broken: bool,
}

/// A repository of git's that nobody's settings reach.
fn git(tree: &Path, arguments: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.current_dir(tree).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    git.args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(arguments);
    git
}

/// The tree with these commits, called by their number, and the scenario beside it.
fn history(tree: &Path, commits: &[Commit<'_>]) {
    fs::create_dir(tree).unwrap();
    said(&mut git(tree, &["init", "--quiet"]));
    for (name, text) in [("Makefile", MAKEFILE), (".config", ""), (".gitignore", "arch\n")] {
        fs::write(tree.join(name), text).unwrap();
    }
    fs::write(tree.with_file_name("mine.toml"), SCENARIO).unwrap();
    for (number, commit) in commits.iter().enumerate() {
        for (link, to) in [("image", commit.image), ("modules", commit.modules)] {
            // There is none yet in the first commit.
            let _ = fs::remove_file(tree.join(link));
            std::os::unix::fs::symlink(to, tree.join(link)).unwrap();
        }
        let _ = fs::remove_file(tree.join("broken"));
        if commit.broken {
            fs::write(tree.join("broken"), "").unwrap();
        }
        fs::write(tree.join("release"), commit.release).unwrap();
        fs::write(tree.join("number"), number.to_string()).unwrap();
        said(&mut git(tree, &["add", "--all"]));
        said(&mut git(tree, &["commit", "--quiet", "--message", &format!("commit {number}")]));
        said(&mut git(tree, &["tag", &format!("c{number}")]));
    }
}

/// Bisects as the page says; what git and the script say.
fn bisected(tree: &Path, last: usize, path: &std::ffi::OsStr) -> String {
    said(&mut git(tree, &["bisect", "start", &format!("c{last}"), "c0"]));
    let step = top().join("examples/bisect/step");
    let mut run = git(tree, &["bisect", "run", step.to_str().unwrap(), "../mine.toml"]);
    said(run.env("PATH", path))
}

/// With a program in place of `dimmer-lab` that ends as the kernel says: the script's own part of it.
pub fn the_first_bad_commit_of_a_tree() {
    let directory = tempfile::tempdir().unwrap();
    let (bin, modules) = (directory.path().join("bin"), directory.path().join("modules"));
    for it in [&bin, &modules] {
        fs::create_dir(it).unwrap();
    }
    let stub = "#!/bin/sh\n[ \"$1 $2 $3\" = 'check ../mine.toml --kernel' ] || exit 3\n\
        [ -d \"${4#arch/x86/boot/bzImage,modules=}/lib/modules/r\" ] || exit 3\nexit \"$(cat arch/x86/boot/bzImage)\"\n";
    fs::write(bin.join("dimmer-lab"), stub).unwrap();
    said(Command::new("chmod").arg("+x").arg(bin.join("dimmer-lab")));
    let images: Vec<_> =
        ["0", "1", "2"].iter().map(|status| (directory.path().join(status), status)).collect();
    images.iter().for_each(|(path, status)| fs::write(path, status).unwrap());
    let commit =
        |status: usize| Commit { image: &images[status].0, modules: &modules, release: "r", broken: false };
    let cannot_be_built = || Commit { broken: true, ..commit(0) };
    // Neither one that cannot be built nor one that does not boot (2) is good or bad.
    let commits =
        [commit(0), commit(0), commit(2), commit(0), commit(1), cannot_be_built(), commit(1), commit(1)];
    let tree = directory.path().join("linux");
    history(&tree, &commits);
    let path = in_front(&bin);
    for (commit, status) in [("c0", 0), ("c2", 125), ("c4", 1), ("c5", 125)] {
        said(&mut git(&tree, &["checkout", "--quiet", commit]));
        let mut step = Command::new(top().join("examples/bisect/step"));
        let output = step.arg("../mine.toml").current_dir(&tree).env("PATH", &path).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{commit}: {output:?}");
    }
    let text = bisected(&tree, commits.len() - 1, &path);
    assert_eq!(resolved(&tree, "refs/bisect/bad"), resolved(&tree, "c4"), "{text}");
}

/// With kernels as they are: those of 5.10 know no memory groups, so that the DIMM is kernel memory there.
pub fn the_kernel_that_moved_a_block() {
    let kernels = fetch(&Cache::open().unwrap(), &["6.12", "5.10"], false).unwrap();
    let commit = |kernel: usize| {
        let Kernel { bzimage, modules, release, .. } = &kernels[kernel];
        let (image, modules) = (bzimage.as_deref().unwrap(), modules.as_deref().unwrap());
        Commit { image, modules, release, broken: false }
    };
    let commits = [commit(0), commit(0), commit(1), commit(1)];
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("linux");
    history(&tree, &commits);
    let (_programs, path) = programs();
    let text = bisected(&tree, commits.len() - 1, &path);
    assert_eq!(resolved(&tree, "refs/bisect/bad"), resolved(&tree, "c2"), "{text}");
    assert!(text.contains("expected Movable, seen Normal"), "{text}");
}

fn resolved(tree: &Path, name: &str) -> String {
    said(&mut git(tree, &["rev-parse", name]))
}
