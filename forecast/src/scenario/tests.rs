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
        "poison", "set", "inject", "fault", "settle", "reboot", "run", "lsmem", "udev",
    ] {
        assert!(schema.contains(&format!("\"{action}\"")), "{action}");
    }
}

const DEBIAN: &str = r#"
shows = "chmem in a distribution"

[guest]
distribution = "debian-12"
packages = ["stress-ng"]

[[step]]
run = { command = "chmem -d 1", does = [{ offline = "40" }] }
expect = { status = 64, output = ["partially"] }

[[step]]
udev = "online_movable"

[[step]]
lsmem = {}
"#;

#[test]
fn a_distribution_keeps_what_nobody_has_said() {
    let scenario = parse(DEBIAN).unwrap();
    assert_eq!(parse(&scenario.to_toml()).unwrap(), scenario);
    let words = scenario.guest.cmdline();
    assert!(!words.contains("online_policy") && !words.contains("memhp_default_state"), "{words}");
    let (guest, own) = (&scenario.guest, Guest::default());
    assert_eq!((guest.policy(), own.policy()), (PolicyWord::ContigZones, PolicyWord::AutoMovable));
    let auto_online = |guest: &Guest| guest.auto_online(OnlineWord::Offline);
    assert_eq!((auto_online(guest), auto_online(&own)), (OnlineWord::Offline, OnlineWord::Online));
    let said = Guest { auto_online_blocks: Some(OnlineWord::OnlineMovable), ..guest.clone() };
    assert!(said.cmdline().contains("memhp_default_state=online_movable"), "{}", said.cmdline());
    assert_eq!(auto_online(&said), OnlineWord::OnlineMovable);
    let Action::Run(run) = scenario.steps[0].action() else { panic!("the first step runs a command") };
    assert_eq!((run.command(), run.seconds(), run.deeds().count()), ("chmem -d 1", 300, 1));
}

#[test]
fn what_is_wrong_with_a_distribution_is_named() {
    for (from, to, expected) in [
        ("debian-12", "debian-1", "There is no distribution \"debian-1\"; there are: debian-12, debian-13"),
        (
            "\"stress-ng\"",
            "\"Stress NG\"",
            "line 4: guest: packages: \"Stress NG\" is not the name of a package",
        ),
        ("\"stress-ng\"", "\"-o\"", "is not the name of a package"),
        ("distribution = \"debian-12\"", "", "guest: packages: only a guest with a `distribution` has any"),
        ("{ offline = \"40\" }", "{ ofline = \"40\" }", "unknown field `ofline`"),
        ("{ offline = \"40\" }", "{}", "step 1: run: does: each must have exactly one of"),
        ("command = \"chmem -d 1\"", "command = \" \"", "step 1: run: there is no command"),
        ("status = 64", "status = 256", "256"),
        ("lsmem = {}", "lsmem = {}\nexpect = { status = 1 }", "step 3: expect: only a step with `run`"),
        ("udev = \"online_movable\"", "udev = \"movable\"", "unknown variant `movable`"),
        ("lsmem = {}", "kexec = {}", "step 3: kexec: an image of a distribution has no kernel"),
    ] {
        assert!(DEBIAN.contains(from), "{from}");
        let error = parse(&DEBIAN.replacen(from, to, 1)).unwrap_err();
        assert!(error.starts_with("a.toml: ") && error.contains(expected), "{to}: {error}");
    }
    let small = DEBIAN.replace("distribution = \"debian-12\"\npackages = [\"stress-ng\"]", "");
    assert!(parse(&small).unwrap_err().contains("step 2: udev: it needs a guest with a `distribution`"));
}

#[test]
fn steps_happen_again() {
    let text = r#"shows = "sizes up and down"
[[step]]
plug = { id = "d0", size = "1G" }
[[step]]
resize = { to = "1G" }
[[step]]
resize = { to = "0" }
[[step]]
again = { steps = 2, times = 2 }
[[step]]
unplug = "d0"
[[step]]
again = { steps = 8, times = 1 }
"#;
    let scenario = parse(text).unwrap();
    let names: Vec<_> = scenario.steps.iter().map(|step| step.action().name()).collect();
    let once = ["plug", "resize", "resize", "resize", "resize", "resize", "resize", "unplug"];
    assert_eq!(names, [once, once].concat());
    assert_eq!(parse(&scenario.to_toml()).unwrap(), scenario, "written in full");
    let twice = "again = { steps = 2, times = 2 }";
    for (to, expected) in [
        ("again = { steps = 4, times = 2 }", "line 8: step 4: again: `steps` must be 1 to 3"),
        ("again = { steps = 0, times = 2 }", "line 8: step 4: again: `steps` must be 1 to 3"),
        ("again = { steps = 2, times = 0 }", "line 8: step 4: again: `times` must be 1 or more"),
        (
            "again = { steps = 2, times = 9223372036854775807 }",
            "line 8: step 4: again: `times` must be 1 or more",
        ),
        (
            "again = { steps = 2, times = 2 }\nreboot = {}",
            "line 8: step 4: again: a step with it has nothing else",
        ),
    ] {
        let error = parse(&text.replace(twice, to)).unwrap_err();
        assert!(error.contains(expected), "{to}: {error}");
    }
    let alone = parse(&format!("shows = \"nothing\"\n[[step]]\n{twice}")).unwrap_err();
    assert!(alone.contains("step 1: again: there is no step before it"), "{alone}");
}
