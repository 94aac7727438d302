//! Puts the scenarios of `tests/scenarios/` into the program, so that it has them wherever it runs. (`include_dir!` would not
//! notice a new file.)

use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=../tests/scenarios");
    let directory = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../tests/scenarios");
    let mut files = Vec::new();
    for entry in fs::read_dir(&directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path));
        }
    }
    files.sort();
    let mut code = String::from("[\n");
    for (name, path) in files {
        writeln!(code, "    ({name:?}, include_str!({:?})),", path.to_string_lossy())?;
    }
    code.push_str("]\n");
    Ok(fs::write(Path::new(&env::var("OUT_DIR")?).join("scenarios.rs"), code)?)
}
