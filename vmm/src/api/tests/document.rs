//! The OpenAPI document lists exactly what is served.

use std::collections::BTreeSet;

use serde_json::Value;

use super::fake::FakeMachine;
use super::raw::request;
use crate::control::Refusal;

/// Path, method and the statuses of success, as the contract has them.
const CONTRACT: [(&str, &str, &[&str]); 33] = [
    ("/cpus", "get", &["200"]),
    ("/events", "get", &["200"]),
    ("/faults", "get", &["200"]),
    ("/faults", "put", &["200"]),
    ("/memory-devices", "get", &["200"]),
    ("/memory-devices", "post", &["200", "202"]),
    ("/memory-devices/{id}", "get", &["200"]),
    ("/memory-devices/{id}", "patch", &["200", "202"]),
    ("/memory-devices/{id}", "delete", &["200", "202"]),
    ("/memory-devices/{id}/ost", "get", &["200"]),
    ("/memory-devices/{id}/requests", "get", &["200"]),
    ("/metrics", "get", &["200"]),
    ("/openapi.json", "get", &["200"]),
    ("/vcpus", "get", &["200"]),
    ("/vm.audit", "get", &["200"]),
    ("/vm.counters", "get", &["200"]),
    ("/vm.fork", "post", &["201"]),
    ("/vm.info", "get", &["200"]),
    ("/vm.inject-mce", "post", &["204"]),
    ("/vm.nmi", "put", &["204"]),
    ("/vm.pause", "put", &["204"]),
    ("/vm.power-button", "put", &["204"]),
    ("/vm.reboot", "put", &["204"]),
    ("/vm.remove-device", "put", &["200", "204"]),
    ("/vm.resize", "put", &["200", "204"]),
    ("/vm.resize-zone", "put", &["200", "204"]),
    ("/vm.resume", "put", &["204"]),
    ("/vm.shutdown", "put", &["204"]),
    ("/vm.snapshot", "put", &["204"]),
    ("/vmm.log", "get", &["200"]),
    ("/vmm.log", "put", &["200"]),
    ("/vmm.ping", "get", &["200"]),
    ("/vmm.shutdown", "put", &["204"]),
];

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

fn machine() -> FakeMachine {
    FakeMachine::new(|_, _| Err(Refusal::Conflict("not now".to_owned())))
}

fn document(machine: &FakeMachine) -> Value {
    let response = request(&machine.socket, "GET", "/openapi.json", "");
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    response.json()
}

#[test]
fn the_document_is_the_contract() {
    let document = document(&machine());
    let mut listed = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let path = path.strip_prefix("/api/v1").expect("the base").to_owned();
        for (method, operation) in item.as_object().expect("operations") {
            let responses = operation["responses"].as_object().expect("responses");
            let good = responses.keys().filter(|status| status.starts_with('2')).cloned();
            listed.insert((path.clone(), method.clone(), good.collect::<Vec<_>>()));
        }
    }
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let contract = CONTRACT.map(|(path, method, good)| (path.to_owned(), method.to_owned(), owned(good)));
    assert_eq!(listed, contract.into());
}

#[test]
fn what_is_listed_is_served_and_what_is_not_is_not() {
    let machine = machine();
    let document = document(&machine);
    for (path, item) in document["paths"].as_object().expect("paths") {
        let served = path.strip_prefix("/api/v1").expect("the base").replace("{id}", "d0");
        if served == "/events" {
            // It does not end; its own tests read it.
            continue;
        }
        for method in METHODS {
            let status = request(&machine.socket, &method.to_uppercase(), &served, "").status;
            let listed = item.get(method).is_some();
            assert_eq!(status != 405, listed, "{method} {path}: {status}");
            assert_ne!(status, 404, "{method} {path}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn check(value: &Value, document: &Value) {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').expect("a reference into the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        match value {
            Value::Array(items) => items.iter().for_each(|item| check(item, document)),
            Value::Object(fields) => fields.values().for_each(|field| check(field, document)),
            _ => {}
        }
    }
    let document = document(&machine());
    check(&document, &document);
    for schema in
        ["MemoryStatus", "VmInfo", "Event", "Problem", "NewDevice", "ResizeDevice", "Audit", "Fault"]
    {
        assert!(document["components"]["schemas"].get(schema).is_some(), "{schema}");
    }
}

#[test]
fn changes_are_described_with_wait_and_their_problems() {
    let document = document(&machine());
    let operation = &document["paths"]["/api/v1/memory-devices/{id}"]["patch"];
    let parameters = operation["parameters"].as_array().expect("parameters");
    let named = |name: &str| parameters.iter().filter(|parameter| parameter["name"] == name).count();
    assert_eq!((named("id"), named("wait"), parameters.len()), (1, 1, 2), "{operation}");
    for status in ["400", "404", "409", "422", "504", "default"] {
        let content = &operation["responses"][status]["content"];
        assert!(content.get("application/problem+json").is_some(), "{status}: {operation}");
    }
    let body = &document["components"]["schemas"]["ResizeDevice"];
    assert_eq!(body["additionalProperties"], false, "{body}");
}
