//! What the project is made of: licences and sources as `deny.toml` allows, and each crate that is named has a reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use spdx::{Expression, ParseMode};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(name: &str) -> String {
    fs::read_to_string(workspace().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn table(name: &str) -> toml::Table {
    toml::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every crate that is in the lock file, with what it says of itself.
fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--locked"]).current_dir(workspace());
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    metadata["packages"].as_array().expect("a list").clone()
}

fn strings(value: &toml::Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().map(|one| one.as_str().expect("a text")).collect()
}

/// What `forecast/`, and all that it uses, is made of beside itself: texts and data, nothing of a host.
const PURE: [&str; 23] = [
    "acpi_tables",
    "dyn-clone",
    "equivalent",
    "hashbrown",
    "indexmap",
    "itoa",
    "memchr",
    "rangemap",
    "ref-cast",
    "schemars",
    "serde",
    "serde_core",
    "serde_json",
    "serde_spanned",
    "thiserror",
    "toml",
    "toml_datetime",
    "toml_parser",
    "toml_writer",
    "utoipa",
    "winnow",
    "zerocopy",
    "zmij",
];

#[test]
fn licences_are_those_that_are_allowed() {
    let deny = table("deny.toml");
    let everywhere = strings(&deny["licenses"]["allow"]);
    let exceptions = deny["licenses"]["exceptions"].as_array().expect("a list");
    let mut wrong = Vec::new();
    for package in packages() {
        let name = package["name"].as_str().expect("a name");
        let licence = package["license"].as_str().unwrap_or("none");
        let own = exceptions
            .iter()
            .filter(|one| one["crate"].as_str() == Some(name))
            .flat_map(|one| strings(&one["allow"]));
        let allowed: Vec<&str> = everywhere.iter().copied().chain(own).collect();
        if !is_allowed(licence, &allowed) {
            wrong.push(format!("{name}: {licence}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether a licence, as a crate writes it, lets us choose only what is allowed.
fn is_allowed(licence: &str, allowed: &[&str]) -> bool {
    let Ok(expression) = Expression::parse_mode(licence, ParseMode::LAX) else { return false };
    expression.evaluate(|wanted| allowed.contains(&wanted.to_string().as_str()))
}

#[test]
fn a_licence_is_a_choice_of_what_is_allowed() {
    let allowed = ["MIT", "BSD-3-Clause", "LGPL-2.1-or-later"];
    for (licence, expected) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("Apache-2.0", false),
        ("MIT AND BSD-3-Clause", true),
        ("MIT AND Apache-2.0", false),
        ("(Apache-2.0 OR MIT) AND BSD-3-Clause", true),
        ("LGPL-2.1-or-later", true),
        ("GPL-3.0-only", false),
        ("none", false),
    ] {
        assert_eq!(is_allowed(licence, &allowed), expected, "{licence}");
    }
}

#[test]
fn every_crate_comes_from_the_registry_or_is_our_own() {
    for package in packages() {
        let source = package["source"].as_str();
        let registry =
            source.is_none_or(|source| source.starts_with("registry+") || source.starts_with("sparse+"));
        assert!(registry, "{}: {source:?}", package["name"]);
    }
}

#[test]
fn every_crate_that_is_named_has_a_reason() {
    let manifest = table("Cargo.toml");
    let named = manifest["workspace"]["dependencies"].as_table().expect("a table");
    let named: BTreeSet<String> =
        named.iter().filter(|(_, how)| how.get("path").is_none()).map(|(name, _)| name.clone()).collect();
    let page = text("docs/dependencies.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    let reasons: BTreeSet<String> = rows
        .filter(|(name, why)| *name != "crate" && !why.is_empty())
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(reasons, named);
    for member in strings(&manifest["workspace"]["members"]) {
        let member = table(&format!("{member}/Cargo.toml"));
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (name, how) in member.get(kind).and_then(toml::Value::as_table).into_iter().flatten() {
                assert!(how.get("workspace").is_some(), "{name} is not one of the workspace's");
            }
        }
    }
}

/// What is pure has nothing in it that needs a host, so that it builds for wasm: every crate of the playground without a server.
#[test]
fn what_is_pure_stays_pure() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "tree",
        "--locked",
        "--package",
        "dimmer-playground",
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "none",
    ]);
    let output = cargo.current_dir(workspace()).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("names are UTF-8");
    let found: BTreeSet<&str> = lines.lines().filter_map(|line| line.split(' ').next()).collect();
    let own =
        ["acpi", "forecast", "oracle", "plan", "playground", "report"].map(|name| format!("dimmer-{name}"));
    assert!(own.iter().all(|name| found.contains(name.as_str())), "{found:?}");
    let others: Vec<&str> = found.into_iter().filter(|name| !own.iter().any(|own| own == name)).collect();
    assert_eq!(others, PURE);
}
