//! The format of scenarios.

use super::*;

const TEXT: &str = r#"
shows = "Three of six DIMMs are movable"
kernels = ["6.1", "6.12"]

[machine]
memory_hotplug = ["method=acpi,slots=16,size=64G"]

[guest]
auto_movable_ratio = 300

[[step]]
plug = { id = "d", count = 6, size = "4G" }
expect = { blocks = "48-111 Movable, 112-239 Normal", ost = "1,0 1,0" }

[[step]]
offline = "60,62-63"
expect = "oracle"

[[step]]
reboot = {}
"#;

fn parse(text: &str) -> Result<Scenario, String> {
    Scenario::parse(text, Path::new("a.toml")).map_err(|error| error.to_string())
}

#[test]
fn a_scenario_is_read_and_written() {
    let scenario = parse(TEXT).unwrap();
    assert_eq!(
        scenario.machine.arguments()[2..],
        ["--memory", "size=4G,low=2G", "--memory-hotplug", "method=acpi,slots=16,size=64G"]
    );
    let Action::Plug(plug) = scenario.steps[0].action() else { panic!("the first step plugs") };
    assert_eq!((plug.ids().len(), plug.ids()[5].as_str(), plug.size), (6, "d5", Some(Size(4 << 30))));
    let Some(Expect::Details(expected)) = &scenario.steps[0].expect else { panic!("it has details") };
    assert_eq!(expected.reports().unwrap().unwrap(), [(1, 0), (1, 0)]);
    let Action::Offline(blocks) = scenario.steps[1].action() else {
        panic!("the second takes blocks offline")
    };
    assert_eq!(blocks.to_string(), "60,62-63");
    assert_eq!(parse(&scenario.to_toml()).unwrap(), scenario);
}

#[test]
fn errors_name_the_line_and_the_key() {
    for (from, to, expected) in [
        ("ratio = 300", "ration = 300", "auto_movable_ration"),
        ("4G\" }", "4Q\" }", "is not a size"),
        ("offline = \"60,", "offline = \"x,", "is not a block"),
        ("reboot = {}", "reboot = {}\nunplug = \"d0\"", "step 3: it must have exactly one of"),
        ("size = \"4G\"", "node = 1", "step 1: plug: it must have either"),
        ("count = 6", "count = 4000000000", "step 1: plug: `count` must be 1 to 1024"),
    ] {
        let error = parse(&TEXT.replace(from, to)).unwrap_err();
        assert!(error.starts_with("a.toml: ") && error.contains(expected), "{error}");
        assert!(error.contains("line") || error.contains("step"), "{error}");
    }
}

#[test]
fn the_schema_knows_every_action() {
    let schema = Scenario::schema().to_string();
    for action in [
        "plug", "unplug", "eject", "resize", "add", "remove", "online", "offline", "write", "pin", "unpin",
        "poison", "set", "inject", "fault", "settle", "reboot",
    ] {
        assert!(schema.contains(&format!("\"{action}\"")), "{action}");
    }
}
