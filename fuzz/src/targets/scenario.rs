//! Scenario files.

use std::path::Path;

use dimmer_lab::predict::forecast::forecast;
use dimmer_lab::scenario::Scenario;
use dimmer_oracle::release::Release;

/// Larger machines take long to predict and show nothing that smaller ones do not.
const LARGEST: u64 = 64 << 30;

pub fn file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(scenario) = Scenario::parse(text, Path::new("fuzzed")) else { return };
    let written = scenario.to_toml();
    let again = Scenario::parse(&written, Path::new("written")).expect("what was written is read");
    assert_eq!(again.to_toml(), written);
    if is_large(&written) {
        return;
    }
    for release in [Release::new(6, 1), Release::new(6, 12)] {
        let _ = forecast(&scenario, release, |moment| {
            let blocks: Vec<u64> = moment.after.blocks.iter().map(|look| look.index).collect();
            assert!(blocks.windows(2).all(|pair| pair[0] < pair[1]), "a block is there twice: {blocks:?}");
            Ok::<(), String>(())
        });
    }
}

/// Whether any number in the text is a size that makes a large machine, or a count that takes long.
fn is_large(text: &str) -> bool {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut sizes = words.filter_map(|word| {
        let digits = word.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        let unit = match word[digits.len()..].get(..1).unwrap_or_default() {
            "K" => 1 << 10,
            "M" => 1 << 20,
            "G" => 1 << 30,
            "T" => 1 << 40,
            _ => 1,
        };
        digits.parse::<u64>().ok()?.checked_mul(unit)
    });
    sizes.any(|size| size > LARGEST)
}
