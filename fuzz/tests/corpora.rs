//! All inputs that are kept, through their targets.

use std::fs;
use std::path::Path;

use dimmer_fuzz::TARGETS;

#[test]
fn what_was_kept_breaks_no_rule() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in TARGETS {
        let entries = fs::read_dir(corpora.join(target.name));
        let entries = entries.unwrap_or_else(|error| panic!("{} has no corpus: {error}", target.name));
        let mut count = 0;
        for entry in entries {
            let path = entry.expect("an entry").path();
            println!("{}", path.display());
            (target.run)(&fs::read(path).expect("an input"));
            count += 1;
        }
        assert!(count > 0, "{} has no inputs", target.name);
    }
}

#[test]
fn every_corpus_and_dictionary_is_a_targets() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["corpus", "dictionaries"] {
        for entry in fs::read_dir(fuzz.join(folder)).expect("a folder") {
            let name = entry.expect("an entry").file_name();
            assert!(
                TARGETS.iter().any(|target| name == target.name),
                "{folder}/{} is nobody's",
                name.display()
            );
        }
    }
}
