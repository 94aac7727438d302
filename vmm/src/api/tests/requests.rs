//! Bad requests: each answered with a problem that names the field, and none reaches the machine.

use super::fake::FakeMachine;
use super::raw::{exchange, request};
use crate::api::body::LARGEST_BODY;
use crate::control::Refusal;

#[test]
fn what_is_not_json_answers_400() {
    let machine = FakeMachine::silent();
    for body in ["", "{", "desired_ram=5", "{\"desired_ram\":5", "{\"desired_ram\":5}}", "\u{0}", "[1,"] {
        let response = request(&machine.socket, "PUT", "/vm.resize", body);
        assert_eq!(response.status, 400, "{body:?}");
        assert!(response.problem().starts_with("the body is not JSON: "), "{response:?}");
    }
}

#[test]
fn json_that_is_not_the_valid_object_answers_422_with_the_field() {
    let table = [
        ("PUT", "/vm.resize", "[5]", None, "the body must be a JSON object"),
        ("PUT", "/vm.resize", "null", None, "the body must be a JSON object"),
        ("PUT", "/vm.resize", "{}", Some("desired_ram"), "missing field `desired_ram`"),
        ("PUT", "/vm.resize", r#"{"desired_ram":-1}"#, Some("desired_ram"), "invalid value: integer `-1`"),
        ("PUT", "/vm.resize", r#"{"desired_ram":1.5}"#, Some("desired_ram"), "invalid type: floating point"),
        ("PUT", "/vm.resize", r#"{"desired_ram":"4G"}"#, Some("desired_ram"), "invalid type: string \"4G\""),
        ("PUT", "/vm.resize", r#"{"desired_ram":99999999999999999999}"#, Some("desired_ram"), "expected u64"),
        (
            "PUT",
            "/vm.resize",
            r#"{"desired_ram":5,"desired_cpus":1}"#,
            Some("desired_cpus"),
            "unknown field `desired_cpus`, expected one of `desired_ram`, `desired_vcpus`",
        ),
        ("PUT", "/vm.resize", r#"{"desired_ram":5,"desired_ram":6}"#, None, "duplicate field `desired_ram`"),
        (
            "PUT",
            "/vm.resize-zone",
            r#"{"desired_ram":5,"id":null}"#,
            Some("id"),
            "missing field `id`, text: The memory device.",
        ),
        (
            "POST",
            "/memory-devices",
            r#"{"ranges":[{"gap":5}],"id":"d1"}"#,
            Some("ranges[0].size"),
            "missing field `size`, a whole number: ",
        ),
        (
            "POST",
            "/vm.inject-mce",
            r#"{"address":0}"#,
            Some("severity"),
            "missing field `severity`, one of `ao`, `ar`, `ucna`: How bad it is.",
        ),
        (
            "PATCH",
            "/memory-devices/d0",
            r#"{"size":5}"#,
            Some("size"),
            "unknown field `size`, expected `requested_size`",
        ),
        (
            "POST",
            "/memory-devices",
            r#"{"id":"d1","kind":"dimm"}"#,
            Some("size"),
            "missing field `size`, or `ranges` in its place",
        ),
        (
            "POST",
            "/memory-devices",
            r#"{"id":"d1","kind":"nvdimm","size":134217728}"#,
            Some("kind"),
            "unknown variant `nvdimm`, expected `dimm` or `virtio-mem`",
        ),
        (
            "POST",
            "/memory-devices",
            r#"{"id":"d1","kind":"dimm","ranges":[]}"#,
            Some("ranges"),
            "ranges=0: must be 1 to 8 ranges",
        ),
        (
            "POST",
            "/memory-devices",
            r#"{"id":"d1","kind":"dimm","size":134217728,"ranges":[{"size":134217728}]}"#,
            Some("ranges"),
            "must not be given both",
        ),
        (
            "POST",
            "/memory-devices",
            r#"{"id":"d1","kind":"dimm","ranges":[{"size":134217728,"gap":1},{"size":134217728}]}"#,
            Some("ranges[0].gap"),
            "must be a multiple of 128 MiB",
        ),
        (
            "POST",
            "/memory-devices",
            r#"{"id":"d1","kind":"dimm","ranges":[{"size":134217728,"start":0}]}"#,
            Some("ranges[0].start"),
            "unknown field `start`",
        ),
        (
            "POST",
            "/memory-devices",
            r#"{"id":"d1","kind":"dimm","size":134217728,"order":"up"}"#,
            Some("order"),
            "unknown variant `up`, expected `ascending` or `descending`",
        ),
        (
            "POST",
            "/memory-devices",
            r#"{"id":"d1","kind":"dimm","size":134217728,"notify":"wake"}"#,
            Some("notify"),
            "unknown variant `wake`",
        ),
        ("PUT", "/faults", r#"[]"#, None, "the body must be a JSON object"),
        ("PUT", "/faults", r#"{"faults":[{"device":"d0"}]}"#, Some("faults[0].on"), "missing field `on`"),
        (
            "PUT",
            "/faults",
            r#"{"faults":[{"device":"d0","on":"map","do":"fail"},{"device":"d0","on":"map","do":"busy"}]}"#,
            Some("faults[1]"),
            "faults[1].do: busy is not possible on map; there it is one of: fail, skip",
        ),
        (
            "POST",
            "/vm.inject-mce",
            r#"{"address":0,"severity":"fatal"}"#,
            Some("severity"),
            "unknown variant `fatal`, expected one of `ao`, `ar`, `ucna`",
        ),
        (
            "POST",
            "/memory-devices",
            r#"{"id":"d1","kind":"dimm","size":0}"#,
            Some("size"),
            "size=0 bytes: must be a multiple of 128 MiB, and not 0",
        ),
        (
            "POST",
            "/memory-devices",
            r#"{"id":"d1","kind":"dimm","size":134217729}"#,
            Some("size"),
            "must be a multiple of 128 MiB",
        ),
        (
            "POST",
            "/memory-devices",
            r#"{"id":"","kind":"dimm","size":134217728}"#,
            Some("id"),
            "must be 1 to 64 letters",
        ),
        (
            "POST",
            "/memory-devices",
            r#"{"id":"a/b","kind":"dimm","size":134217728}"#,
            Some("id"),
            "id=\"a/b\"",
        ),
        (
            "POST",
            "/memory-devices",
            r#"{"id":"d1","kind":"dimm","size":134217728,"node":4294967296}"#,
            Some("node"),
            "expected u32",
        ),
    ];
    let machine = FakeMachine::silent();
    for (method, path, body, field, detail) in table {
        let response = request(&machine.socket, method, path, body);
        assert_eq!(response.status, 422, "{body}: {response:?}");
        assert!(response.problem().contains(detail), "{body}: {response:?}");
        assert_eq!(response.field().as_deref(), field, "{body}: {response:?}");
    }
}

#[test]
fn bad_queries_answer_400_with_the_parameter() {
    let machine = FakeMachine::silent();
    for wait in ["-1", "NaN", "inf", "1e300", "86401", "soon", "", "1s", "0x1"] {
        let response = request(&machine.socket, "DELETE", &format!("/memory-devices/d0?wait={wait}"), "");
        assert_eq!((response.status, response.field().as_deref()), (400, Some("wait")), "{wait}");
        let expected = format!("wait={wait:?}: must be a number of seconds from 0 to 86400");
        assert_eq!(response.problem(), expected);
    }
    for path in ["/memory-devices/d0?wiat=1", "/memory-devices/d0?wait=1&wait=2"] {
        let response = request(&machine.socket, "DELETE", path, "");
        assert_eq!(response.status, 400, "{path}");
        assert!(response.problem().contains("wait"), "{response:?}");
    }
    for path in ["/events?since=-1", "/events?since=x", "/events?after=1"] {
        let response = request(&machine.socket, "GET", path, "");
        assert_eq!((response.status, response.field().as_deref()), (400, Some("since")), "{path}");
    }
}

#[test]
fn a_body_that_is_too_large_answers_413() {
    let machine = FakeMachine::silent();
    for length in [LARGEST_BODY + 1, 4 << 20] {
        let response = request(&machine.socket, "PUT", "/vm.resize", &" ".repeat(length));
        assert_eq!(response.status, 413);
        assert_eq!(response.problem(), "the body is too large: it must be at most 65536 bytes");
    }
    let response = request(&machine.socket, "PUT", "/vm.resize", &" ".repeat(LARGEST_BODY));
    assert_eq!(response.status, 400, "just not JSON");
}

#[test]
fn a_path_that_is_not_there_answers_404() {
    let machine = FakeMachine::silent();
    for path in ["/", "/memory-devices/", "/memory-devices/a/b", "/vmm.ping/"] {
        let response = request(&machine.socket, "GET", path, "");
        assert_eq!(response.status, 404, "{path}");
        let expected = format!("there is nothing at /api/v1{path}; /api/v1/openapi.json lists all paths");
        assert_eq!(response.problem(), expected);
    }
    let response = exchange(&machine.socket, b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!((response.status, response.problem().contains("nothing at /x;")), (404, true));
}

#[test]
fn a_wrong_method_answers_405_with_those_that_are_right() {
    let table = [
        ("DELETE", "/vmm.ping", "GET,HEAD"),
        ("POST", "/vm.pause", "PUT"),
        ("GET", "/vm.resize", "PUT"),
        ("PUT", "/memory-devices", "GET,HEAD,POST"),
        ("POST", "/memory-devices/d0", "GET,HEAD,PATCH,DELETE"),
        ("PUT", "/events", "GET,HEAD"),
    ];
    let machine = FakeMachine::silent();
    for (method, path, allow) in table {
        let response = request(&machine.socket, method, path, "");
        assert_eq!((response.status, response.header("allow")), (405, Some(allow)), "{method} {path}");
        let expected = format!("/api/v1{path} has no method {method}; the Allow header lists those it has");
        assert_eq!(response.problem(), expected);
    }
}

#[test]
fn an_id_that_is_no_text_answers_400() {
    let machine = FakeMachine::silent();
    let response = request(&machine.socket, "GET", "/memory-devices/%ff", "");
    assert_eq!((response.status, response.field().as_deref()), (400, Some("id")), "{response:?}");
    response.problem();
}

#[test]
fn what_is_not_http_answers_400_and_harms_nobody() {
    let machine = FakeMachine::silent();
    assert_eq!(exchange(&machine.socket, b"\x00\x01 nonsense\r\n\r\n").status, 400);
    assert_eq!(request(&machine.socket, "GET", "/vmm.ping", "").status, 200);
}

#[test]
fn the_machines_refusals_keep_their_kind_and_words() {
    let table = [
        (Refusal::NotFound("there is no d0".to_owned()), 404, "there is no d0"),
        (Refusal::Invalid("requested_size=5: must be …".to_owned()), 422, "requested_size=5: must be …"),
        (Refusal::Conflict("no free slot".to_owned()), 409, "no free slot"),
        (Refusal::Host("out of memory".to_owned()), 500, "out of memory"),
    ];
    for (refusal, status, detail) in table {
        let machine = FakeMachine::new(move |_, _| Err(refusal.clone()));
        for (method, path, body) in [
            ("GET", "/memory-devices", ""),
            ("GET", "/memory-devices/d0", ""),
            ("PATCH", "/memory-devices/d0?wait=1", r#"{"requested_size":5}"#),
            ("DELETE", "/memory-devices/d0", ""),
            ("PUT", "/vm.resize", r#"{"desired_ram":5}"#),
            ("PUT", "/vm.pause", ""),
        ] {
            let response = request(&machine.socket, method, path, body);
            assert_eq!((response.status, response.problem().as_str()), (status, detail), "{method} {path}");
        }
    }
}
