//! Whatever a snapshot's files say, they are read or refused.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Manifest, sample, state};
use crate::snapshot::chain::Base;
use crate::snapshot::manifest::{Contents, sum_of};

/// What stands in place of a value.
fn values() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(1.5),
        json!(u32::MAX),
        json!(1_u64 << 52),
        json!(u64::MAX - 4095),
        json!(u64::MAX),
        json!(""),
        json!("vmem0"),
        json!("\u{0}"),
        json!([]),
        json!([0, 1]),
        json!({}),
    ]
}

/// The value that `steps` lead to, and more steps into it until there are no more steps, or none is possible.
fn at<'a>(mut value: &'a mut Value, steps: &[prop::sample::Index]) -> &'a mut Value {
    for step in steps {
        let length = match value {
            Value::Array(all) => all.len(),
            Value::Object(all) => all.len(),
            _ => 0,
        };
        if length == 0 {
            return value;
        }
        let step = step.index(length);
        value = match value {
            Value::Array(all) => &mut all[step],
            Value::Object(all) => all.values_mut().nth(step).expect("there are so many"),
            _ => unreachable!("nothing else has a length"),
        };
    }
    value
}

/// Changes of a value: where, what is done there, and with which value.
type Changes = Vec<(Vec<prop::sample::Index>, u8, prop::sample::Index)>;

fn changes() -> impl Strategy<Value = Changes> {
    let step = any::<prop::sample::Index>();
    prop::collection::vec((prop::collection::vec(step, 1..9), 0_u8..3, any::<prop::sample::Index>()), 1..4)
}

fn changed(mut value: Value, changes: &Changes) -> Value {
    let values = values();
    for (steps, how, which) in changes {
        let place = at(&mut value, steps);
        let other = values[which.index(values.len())].clone();
        match (how, place) {
            (0, Value::Array(all)) => all.push(other),
            (0, Value::Object(all)) => drop(all.insert("more".to_owned(), other)),
            (1, Value::Array(all)) => drop(all.pop()),
            (1, Value::Object(all)) => {
                let first = all.keys().next().cloned();
                first.map(|first| all.remove(&first));
            }
            (_, place) => *place = other,
        }
    }
    value
}

fn manifest() -> Manifest {
    let base = Base { path: "../a".to_owned(), id: "4".to_owned(), written: sum_of(b"[]") };
    let whole = Manifest::new("5".to_owned(), sum_of(b"state"), Contents { bytes: 8192, xxh64: 7 });
    Manifest { base: Some(base), ..whole }
}

/// A whole state with a few other bytes.
fn with_bytes(mut bytes: Vec<u8>, other: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    for (place, byte) in other {
        let place = place.index(bytes.len());
        bytes[place] = *byte;
    }
    bytes
}

#[test]
fn the_sample_is_read_again_as_it_is() {
    let bytes = serde_json::to_vec(&sample::saved()).unwrap();
    assert_eq!(serde_json::to_vec(&state::parse(&bytes).unwrap()).unwrap(), bytes);
}

#[test]
fn what_does_not_belong_there_is_named_with_its_place() {
    let mut value = serde_json::to_value(sample::saved()).unwrap();
    value["machine"]["devices"]["ged"]["more"] = json!(5);
    let error = state::parse(&serde_json::to_vec(&value).unwrap()).unwrap_err();
    assert!(error.contains("machine.devices.ged.more: unknown field `more`"), "{error}");
    let depth = 1 << 16;
    let deep = [vec![b'['; depth], vec![b']'; depth]].concat();
    assert!(state::parse(&deep).is_err());
    assert!(Manifest::parse(&deep).is_err());
}

proptest! {
    #[test]
    fn bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\":,0-9a-z]{0,80}") {
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            let _ = state::parse(bytes);
            let _ = Manifest::parse(bytes);
        }
    }

    #[test]
    fn a_manifest_with_other_values_is_read_or_refused(changes in changes()) {
        let value = changed(serde_json::to_value(manifest()).unwrap(), &changes);
        let _ = Manifest::parse(&serde_json::to_vec(&value).unwrap());
    }

    #[test]
    fn a_state_with_other_values_is_read_or_refused(changes in changes()) {
        let value = changed(serde_json::to_value(sample::saved()).unwrap(), &changes);
        let _ = state::parse(&serde_json::to_vec(&value).unwrap());
    }

    /// Most of a state is what KVM keeps; this is about the rest that is looked at.
    #[test]
    fn a_machine_with_other_values_is_read_or_refused(changes in changes()) {
        let mut value = serde_json::to_value(sample::saved()).unwrap();
        let spec = &mut value["machine"]["spec"];
        *spec = changed(spec.take(), &changes);
        let _ = state::parse(&serde_json::to_vec(&value).unwrap());
    }

    #[test]
    fn a_state_with_other_bytes_is_read_or_refused(
        other in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<prop::sample::Index>(),
    ) {
        let whole = serde_json::to_vec(&sample::saved()).unwrap();
        let bytes = with_bytes(whole, &other);
        let _ = state::parse(&bytes);
        let _ = state::parse(&bytes[..cut.index(bytes.len())]);
    }
}
