//! Addresses of the kernel's variables: /proc/kallsyms.

use std::fs::File;
use std::io::{BufRead, BufReader};

use super::{GroupsError, file};

const PATH: &str = "/proc/kallsyms";

/// The addresses of variables of the kernel itself, in the order of their names.
pub(super) fn address_of<const N: usize>(names: [&'static str; N]) -> Result<[u64; N], GroupsError> {
    let lines = BufReader::new(File::open(PATH).map_err(file(PATH))?).lines();
    let mut found = [0; N];
    for line in lines {
        let line = line.map_err(file(PATH))?;
        let Some((address, name)) = symbol(&line) else { continue };
        if let Some(place) = names.iter().position(|wanted| *wanted == name) {
            found[place] = address;
            if found.iter().all(|address| *address != 0) {
                return Ok(found);
            }
        }
    }
    let missing = found.iter().position(|address| *address == 0).unwrap_or_default();
    Err(GroupsError::Symbol(names[missing]))
}

/// Address and name of a line `ffffffff81000000 d name`; those of modules have a fourth word.
fn symbol(line: &str) -> Option<(u64, &str)> {
    let mut words = line.split_whitespace();
    let (address, _, name) = (words.next()?, words.next()?, words.next()?);
    words.next().is_none().then(|| Some((u64::from_str_radix(address, 16).ok()?, name)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_an_address_and_a_symbol() {
        assert_eq!(
            symbol("ffffffff82c0a0e0 d memory_groups"),
            Some((0xffff_ffff_82c0_a0e0, "memory_groups"))
        );
        assert_eq!(symbol("ffffffffc0400000 t memory_groups\t[module]"), None);
        assert_eq!(symbol("x d name"), None);
        assert_eq!(symbol(""), None);
    }
}
