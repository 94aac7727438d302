//! The pages in a browser.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use crate::Test;
use crate::browser::Browser;
use crate::machine::Machine;
use crate::server::Server;

/// The tests of this file.
pub const TESTS: &[Test] = &[
    ("pages::a_resize_is_clicked_and_blocks_change", a_resize_is_clicked_and_blocks_change),
    ("pages::keys_reach_every_block", keys_reach_every_block),
    (
        "pages::the_playground_shows_of_the_library_what_predict_says",
        the_playground_shows_of_the_library_what_predict_says,
    ),
    ("pages::what_is_wrong_with_a_scenario_is_shown", what_is_wrong_with_a_scenario_is_shown),
];

/// Names of keys (WebDriver, section 17.4.2).
const RIGHT: &str = "\u{e014}";
const DOWN: &str = "\u{e015}";
const END: &str = "\u{e010}";
const ENTER: &str = "\u{e007}";

fn opened() -> (Machine, Server, Browser) {
    let machine = Machine::start();
    let server = Server::start(&[machine.argument("vm")]);
    let browser = Browser::start();
    browser.open(&format!("http://{}/#token={}", server.host, server.token));
    browser.wait("document.querySelector('[data-block=\"40\"].normal')");
    (machine, server, browser)
}

fn a_resize_is_clicked_and_blocks_change() {
    let (machine, _server, browser) = opened();
    assert_eq!(browser.run("return location.hash + document.cookie", &[]), "", "the token is not kept there");
    let letter = "document.querySelector('[data-block=\"63\"]')?.textContent";
    browser.wait(&format!("{letter} !== 'M'"));
    browser.fill("form[data-do=resize] input[name=size]", "2G");
    browser.click("form[data-do=resize] button");
    browser.wait(&format!("{letter} === 'M'"));
    browser.wait("document.querySelector('#deeds [role=status]').textContent === 'vmem0 has 2 GiB plugged'");
    browser.wait("document.getElementById('events').textContent.includes('vmem0: done')");
    browser
        .wait("document.querySelector('#timeline svg').getAttribute('aria-label').includes('Movable 2 GiB')");
    browser.fill("form[data-do=blocks] input[name=blocks]", "48-49");
    browser.click("form[data-do=blocks] button[value=offline]");
    browser.wait("document.querySelector('[data-block=\"49\"].offline')?.textContent === 'm'");
    browser.click("#devices button");
    browser.wait("document.getElementById('explained').textContent.includes('Device vmem0')");
    assert_eq!(browser.complaints(), [""; 0]);
    drop(machine);
    browser.wait("!document.getElementById('trouble').hidden");
}

fn keys_reach_every_block() {
    let (_machine, _server, browser) = opened();
    browser.run("document.querySelector('[data-block=\"32\"]').focus()", &[]);
    browser.press(&[RIGHT, RIGHT, ENTER]);
    browser.wait("document.querySelector('#explained h3')?.textContent === 'Block 34'");
    browser.press(&[END, ENTER]);
    browser.wait("document.querySelector('#explained h3')?.textContent === 'Block 47'");
    browser.press(&[DOWN, ENTER]);
    browser.wait("Number(document.querySelector('#explained h3')?.textContent.slice(6)) >= 48");
    // One block alone is on the way of the Tab key.
    assert_eq!(browser.run("return document.querySelectorAll('.cell[tabindex=\"0\"]').length", &[]), 1);
    let unnamed =
        "return [...document.querySelectorAll('button, input, select, textarea, [role=grid], [role=log]')]
        .filter((element) => !(element.labels?.length || element.textContent.trim() || element.ariaLabel
            || element.getAttribute('aria-labelledby'))).map((element) => element.outerHTML)";
    assert_eq!(browser.run(unnamed, &[]), json!([]), "what has no name cannot be read out");
}

/// The letters of the blocks after the last step, as `dimmer-lab predict --json` has them.
fn predicted(name: &str) -> BTreeMap<u64, (String, String)> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_dimmer-lab")).args(["predict", name, "--json"]).output().unwrap();
    let forecast: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut all = BTreeMap::new();
    for run in forecast["steps"].as_array().unwrap().last().unwrap()["blocks"].as_array().unwrap() {
        let (state, zone) = (run["state"].as_str().unwrap(), run["zones"][0].as_str().unwrap());
        let letter = if zone == "none" { "-" } else { &zone[..1] };
        let letter = if state == "offline" { letter.to_lowercase() } else { letter.to_owned() };
        for index in run["first"].as_u64().unwrap()..=run["last"].as_u64().unwrap() {
            all.insert(index, (state.to_owned(), letter.clone()));
        }
    }
    all
}

fn the_playground_shows_of_the_library_what_predict_says() {
    let server = Server::start(&[]);
    let browser = Browser::start();
    browser.open(&format!("http://{}/playground", server.host));
    browser.wait("document.body.classList.contains('answered')");
    let choose = "
        const select = document.querySelector('#editor select[name=library]');
        select.value = arguments[0];
        select.dispatchEvent(new Event('change'));";
    let drawn = "return Object.fromEntries([...document.querySelectorAll('#map [data-block]:not(.absent):not(.missing)')]
        .map((cell) => [cell.dataset.block, cell.textContent]))";
    for (name, _) in dimmer_lab::library::texts() {
        browser.run(choose, &[json!(name)]);
        browser.wait("document.body.classList.contains('answered')");
        let mut drawn: BTreeMap<u64, String> = serde_json::from_value(browser.run(drawn, &[])).unwrap();
        for (block, (state, letter)) in predicted(name) {
            let shown = drawn.remove(&block).unwrap_or_default();
            let is_right = shown == letter
                || ["X", "%"].contains(&shown.as_str())
                || (state == "going-offline" && shown == "g");
            assert!(is_right, "{name}: block {block} shows {shown:?}, not {letter:?}");
        }
        assert_eq!(drawn, BTreeMap::new(), "{name}");
    }
    assert_eq!(browser.complaints(), [""; 0]);
}

fn what_is_wrong_with_a_scenario_is_shown() {
    let server = Server::start(&[]);
    let browser = Browser::start();
    browser.open(&format!("http://{}/playground", server.host));
    browser.wait("document.querySelector('#map [data-block=\"48\"].new')");
    browser.click("#map [data-block=\"48\"]");
    browser.wait("document.getElementById('explained').textContent.includes('early kernel pages')");
    browser.fill("#text", "shows = \"it\"\n[machine]\nmemory_hotplug = [\"method=acpi,slotz=1,size=1G\"]");
    browser.wait("document.getElementById('problems').textContent.includes('slotz')");
    assert_eq!(
        browser
            .run("return document.getElementById('problems').textContent", &[])
            .as_str()
            .unwrap()
            .matches("line 2")
            .count(),
        2
    );
    browser.click("#problems button");
    assert_eq!(browser.run("return document.activeElement.id", &[]), "text");
    browser.click("#steps-to-add button");
    browser.wait("document.getElementById('text').value.includes('plug = {')");
}
