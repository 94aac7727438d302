//! When faults act, and which make no sense.

use super::*;

fn fault(json: &str) -> Fault {
    serde_json::from_str(json).unwrap()
}

#[test]
fn it_acts_on_the_nth_occasion_and_the_following_ones() {
    let faults = Faults::default();
    assert_eq!(faults.hit("vmem0", Point::Plug), None);
    faults.set(vec![fault(r#"{"device":"vmem0","on":"plug","nth":2,"times":2,"do":"busy"}"#)]).unwrap();
    let hits: Vec<_> = (0..5).map(|_| faults.hit("vmem0", Point::Plug)).collect();
    assert_eq!(hits, [None, Some(Action::Busy), Some(Action::Busy), None, None]);
    assert_eq!(faults.hit("vmem1", Point::Plug), None);
    assert_eq!(faults.hit("vmem0", Point::Unplug), None);
    let [status] = &faults.list()[..] else { panic!("one fault") };
    assert_eq!((status.seen, status.acted), (5, 2));
}

#[test]
fn of_several_faults_on_one_occasion_the_first_acts_and_all_count() {
    let faults = Faults::default();
    let first = fault(r#"{"device":"d","on":"map","do":"fail"}"#);
    let second = fault(r#"{"device":"d","on":"map","nth":2,"do":"skip"}"#);
    faults.set(vec![first, second]).unwrap();
    let hits: Vec<_> = (0..3).map(|_| faults.hit("d", Point::Map)).collect();
    assert_eq!(hits, [Some(Action::Fail), Some(Action::Skip), None]);
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let faults = Faults::default();
    let good = fault(r#"{"device":"d","on":"eject","do":"delay","milliseconds":5}"#);
    faults.set(vec![good.clone()]).unwrap();
    for (json, expected) in [
        (
            r#"{"device":"d","on":"eject","do":"nack"}"#,
            "do: nack is not possible on eject; there it is one of: refuse, delay, late-status",
        ),
        (r#"{"device":"d","on":"plug","do":"busy","nth":0}"#, "nth: must be at least 1"),
        (r#"{"device":"d","on":"plug","do":"busy","times":0}"#, "times: must be at least 1"),
        (r#"{"device":"d","on":"plug","do":"delay"}"#, "milliseconds: goes with do: delay"),
        (r#"{"device":"d","on":"plug","do":"busy","milliseconds":1}"#, "milliseconds: goes with"),
        (r#"{"device":"d","on":"plug","do":"request"}"#, "size: goes with do: request"),
        (r#"{"device":"d","on":"map","do":"fail","size":1}"#, "size: goes with do: request"),
    ] {
        let error = faults.set(vec![good.clone(), fault(json)]).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{json}: {error}");
    }
    assert_eq!(faults.list().len(), 1);
    assert_eq!(faults.hit("d", Point::Eject), Some(Action::Delay { milliseconds: 5 }));
}

#[test]
fn a_fault_is_shown_as_it_is_written() {
    let json = r#"{"device":"vmem0","on":"unplug-all","nth":1,"times":3,"do":"request","size":4096}"#;
    assert_eq!(serde_json::to_string(&fault(json)).unwrap(), json);
    assert!(serde_json::from_str::<Fault>(r#"{"device":"d","on":"map","do":"fail","x":1}"#).is_err());
}

#[test]
fn a_fault_goes_on_counting_where_it_was_saved() {
    let fault = |nth| Fault {
        device: "d0".to_owned(),
        on: Point::Eject,
        nth,
        times: 1,
        action: ActionName::Refuse,
        milliseconds: None,
        size: None,
    };
    let (before, after) = (Faults::default(), Faults::default());
    before.set(vec![fault(1), fault(3)]).unwrap();
    assert_eq!(before.hit("d0", Point::Eject), Some(Action::Refuse));
    assert_eq!(before.hit("d0", Point::Eject), None);
    after.restore(before.list()).unwrap();
    assert_eq!(after.list(), before.list());
    assert_eq!(after.hit("d0", Point::Eject), Some(Action::Refuse));
    let wrong = Fault { action: ActionName::Nack, ..fault(1) };
    assert!(after.restore(vec![FaultStatus { fault: wrong, seen: 0, acted: 0 }]).is_err());
    assert_eq!(after.list().len(), 2, "nothing has changed");
}
