//! What is answered to which request, and to whom.

use dimmer_lab::layout::BlockState;
use serde_json::{Value, json};

use crate::Test;
use crate::machine::{BLOCK, Machine, REGION};
use crate::server::{Server, ask};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    ("answers::pages_and_files_bring_their_rules", pages_and_files_bring_their_rules),
    ("answers::no_other_name_is_answered_to", no_other_name_is_answered_to),
    ("answers::changes_need_token_origin_and_kind", changes_need_token_origin_and_kind),
    ("answers::a_change_is_made_and_told", a_change_is_made_and_told),
    ("answers::what_is_wrong_is_named", what_is_wrong_is_named),
    ("answers::blocks_and_devices_are_explained", blocks_and_devices_are_explained),
    ("answers::a_machine_that_goes_and_comes_is_told_of", a_machine_that_goes_and_comes_is_told_of),
    ("answers::several_machines_are_kept_apart", several_machines_are_kept_apart),
    (
        "answers::the_playground_needs_no_machine_and_has_bounds",
        the_playground_needs_no_machine_and_has_bounds,
    ),
];

fn one() -> (Machine, Server) {
    let machine = Machine::start();
    let server = Server::start(&[machine.argument("vm")]);
    (machine, server)
}

fn pages_and_files_bring_their_rules() {
    let server = Server::start(&[]);
    for (path, kind) in
        [("/", "text/html"), ("/playground", "text/html"), ("/assets/map.js", "text/javascript")]
    {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}");
        for rule in [
            kind,
            "default-src 'none'; script-src 'self'",
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(answer.head.contains(rule), "{path}: {rule} is not in {}", answer.head);
        }
        assert!(!answer.body.contains(&server.token) && !answer.head.contains("set-cookie"), "{path}");
    }
    for path in ["/assets/none.js", "/assets/..%2fCargo.toml", "/none", "/machines/none/stream"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}

fn no_other_name_is_answered_to() {
    let (_machine, server) = one();
    for path in ["/", "/machines", "/machines/vm/stream", "/library", "/assets/map.js"] {
        for host in ["evil.example", "evil.example:80", "10.0.0.1", ""] {
            let answer = ask(&server.host, "GET", path, &[("Host", host)], "");
            assert!([400, 421].contains(&answer.status), "{path} for {host:?}: {answer:?}");
        }
        assert_eq!(ask(&server.host, "GET", path, &[], "").status, 421, "{path} without a name");
    }
    assert_eq!(ask(&server.host, "GET", "/machines", &[("Host", "localhost")], "").status, 200);
}

