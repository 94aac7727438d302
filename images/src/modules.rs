//! Kernel modules, and in which order to load them.
//!
//! Dependencies are read from the modules themselves (`depends=` in their `.modinfo` section), as `depmod` does: Debian's
//! packages come without its `modules.dep`. A module's file name and its name differ in `-` and `_`, which mean the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::elf::Elf;
use crate::vmlinux;

/// Why a module is not there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory cannot be read.
    #[error("Cannot read {path}")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The kernel has no such module.
    #[error("The kernel has no module {name}, neither built in nor in {root}{}", for_whom(.wanted_by))]
    Missing {
        /// Its name.
        name: String,
        /// Where it was looked for.
        root: PathBuf,
        /// The module that needs it, if it was not asked for itself.
        wanted_by: Option<String>,
    },
    /// The file cannot be decompressed.
    #[error("Cannot decompress the module {path}")]
    Compressed {
        /// The file.
        path: PathBuf,
        /// What the decompressor said.
        #[source]
        cause: vmlinux::Error,
    },
    /// The file is no module.
    #[error("{path} is no kernel module: it has no .modinfo section")]
    NoModule {
        /// The file.
        path: PathBuf,
    },
}

fn for_whom(wanted_by: &Option<String>) -> String {
    wanted_by.as_ref().map(|name| format!(", but {name} needs it")).unwrap_or_default()
}

/// A module, decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name, with `_`.
    pub name: String,
    /// Its ELF file.
    pub image: Vec<u8>,
}

/// The modules of one kernel.
#[derive(Debug)]
pub struct Modules {
    root: PathBuf,
    files: BTreeMap<String, PathBuf>,
    builtin: BTreeSet<String>,
}

impl Modules {
    /// Those in `root`, a `/lib/modules/RELEASE`.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn open(root: &Path) -> Result<Self, Error> {
        let list = root.join("modules.builtin");
        let builtin = fs::read_to_string(&list).map_err(|cause| Error::Read { path: list, cause })?;
        let builtin = builtin.lines().filter_map(|line| name_of(Path::new(line))).collect();
        let mut modules = Self { root: root.into(), files: BTreeMap::new(), builtin };
        modules.index(&root.join("kernel"))?;
        Ok(modules)
    }

    fn index(&mut self, directory: &Path) -> Result<(), Error> {
        let read = |cause| Error::Read { path: directory.into(), cause };
        for entry in fs::read_dir(directory).map_err(read)? {
            let entry = entry.map_err(read)?;
            let path = entry.path();
            if entry.file_type().map_err(read)?.is_dir() {
                self.index(&path)?;
            } else if let Some(name) = name_of(&path) {
                self.files.insert(name, path);
            }
        }
        Ok(())
    }

    /// Whether the kernel has `name`, built in or as a module.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        let name = name.replace('-', "_");
        self.builtin.contains(&name) || self.files.contains_key(&name)
    }

    /// The modules `names` and all that they depend on, each once and after what it depends on. Built-in ones are left
    /// out, since they need no loading.
    ///
    /// # Errors
    /// [`Error`].
    pub fn load_order(&self, names: &[&str]) -> Result<Vec<Module>, Error> {
        let mut order = Order { modules: self, seen: BTreeSet::new(), loaded: Vec::new() };
        names.iter().try_for_each(|name| order.add(&name.replace('-', "_"), None))?;
        Ok(order.loaded)
    }

    fn read(&self, name: &str, wanted_by: Option<&str>) -> Result<Module, Error> {
        let missing = || Error::Missing {
            name: name.into(),
            root: self.root.clone(),
            wanted_by: wanted_by.map(Into::into),
        };
        let path = self.files.get(name).ok_or_else(missing)?;
        let image = fs::read(path).map_err(|cause| Error::Read { path: path.clone(), cause })?;
        let image = match image.starts_with(b"\xfd7zXZ\0") {
            true => vmlinux::xz(&image).map_err(|cause| Error::Compressed { path: path.clone(), cause })?,
            false => image,
        };
        Ok(Module { name: name.into(), image })
    }
}

