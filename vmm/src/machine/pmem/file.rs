//! The files with what is in persistent memory.

use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::sync::Arc;

use super::PmemError;
use crate::machine::locked::{self, Use};
use crate::spec::{PMEM_UNIT, PmemSpec};
use crate::units::Bytes;

/// Opens all files, and says of each specification how large it is.
///
/// # Errors
/// [`PmemError`] names the flag.
pub fn open_all(specs: &mut [PmemSpec]) -> Result<Vec<Arc<File>>, PmemError> {
    specs.iter_mut().map(|spec| open(spec).map(Arc::new).map_err(PmemError::host(spec))).collect()
}

/// Opens the file of `spec`. Where a size was given, one that is shorter is made that long, with a hole, and one that is not
/// there is made.
fn open(spec: &mut PmemSpec) -> io::Result<File> {
    let how = match (spec.readonly, spec.size) {
        (true, _) => Use::Read,
        (false, None) => Use::Write,
        (false, Some(_)) => Use::Make,
    };
    let file = locked::open(&spec.path, how)?;
    if file.metadata()?.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    let length = (&file).seek(SeekFrom::End(0))?;
    let size = spec.size.unwrap_or(length);
    if length < size && how == Use::Make {
        file.set_len(size)?;
    } else if length != size {
        let (length, size) = (Bytes(length), Bytes(size));
        return Err(io::Error::other(format!("it is {length} long, and not size={size}")));
    }
    if size == 0 || !size.is_multiple_of(PMEM_UNIT) {
        let (size, unit) = (Bytes(size), Bytes(PMEM_UNIT));
        return Err(io::Error::other(format!(
            "it is {size} long, and must be a multiple of {unit}, and not 0"
        )));
    }
    spec.size = Some(size);
    Ok(file)
}

/// Complains of a file that has become shorter than `size`: what was behind its end is lost. A device has no length of a file's.
pub fn check_length(file: &File, size: u64) -> io::Result<()> {
    let found = file.metadata()?;
    if !found.is_file() || found.len() >= size {
        return Ok(());
    }
    let (length, size) = (Bytes(found.len()), Bytes(size));
    Err(io::Error::new(ErrorKind::UnexpectedEof, format!("the file is {length} long, and was {size}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MIB;

    fn spec(path: &std::path::Path, size: Option<u64>, readonly: bool) -> PmemSpec {
        PmemSpec { id: "p".to_owned(), path: path.to_owned(), size, readonly }
    }

    #[test]
    fn a_file_has_the_size_that_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut made = [spec(&path, Some(4 * MIB), false)];
        let files = open_all(&mut made).unwrap();
        assert_eq!(files[0].metadata().unwrap().len(), 4 * MIB);
        let refused = |size, readonly| open_all(&mut [spec(&path, size, readonly)]).unwrap_err().to_string();
        assert!(refused(None, false).ends_with("another machine has it"));
        assert!(refused(None, true).ends_with("another machine writes it"));
        drop(files);
        let mut found = [spec(&path, None, true), spec(&path, Some(4 * MIB), true)];
        open_all(&mut found).unwrap();
        assert_eq!([found[0].size, found[1].size], [Some(4 * MIB); 2]);
        assert!(refused(Some(2 * MIB), false).ends_with("it is 4 MiB long, and not size=2 MiB"));
        assert!(refused(Some(6 * MIB), true).ends_with("it is 4 MiB long, and not size=6 MiB"));
        std::fs::File::options().write(true).open(&path).unwrap().set_len(MIB).unwrap();
        assert!(refused(None, false).contains("it is 1 MiB long, and must be a multiple of 2 MiB"));
        let path = dir.path().join("none");
        assert!(
            open_all(&mut [spec(&path, None, false)]).unwrap_err().to_string().contains("--pmem id=p,file=")
        );
        assert!(open_all(&mut [spec(dir.path(), None, true)]).is_err());
    }

    #[test]
    fn a_file_that_was_cut_short_is_noticed() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4 * MIB).unwrap();
        check_length(&file, 4 * MIB).unwrap();
        file.set_len(MIB).unwrap();
        let error = check_length(&file, 4 * MIB).unwrap_err().to_string();
        assert_eq!(error, "the file is 1 MiB long, and was 4 MiB");
    }
}