fn changes_need_token_origin_and_kind() {
    let (machine, server) = one();
    let (host, origin) = (server.host.as_str(), format!("http://{}", server.host));
    let (token, kind) = (format!("Bearer {}", server.token), "application/json");
    let wrong = format!("Bearer {}0", &server.token[1..]);
    let attempt = |origin: Option<&str>, kind: Option<&str>, token: Option<&str>| {
        let given = [("Origin", origin), ("Content-Type", kind), ("Authorization", token)];
        let mut headers = vec![("Host", host)];
        headers.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
        let cookie = format!("token={}", server.token);
        headers.push(("Cookie", &cookie));
        ask(host, "POST", "/machines/vm/deeds", &headers, r#"{"do":"offline","blocks":"40"}"#).status
    };
    assert_eq!(attempt(None, Some(kind), Some(&token)), 403);
    assert_eq!(attempt(Some("http://evil.example"), Some(kind), Some(&token)), 403);
    assert_eq!(attempt(Some("null"), Some(kind), Some(&token)), 403);
    assert_eq!(attempt(Some(&origin), Some("text/plain"), Some(&token)), 415);
    assert_eq!(attempt(Some(&origin), None, Some(&token)), 415);
    assert_eq!(attempt(Some(&origin), Some(kind), None), 401);
    assert_eq!(attempt(Some(&origin), Some(kind), Some(&wrong)), 401);
    assert_eq!(attempt(Some(&origin), Some(kind), Some(&server.token)), 401);
    assert_eq!(machine.state(40), Some(BlockState::Online), "nothing was done");
    assert_eq!(attempt(Some(&origin), Some(kind), Some(&token)), 200);
    assert_eq!(machine.state(40), Some(BlockState::Offline));
}

fn has_run(news: &Value, run: &Value) -> bool {
    let nodes = news["shown"]["nodes"].as_array().into_iter().flatten();
    let mut strips = nodes.flat_map(|node| node["strips"].as_array().into_iter().flatten());
    strips.any(|strip| strip["runs"].as_array().is_some_and(|runs| runs.contains(run)))
}

fn a_change_is_made_and_told() {
    let (_machine, server) = one();
    let mut news = server.follow("vm");
    news.until(|news| has_run(news, &json!([REGION.0, REGION.0 + REGION.1 - 1, "·", "absent"])));
    let answer = server.post("/machines/vm/deeds", r#"{"do":"resize","id":"vmem0","size":"2G"}"#);
    assert_eq!(answer.json(), json!({"done": true, "text": "vmem0 has 2 GiB plugged"}));
    let told = news.until(|news| has_run(news, &json!([48, 63, "M", "movable"])));
    assert_eq!(told["samples"].as_array().unwrap().last().unwrap()["devices"]["vmem0"], 16 * BLOCK);
    let answer = server.post("/machines/vm/deeds", r#"{"do":"offline","blocks":"48-49"}"#);
    assert_eq!(answer.json()["done"], true);
    news.until(|news| has_run(news, &json!([48, 49, "m", "movable offline"])));
}

fn what_is_wrong_is_named() {
    let (_machine, server) = one();
    for (path, body, status, why) in [
        ("/machines/vm/deeds", r#"{"do":"eject","id":"d0"}"#, 200, "refused: d0: the guest keeps it"),
        ("/machines/vm/deeds", r#"{"do":"offline","blocks":"7000"}"#, 200, "block 7000: ENOENT"),
        ("/machines/vm/deeds", r#"{"do":"resize","id":"vmem0"}"#, 400, "missing field `size`"),
        ("/machines/vm/deeds", r#"{"do":"resize","id":"vmem0","size":"x"}"#, 400, "is not a size, such as"),
        ("/machines/vm/deeds", "{", 400, "EOF"),
        (
            "/machines/other/deeds",
            r#"{"do":"eject","id":"d0"}"#,
            404,
            "there is no machine \\\"other\\\", only: vm",
        ),
        ("/predict", "\u{feff}", 200, "the question cannot be read"),
    ] {
        let answer = server.post(path, body);
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.contains(why), "{answer:?}");
    }
    let large = format!(r#"{{"scenario":"{}"}}"#, "#".repeat(64 << 10));
    assert_eq!(server.post("/predict", &large).status, 413);
}

fn blocks_and_devices_are_explained() {
    let (_machine, server) = one();
    server.follow("vm").until(|news| news["shown"] != Value::Null);
    let block = server.get("/machines/vm/blocks/40").json();
    assert_eq!(block["title"], "Block 40");
    assert!(block["lines"].to_string().contains("boot RAM at 0x140000000"), "{block}");
    let device = server.get("/machines/vm/devices/vmem0").json();
    assert!(device["lines"].to_string().contains("virtio-mem on node 0: 0 bytes of 8 GiB"), "{device}");
    assert_eq!(server.get("/machines/vm/devices/d9").status, 404);
    assert_eq!(server.get("/machines/vm/blocks/many").status, 400);
}

fn a_machine_that_goes_and_comes_is_told_of() {
    let (mut machine, server) = one();
    let mut news = server.follow("vm");
    news.until(|news| news["shown"] != Value::Null);
    machine.end();
    let told = news.until(|news| news["trouble"] != Value::Null);
    assert!(told["trouble"].as_str().unwrap().contains("--api-socket"), "{told}");
    assert_eq!(told["shown"], Value::Null, "what was seen last stays");
}

fn several_machines_are_kept_apart() {
    let (one, two) = (Machine::start(), Machine::start());
    let server = Server::start(&[one.argument("one"), two.argument("two")]);
    assert_eq!(server.get("/machines").json()["machines"], json!(["one", "two"]));
    let answer = server.post("/machines/two/deeds", r#"{"do":"offline","blocks":"40"}"#);
    assert_eq!(answer.json()["done"], true);
    assert_eq!((one.state(40), two.state(40)), (Some(BlockState::Online), Some(BlockState::Offline)));
}

fn the_playground_needs_no_machine_and_has_bounds() {
    let server = Server::start(&[]);
    assert_eq!(server.get("/machines").json()["machines"], json!([]));
    let library = server.get("/library").json();
    let first = &library["scenarios"][0];
    let answer = server.post("/predict", &json!({"scenario": first["text"]}).to_string()).json();
    assert_eq!(answer["steps"][0]["action"], "boot");
    // A text within its bounds, but an answer that is not: sets of a million blocks, again and again.
    let step = "[[step]]\noffline = \"0-1048575\"\n";
    let text = format!("shows = \"much\"\n{}", step.repeat(1500));
    let answer = server.post("/predict", &json!({ "scenario": text }).to_string());
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.body.contains("10 seconds or 2 GiB"), "{answer:?}");
    let other = [("Host", server.host.as_str()), ("Content-Type", "application/json")];
    assert_eq!(ask(&server.host, "POST", "/predict", &other, "{}").status, 403, "no page of this server");
}