/// A depth-first walk over dependencies.
struct Order<'a> {
    modules: &'a Modules,
    seen: BTreeSet<String>,
    loaded: Vec<Module>,
}

impl Order<'_> {
    fn add(&mut self, name: &str, wanted_by: Option<&str>) -> Result<(), Error> {
        // The kernel refuses circular dependencies, so one that is seen but not loaded yet cannot be met here twice.
        if self.modules.builtin.contains(name) || !self.seen.insert(name.to_owned()) {
            return Ok(());
        }
        let module = self.modules.read(name, wanted_by)?;
        let path = || self.modules.files[name].clone();
        for dependency in dependencies(&module.image).ok_or_else(|| Error::NoModule { path: path() })? {
            self.add(&dependency, Some(name))?;
        }
        self.loaded.push(module);
        Ok(())
    }
}

/// The name of the module in the file `path`, if it is one.
fn name_of(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let name = [".ko", ".ko.xz"].iter().find_map(|suffix| file.strip_suffix(suffix))?;
    Some(name.replace('-', "_"))
}

/// What the module in the ELF file `image` says it depends on.
fn dependencies(image: &[u8]) -> Option<Vec<String>> {
    let information = Elf::new(image)?.section(".modinfo")?;
    let entries = information.split(|byte| *byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok());
    let lists = entries.filter_map(|entry| entry.strip_prefix("depends="));
    let names = lists.flat_map(|list| list.split(',')).filter(|name| !name.is_empty());
    Some(names.map(|name| name.replace('-', "_")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::sample;

    /// `a-b` (compressed) needs `c` and `built_in`; `c` needs `d`; `alone` nothing.
    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, bytes: &[u8]| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let module =
            |depends: &str| sample(".modinfo", format!("license=GPL\0depends={depends}\0").as_bytes());
        let mut compressed = Vec::new();
        lzma_rs::xz_compress(&mut module("c,built-in").as_slice(), &mut compressed).unwrap();
        write("modules.builtin", b"kernel/x/built-in.ko\n");
        write("kernel/x/a-b.ko.xz", &compressed);
        write("kernel/y/z/c.ko", &module("d"));
        write("kernel/y/d.ko", &module(""));
        write("kernel/alone.ko", &module(""));
        write("kernel/bad.ko", &sample(".text", b""));
        write("kernel/orphan.ko", &module("nowhere"));
        write("kernel/README", b"");
        root
    }

    fn names(root: &Path, wanted: &[&str]) -> Result<Vec<String>, String> {
        let modules = Modules::open(root).unwrap().load_order(wanted);
        let modules = modules.map_err(|error| error.to_string())?;
        Ok(modules.into_iter().map(|module| module.name).collect())
    }

    #[test]
    fn dependencies_come_first_and_once() {
        let root = tree();
        let order = names(root.path(), &["built_in", "a_b", "d", "alone", "a-b"]).unwrap();
        assert_eq!(order, ["d", "c", "a_b", "alone"]);
        let modules = Modules::open(root.path()).unwrap();
        assert!(modules.has("a_b") && modules.has("built-in") && !modules.has("README"));
    }

    #[test]
    fn a_compressed_module_comes_out_decompressed() {
        let root = tree();
        let modules = Modules::open(root.path()).unwrap().load_order(&["a-b"]).unwrap();
        assert!(Elf::new(&modules.last().unwrap().image).is_some());
    }

    #[test]
    fn what_is_missing_or_no_module_is_named() {
        let root = tree();
        assert!(names(root.path(), &["nothing"]).unwrap_err().contains("no module nothing, neither"));
        assert!(names(root.path(), &["orphan"]).unwrap_err().ends_with(", but orphan needs it"));
        assert!(names(root.path(), &["bad"]).unwrap_err().contains("bad.ko is no kernel module"));
        assert!(matches!(Modules::open(Path::new("/no/such")), Err(Error::Read { .. })));
    }
}
