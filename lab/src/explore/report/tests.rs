//! Pages of campaigns on models: an oracle that makes a mistake beside one that makes none, and one that loses a guest.

use dimmer_oracle::mistake::Mistake;
use dimmer_oracle::release::Release;
use roxmltree::{Document, ParsingOptions};

use super::*;
use crate::explore::history::{Rules, history};
use crate::explore::kept::Carried;
use crate::explore::record::Run;
use crate::explore::shrink::shrink;
use crate::explore::tests::on_a_model;
use crate::scenario::Scenario;

/// A campaign of `runs` histories on one kernel, whose oracle makes a mistake.
fn campaign(mistake: Option<Mistake>, runs: u64, directory: &Path) -> Campaign {
    Campaign {
        seed: 1,
        runs: 0..runs,
        kernels: vec![("6.12".to_owned(), Release::new(6, 12))],
        only_exact: true,
        mistake,
        jobs: 1,
        budget: None,
        directory: directory.to_owned(),
    }
}

/// The record of a campaign on models; what differs first is shrunk. The guest of run number `lost` is lost.
fn record(campaign: &Campaign, lost: Option<u64>) -> Record {
    let (name, release) = (campaign.kernels[0].0.as_str(), campaign.kernels[0].1);
    let rules = Rules { release, only_exact: campaign.only_exact };
    let found = |scenario: &Scenario| on_a_model(scenario, release, campaign.mistake);
    let mut record = Record::default();
    for number in campaign.runs.clone() {
        let scenario = history(campaign.seed, number, rules).scenario;
        let result = match lost {
            Some(lost) if lost == number => Found::Lost { why: "it fell <silent>".to_owned() },
            _ => found(&scenario),
        };
        let run =
            Run::new(campaign.seed, number, (name, release), &scenario, result.clone(), Carried::default());
        record.add(&run).unwrap();
        if let Some(step) = result.step().filter(|_| record.findings.is_empty()) {
            let smallest = shrink(scenario, step, rules, 120, |one| found(&one.scenario).step()).scenario;
            let (file, found) = (campaign.directory.join("explore.toml"), found(&smallest));
            let (run, kernel) = (number, name.to_owned());
            record.findings.push(Finding { run, kernel, file, scenario: smallest, found });
        }
    }
    record
}

fn document(campaign: &Campaign, record: &Record) -> String {
    Report { campaign, record, time: Duration::from_secs(60) }.page(SystemTime::UNIX_EPOCH).document()
}

/// All that is wrong with the page as such: names that are there twice, links that lead nowhere.
fn check(text: &str) {
    let options = ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = Document::parse_with_options(text, options).unwrap();
    let ids: Vec<_> = document.descendants().filter_map(|node| node.attribute("id")).collect();
    let unique: BTreeSet<_> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "{ids:?}");
    for link in document.descendants().filter_map(|node| node.attribute("href")) {
        assert!(unique.contains(&link[1..]), "{link}");
    }
}

#[test]
fn a_difference_has_its_pictures_its_reason_its_scenario_and_its_command() {
    let dir = tempfile::tempdir().unwrap();
    let campaign = campaign(Some(Mistake::PluggedIsEarly), 96, dir.path());
    let record = record(&campaign, None);
    let text = document(&campaign, &record);
    check(&text);
    let finding = record.findings.first().expect("a planted mistake shows");
    let again = format!("dimmer-lab explore --seed 1 --from {} --runs 1 --kernel 6.12 --plant", finding.run);
    for part in [
        "The explorer, seed 1",
        &*format!("✗ Run {} on 6.12: differs after step", finding.run),
        ">Expected</figcaption>",
        ">Seen</figcaption>",
        "class=\"wrong\"",
        " kernel pages = ",
        "The smallest scenario that shows it",
        "[[step]]",
        &again,
        "dimmer-lab explore --seed 1 --from 0 --runs 96 --kernel 6.12 --plant",
        "Never met, and so never compared: ",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let beginning = format!("href=\"#run-{}-6.12\"", finding.run);
    assert!(text.contains(&beginning), "the table of runs leads to it");
    assert!(!text.contains("dimmer-lab check"), "the right oracle sees no difference in the scenario");
}

#[test]
fn runs_that_agree_have_their_rules_and_lost_ones_their_reason() {
    let dir = tempfile::tempdir().unwrap();
    let campaign = campaign(None, 3, dir.path());
    let record = record(&campaign, Some(1));
    let text = document(&campaign, &record);
    check(&text);
    for part in [
        "None: guests and oracle agreed after every step.",
        "it fell &lt;silent&gt;",
        "! lost",
        "3 histories of ",
        "differences: 0, lost: 1",
        "✓ ",
        " block checks</td>",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let page = Report { campaign: &campaign, record: &record, time: Duration::from_secs(60) };
    let file = page.write_page(&dir.path().join("a/b")).unwrap();
    assert!(std::fs::read_to_string(file).unwrap().contains("The explorer, seed 1"));
}
