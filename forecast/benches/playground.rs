//! How long the playground takes for its answers, natively; `docs/serve.md` says how long it takes as a module of wasm.
//!
//!     cargo bench -p dimmer-forecast --bench playground

use dimmer_forecast::library::texts;
use dimmer_forecast::playground::answer;

fn main() {
    divan::main();
}

fn question(text: &str) -> String {
    serde_json::json!({ "scenario": text }).to_string()
}

#[divan::bench(args = ["01-six-dimms-at-ratio-301", "04b-the-other-order", "25-virtio-mem-shrinks-and-grows"])]
fn one_scenario(bencher: divan::Bencher<'_, '_>, name: &str) {
    let text = texts().find(|(other, _)| *other == name).expect("a scenario of the library").1;
    let question = question(text);
    bencher.bench(|| answer(&question));
}

#[divan::bench]
fn the_library(bencher: divan::Bencher<'_, '_>) {
    let questions: Vec<String> = texts().map(|(_, text)| question(text)).collect();
    bencher.bench(|| questions.iter().map(|question| answer(question).len()).sum::<usize>());
}
