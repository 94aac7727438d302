//! How a test ended, from what its runner says and into reports; and which tests there are.

use std::fs;

use tap_parser::{DirectiveKind, TapParser, TapStatement};

use super::report::{Format, Report};
use super::tap::read;
use super::{Done, Name, Outcome, Tests};

/// What the runner says of a test that ends like this.
fn ran(point: &str) -> String {
    format!(
        "TAP version 13\n1..1\n# timeout set to 300\n# selftests: a: b.sh\n# online->offline memory48\n#\n{point}\n"
    )
}

fn done(test: &str, outcome: Outcome, output: &[&str]) -> Done {
    let name = Name { collection: "a".to_owned(), test: test.to_owned() };
    Done { name, outcome, output: output.iter().map(|line| (*line).to_owned()).collect(), seconds: 1.5 }
}

fn report() -> Report {
    let failed = Outcome::NotOk("exit=1".to_owned());
    let tests = vec![
        done("one.sh", Outcome::Ok, &["-> Success", "1..3", "ok 7 of its own"]),
        done("two.sh", failed, &["FAILED <here>", ""]),
        done("three.sh", Outcome::Skipped, &["skip all tests: no hot-pluggable memory"]),
    ];
    Report { kernel: "6.12.0".to_owned(), tests }
}

#[test]
fn the_runner_says_how_a_test_ended() {
    let not_ok = |why: &str| Outcome::NotOk(why.to_owned());
    for (point, outcome) in [
        ("ok 1 selftests: a: b.sh", Outcome::Ok),
        ("ok 1 selftests: a: b.sh # SKIP", Outcome::Skipped),
        ("not ok 1 selftests: a: b.sh # exit=1", not_ok("exit=1")),
        ("not ok 1 selftests: a: b.sh # TIMEOUT 300 seconds", not_ok("TIMEOUT 300 seconds")),
        ("not ok 1 selftests: a: b.sh", not_ok("no reason was given")),
        ("# ok 1 is what it wrote itself", not_ok("the runner has not said how it ended")),
        ("ok 1 a\nnot ok 2 b", not_ok("the runner says 2 times how it ended")),
    ] {
        assert_eq!(read(&ran(point)).0, outcome, "{point}");
    }
    let (_, output) = read(&ran("ok 1 selftests: a: b.sh"));
    assert_eq!(output, ["timeout set to 300", "selftests: a: b.sh", "online->offline memory48", ""]);
    assert_eq!(read("No such test 'a:b.sh'\n").1, ["No such test 'a:b.sh'"]);
}

#[test]
fn a_report_is_tap_that_others_read() {
    let text = report().write(Format::Tap).unwrap();
    assert!(text.starts_with(
        "TAP version 13\n1..3\n# -> Success\n# 1..3\n# ok 7 of its own\nok 1 selftests: a: one.sh\n"
    ));
    assert!(text.contains("# FAILED <here>\n#\nnot ok 2 selftests: a: two.sh # exit=1\n"), "{text}");
    // It reads version 14, which has directives alone where the kernel's tests also say why.
    let fourteen = text.replacen("13", "14", 1).replace(" # exit=1", "");
    let points: Vec<_> = TapParser::new()
        .parse(&fourteen)
        .unwrap()
        .into_iter()
        .filter_map(|statement| match statement {
            TapStatement::TestPoint(point) => Some((point.result, point.directive.map(|it| it.kind))),
            _ => None,
        })
        .collect();
    assert_eq!(points, [(true, None), (false, None), (true, Some(DirectiveKind::Skip))]);
}

#[test]
fn reports_of_other_forms_have_the_same() {
    let report = report();
    let json: serde_json::Value = serde_json::from_str(&report.write(Format::Json).unwrap()).unwrap();
    let tests: Vec<_> =
        json["tests"].as_array().unwrap().iter().map(|it| (&it["test"], &it["outcome"])).collect();
    assert_eq!(
        format!("{tests:?}"),
        r#"[(String("one.sh"), String("ok")), (String("two.sh"), String("not-ok")), (String("three.sh"), String("skipped"))]"#
    );
    assert_eq!((&json["tests"][1]["why"], &json["kernel"]), (&"exit=1".into(), &"6.12.0".into()));
    let xml = report.write(Format::Junit).unwrap();
    let document = roxmltree::Document::parse(&xml).unwrap();
    let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
    let counts = ["tests", "failures", "skipped"].map(|name| suite.attribute(name).unwrap_or("0"));
    assert_eq!((suite.attribute("name"), counts), (Some("6.12.0"), ["3", "1", "1"]));
    assert!(xml.contains("FAILED &lt;here&gt;"), "{xml}");
}

#[test]
fn one_that_is_not_ok_is_status_one_and_one_that_is_skipped_is_not() {
    let mut report = report();
    assert_eq!((report.status(), report.verdict().as_str()), (1, "6.12.0: 1 ok, 1 not ok, 1 skipped"));
    report.tests.remove(1);
    assert_eq!(report.status(), 0);
}

#[test]
fn a_directory_has_the_tests_that_it_lists() {
    let directory = tempfile::tempdir().unwrap();
    let within = || Tests::within(directory.path());
    let names = |tests: Tests| tests.names.iter().map(Name::to_string).collect::<Vec<_>>();
    assert!(within().unwrap_err().to_string().contains("kselftest-list.txt; it is made by: make"));
    fs::write(directory.path().join("kselftest-list.txt"), "a:b.sh\n\na:c\nd:e\n").unwrap();
    assert!(within().unwrap_err().to_string().starts_with("There is no run_kselftest.sh in "));
    fs::write(directory.path().join("run_kselftest.sh"), "#!/bin/sh\n").unwrap();
    assert_eq!(names(within().unwrap()), ["a:b.sh", "a:c", "d:e"]);
    assert_eq!(names(within().unwrap().only(&["d".to_owned(), "a:c".to_owned()]).unwrap()), ["a:c", "d:e"]);
    let error = within().unwrap().with_arguments().unwrap_err().to_string();
    assert!(error.contains("gives tests no arguments, which --full needs"), "{error}");
    fs::create_dir(directory.path().join("kselftest")).unwrap();
    fs::write(directory.path().join("kselftest/runner.sh"), "KSELFTEST_${NAME}_ARGS\n").unwrap();
    assert_eq!(within().unwrap().with_arguments().unwrap(), within().unwrap());
    let error = within().unwrap().only(&["b.sh".to_owned()]).unwrap_err().to_string();
    assert_eq!(error, "There is no test \"b.sh\"; there are: a:b.sh, a:c, d:e");
    fs::write(directory.path().join("kselftest-list.txt"), "\n").unwrap();
    assert!(within().unwrap_err().to_string().ends_with("kselftest-list.txt names no test"));
    for line in ["a", "a:", ":b", "a:b c", "a:b:c", "a':b"] {
        fs::write(directory.path().join("kselftest-list.txt"), line).unwrap();
        assert!(within().unwrap_err().to_string().ends_with("is no COLLECTION:TEST"), "{line}");
    }
}
