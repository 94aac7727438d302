//! The wire form of requests and responses.

use serde_json::json;

use super::*;

/// `action` as a request with id "1" has the JSON `expected`, and that JSON means `action`.
fn check(action: Action, mut expected: Value) {
    let request = Request { id: json!("1"), action };
    expected["id"] = json!("1");
    assert_eq!(serde_json::to_value(&request).unwrap(), expected);
    assert_eq!(serde_json::from_value::<Request>(expected).unwrap(), request);
}

#[test]
fn requests_look_as_documented() {
    check(Action::Ping, json!({"do": "ping"}));
    check(
        Action::Online { blocks: "48-79,144".parse().unwrap(), zone: Some(ZoneKind::Movable) },
        json!({"do": "online", "blocks": "48-79,144", "zone": "movable"}),
    );
    check(Action::Offline { blocks: BlockList::one(60) }, json!({"do": "offline", "blocks": "60"}));
    check(
        Action::Set { name: Parameter::OnlinePolicy, value: "auto-movable".into() },
        json!({"do": "set", "name": "online_policy", "value": "auto-movable"}),
    );
    check(Action::KernelLog { since: 7 }, json!({"do": "kernel_log", "since": 7}));
    check(
        Action::Exec { argv: vec!["cat".into()], stdin: Bytes(vec![0xff, b'a']) },
        json!({"do": "exec", "argv": ["cat"], "stdin": [255, 97]}),
    );
    check(
        Action::Peek { address: 1 << 32, count: 8 },
        json!({"do": "peek", "address": 4294967296u64, "count": 8}),
    );
    check(
        Action::Poke { address: 16, bytes: Bytes(b"text".to_vec()) },
        json!({"do": "poke", "address": 16, "bytes": "text"}),
    );
    check(Action::Pin { blocks: BlockList::one(63) }, json!({"do": "pin", "blocks": "63"}));
    check(Action::Unpin { address: 4096 }, json!({"do": "unpin", "address": 4096}));
    check(
        Action::KexecLoad(KexecLoad {
            kernel: "/k".into(),
            initramfs: "/i".into(),
            cmdline: "panic=-1".into(),
            on_crash: true,
        }),
        json!({"do": "kexec_load", "kernel": "/k", "initramfs": "/i", "cmdline": "panic=-1", "on_crash": true}),
    );
    check(Action::Kexec, json!({"do": "kexec"}));
    check(Action::Crash, json!({"do": "crash"}));
}

#[test]
fn what_may_be_left_out_has_a_default() {
    let request: Request = serde_json::from_value(json!({"id": 3, "do": "exec", "argv": ["ls"]})).unwrap();
    assert_eq!(request.action, Action::Exec { argv: vec!["ls".into()], stdin: Bytes::default() });
    let request: Request = serde_json::from_value(json!({"id": 3, "do": "kernel_log"})).unwrap();
    assert_eq!(request.action, Action::KernelLog { since: 0 });
}

#[test]
fn unknown_actions_and_bad_lists_are_refused() {
    for bad in [
        json!({"id": 1, "do": "dance"}),
        json!({"id": 1}),
        json!({"do": "ping"}),
        json!({"id": 1, "do": "offline", "blocks": "9-3"}),
        json!({"id": 1, "do": "set", "name": "colour", "value": "red"}),
    ] {
        assert!(serde_json::from_value::<Request>(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn responses_are_either_ok_or_error() {
    let done: Response<Vec<BlockResult>> = Response {
        id: json!("1"),
        outcome: Outcome::Ok(vec![
            BlockResult { index: 48, error: None, errno: None },
            BlockResult { index: 60, error: Some("EBUSY".into()), errno: Some(16) },
        ]),
    };
    let text = r#"{"id":"1","ok":[{"index":48},{"index":60,"error":"EBUSY","errno":16}]}"#;
    assert_eq!(serde_json::to_string(&done).unwrap(), text);
    assert_eq!(serde_json::from_str::<Response<Vec<BlockResult>>>(text).unwrap(), done);

    let failed: Response<()> = Response {
        id: Value::Null,
        outcome: Outcome::Error(Failure { text: "Not a request".into(), errno: None }),
    };
    let text = r#"{"id":null,"error":{"text":"Not a request"}}"#;
    assert_eq!(serde_json::to_string(&failed).unwrap(), text);
    assert_eq!(serde_json::from_str::<Response<()>>(text).unwrap(), failed);
}

#[test]
fn output_that_is_no_text_keeps_every_byte() {
    for bytes in [&b"plain\n"[..], b"", &[0, 159, 146, 150], "über".as_bytes()] {
        let bytes = Bytes(bytes.to_vec());
        let wire = serde_json::to_string(&bytes).unwrap();
        assert_eq!(serde_json::from_str::<Bytes>(&wire).unwrap(), bytes, "{wire}");
    }
    assert_eq!(serde_json::to_string(&Bytes(b"ok".to_vec())).unwrap(), "\"ok\"");
    assert_eq!(serde_json::to_string(&Bytes(vec![0xff])).unwrap(), "[255]");
}

#[test]
fn every_parameter_is_found_by_its_wire_name() {
    for (name, parameter) in Parameter::ALL {
        assert_eq!(Parameter::named(name), Some(parameter));
        assert_eq!(serde_json::to_value(parameter).unwrap(), json!(name));
    }
    assert_eq!(Parameter::named("colour"), None);
}
