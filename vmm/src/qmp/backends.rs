//! `object-add` and `object-del`: host memory that is named before a DIMM is made of it. It is only a size here: where host
//! memory comes from is the machine's affair (`--memory backing=…`).

use std::collections::BTreeMap;
use std::sync::Mutex;

use dimmer_devices::bus::lock;
use serde::Deserialize;

use super::message::QmpError;
use crate::spec::{Backing, MemorySpec};

/// Most of them at a time.
const MOST: usize = 1024;

/// The arguments of `object-add`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NewObject {
    qom_type: String,
    id: String,
    /// Bytes.
    size: u64,
    share: Option<bool>,
    prealloc: Option<bool>,
    reserve: Option<bool>,
}

impl NewObject {
    /// Whether host memory is made as it says, where it says so.
    fn check(&self, memory: &MemorySpec) -> Result<(), QmpError> {
        let shared = matches!(memory.backing, Backing::Memfd | Backing::File(_));
        for (name, said, is) in [
            ("share", self.share, shared),
            ("prealloc", self.prealloc, memory.prealloc),
            ("reserve", self.reserve, memory.reserve),
        ] {
            if said.is_some_and(|said| said != is) {
                let why = "host memory is made as --memory of dimmer run says";
                return Err(QmpError::generic(format!("{name}={}: must be {is}: {why}", !is)));
            }
        }
        Ok(())
    }
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Backend {
    size: u64,
    /// The DIMM that is made of it.
    dimm: Option<String>,
}

/// All of them, by name.
#[derive(Debug, Default)]
pub struct Backends(Mutex<BTreeMap<String, Backend>>);

impl Backends {
    /// One more, of a machine with this memory.
    pub fn add(&self, new: NewObject, memory: &MemorySpec) -> Result<(), QmpError> {
        new.check(memory)?;
        let NewObject { qom_type, id, size, .. } = new;
        if !matches!(qom_type.as_str(), "memory-backend-ram" | "memory-backend-memfd") {
            let what = "must be memory-backend-ram or memory-backend-memfd";
            return Err(QmpError::generic(format!("qom-type={qom_type:?}: {what}")));
        }
        crate::spec::check_id(&id).map_err(|bad| QmpError::generic(bad.to_string()))?;
        let mut all = lock(&self.0);
        if all.contains_key(&id) {
            return Err(QmpError::generic(format!("id: {id:?} is the name of another object")));
        }
        if all.len() >= MOST {
            return Err(QmpError::generic(format!("there are {MOST} objects already")));
        }
        all.insert(id, Backend { size, dimm: None });
        Ok(())
    }

    /// One less. `there` says whether a DIMM is still there.
    pub fn remove(&self, id: &str, there: impl Fn(&str) -> bool) -> Result<(), QmpError> {
        let mut all = lock(&self.0);
        let backend = all.get(id).ok_or_else(|| unknown(id))?;
        if let Some(dimm) = backend.dimm.as_deref().filter(|dimm| there(dimm)) {
            return Err(QmpError::generic(format!("object {id:?} is in use by {dimm:?}")));
        }
        all.remove(id);
        Ok(())
    }

    /// Lets the DIMM `dimm` have it; how large it is. `there` says whether a DIMM is still there.
    pub fn take(&self, id: &str, dimm: &str, there: impl Fn(&str) -> bool) -> Result<u64, QmpError> {
        let mut all = lock(&self.0);
        let backend = all.get_mut(id).ok_or_else(|| unknown(id))?;
        if let Some(other) = backend.dimm.as_deref().filter(|other| there(other)) {
            return Err(QmpError::generic(format!("memdev: object {id:?} is in use by {other:?}")));
        }
        backend.dimm = Some(dimm.to_owned());
        Ok(backend.size)
    }

    /// Takes it back: the DIMM did not come to be.
    pub fn give_back(&self, id: &str) {
        if let Some(backend) = lock(&self.0).get_mut(id) {
            backend.dimm = None;
        }
    }

    /// The path of the object that the DIMM `dimm` is made of. One that is made of none has one of its own name.
    pub fn path(&self, dimm: &str) -> String {
        let all = lock(&self.0);
        let of =
            all.iter().find(|(_, backend)| backend.dimm.as_deref() == Some(dimm)).map(|(id, _)| id.as_str());
        format!("/objects/{}", of.unwrap_or(dimm))
    }
}

fn unknown(id: &str) -> QmpError {
    QmpError::generic(format!("there is no object {id:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::sample;

    fn new(qom_type: &str, id: &str) -> NewObject {
        let (qom_type, id) = (qom_type.to_owned(), id.to_owned());
        NewObject { qom_type, id, size: 5, share: None, prealloc: None, reserve: None }
    }

    /// Adds it to a machine with anonymous memory.
    fn add(backends: &Backends, new: NewObject) -> Result<(), QmpError> {
        backends.add(new, &sample::memory(5, 5))
    }

    #[test]
    fn what_is_said_of_host_memory_has_to_be_so() {
        let backends = Backends::default();
        let shared = |share| NewObject { share: Some(share), ..new("memory-backend-ram", "m") };
        let error = add(&backends, shared(true)).unwrap_err();
        let why = "host memory is made as --memory of dimmer run says";
        assert_eq!(error, QmpError::generic(format!("share=true: must be false: {why}")));
        assert_eq!(add(&backends, shared(false)), Ok(()));
        let memfd = MemorySpec { backing: Backing::Memfd, prealloc: true, ..sample::memory(5, 5) };
        let other = NewObject { prealloc: Some(true), id: "n".to_owned(), ..shared(true) };
        assert_eq!(backends.add(other, &memfd), Ok(()));
    }

    #[test]
    fn an_object_is_one_dimms_as_long_as_that_is_there() {
        let backends = Backends::default();
        add(&backends, new("memory-backend-ram", "m")).unwrap();
        assert!(add(&backends, new("memory-backend-memfd", "m")).is_err());
        assert_eq!(backends.take("m", "d0", |_| true), Ok(5));
        assert!(backends.take("m", "d1", |_| true).is_err());
        assert!(backends.remove("m", |dimm| dimm == "d0").is_err());
        assert_eq!(
            (backends.path("d0").as_str(), backends.path("d1").as_str()),
            ("/objects/m", "/objects/d1")
        );
        assert_eq!(backends.take("m", "d1", |_| false), Ok(5), "the other one is gone");
        backends.give_back("m");
        assert_eq!(backends.remove("m", |_| true), Ok(()));
        assert!(backends.remove("m", |_| true).is_err());
    }

    #[test]
    fn what_is_no_memory_or_too_many_is_refused() {
        let backends = Backends::default();
        assert!(add(&backends, new("rng-random", "m")).is_err());
        assert!(add(&backends, new("memory-backend-ram", "a/b")).is_err());
        for number in 0..MOST {
            add(&backends, new("memory-backend-ram", &format!("m{number}"))).unwrap();
        }
        assert!(add(&backends, new("memory-backend-ram", "m")).is_err());
    }
}
