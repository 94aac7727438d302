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
            let all = moment.model.linux.memory.all_shown().map(|(index, _, shown)| (index, shown));
            let kept = moment.blocks.looks().iter().map(|(index, look)| (*index, look.shown));
            assert!(all.eq(kept), "step {}: blocks are not what was kept of them", moment.step);
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
