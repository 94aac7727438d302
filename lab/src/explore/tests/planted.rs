//! Errors planted in the oracle: histories show them, or a scenario does where there is a reason.

use std::path::Path;

use super::*;

/// A machine for a mistake that no history meets, and the release; the steps follow.
struct Shows {
    mistake: Mistake,
    why: &'static str,
    release: Release,
    text: &'static str,
}

const ONLY_IN_SCENARIOS: &[Shows] = &[
    Shows {
        mistake: Mistake::OwnMemmapIsPaid,
        why: "guests are given no more memory than they can pay for",
        release: RELEASE,
        text: "machine = { memory = \"size=1G\", memory_hotplug = [\"method=acpi,slots=1,size=128G\"] }
               guest = { memmap_on_memory = true }
               step = [{ plug = { id = \"d0\", size = \"96G\" } }]",
    },
    Shows {
        mistake: Mistake::SetAsideIsFree,
        why: "guests boot without `crashkernel` and `hugepages`",
        release: RELEASE,
        text: "machine = { memory = \"size=1G\", memory_hotplug = [\"method=acpi,slots=1,size=64G\"] }
               guest = { hugepages = { size = \"2M\", count = 256 } }
               step = [{ plug = { id = \"d0\", size = \"40G\" } }]",
    },
    Shows {
        mistake: Mistake::LowMemoryIsNormal,
        why: "windows lie behind RAM",
        release: RELEASE,
        text: "machine = { memory = \"size=3G,low=1G\", memory_hotplug = [\"method=acpi,slots=1,size=1G,start=2G\"] }
               guest = { online_policy = \"contig-zones\" }
               step = [{ plug = { id = \"d0\", size = \"512M\" } }]",
    },
    Shows {
        mistake: Mistake::MemKeepsNothingAway,
        why: "guests boot without `mem=`",
        release: RELEASE,
        text: "machine = { memory_hotplug = [\"method=acpi,slots=1,size=4G\"], dimm = [\"id=d0,size=1G\"] }
               guest = { mem = \"2G\" }
               step = [{ offline = \"0\", expect = \"anything\" }]",
    },
    Shows {
        mistake: Mistake::KaslrLeavesAll,
        why: "memory that is as far away is rare, and no kernel of Debian's refuses it",
        release: Release::new(6, 13),
        text: "machine = { memory_hotplug = [\"method=acpi,slots=1,size=4G,start=12T\"] }
               guest = { kaslr = true }
               step = [{ plug = { id = \"d0\", size = \"1G\" } }]",
    },
];

/// The most steps that a planted mistake may be shrunk to.
const MOST_STEPS: usize = 6;

/// Explores with an oracle that makes one mistake until it shows, and shrinks what showed it.
fn explore(mistake: Mistake) -> Option<Scenario> {
    // Only older releases cannot put the memmap of every block on itself.
    let release = if mistake == Mistake::MemmapOnEveryBlock { Release::new(6, 1) } else { RELEASE };
    // A shrink that reaches partial blocks in a kernel zone has more than one outcome in a guest.
    let rules = rules(release, mistake != Mistake::KernelPartialsLast);
    let differs = |candidate: &Scenario| on_a_model(candidate, release, Some(mistake)).step();
    let (step, found) = (0..4000).map(|number| number * STRIDE).find_map(|run| {
        let scenario = scenario(1, run, rules);
        differs(&scenario).map(|step| (step, scenario))
    })?;
    let smallest = shrink(found, step, rules, usize::MAX, |candidate| differs(&candidate.scenario)).scenario;
    assert!(differs(&smallest).is_some(), "{mistake:?} does not show any more: {}", smallest.to_toml());
    Some(smallest)
}

#[test]
fn every_planted_mistake_is_found_and_shrunk() {
    let only = |mistake: &&Mistake| ONLY_IN_SCENARIOS.iter().any(|shows| shows.mistake == **mistake);
    for mistake in Mistake::ALL.iter().filter(|mistake| !only(mistake)) {
        let smallest = explore(*mistake).unwrap_or_else(|| panic!("{mistake:?} is not found"));
        let text = smallest.to_toml();
        assert!(smallest.steps.len() <= MOST_STEPS, "{mistake:?}: {text}");
        assert_eq!(Scenario::parse(&text, Path::new("a.toml")).unwrap(), smallest, "{mistake:?}: {text}");
    }
}

#[test]
fn what_no_history_meets_a_scenario_shows() {
    for Shows { mistake, why, release, text } in ONLY_IN_SCENARIOS {
        let scenario = Scenario::parse(&format!("shows = \"it\"\n{text}"), Path::new("a.toml")).unwrap();
        let found = on_a_model(&scenario, *release, None);
        assert!(matches!(found, Found::Nothing { blocks } if blocks > 0), "{mistake:?}: {found:?}");
        let found = on_a_model(&scenario, *release, Some(*mistake));
        assert!(found.step().is_some(), "{mistake:?} ({why}): {found:?}");
    }
}
