//! Steps that happen again, so that a text need not say them fifty times.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Step;

/// Most steps in all of a scenario some of whose steps happen again.
const MOST: usize = 2_000;

/// Has the steps just before it happen again, with all that is expected of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Again {
    /// How many steps, counted back from here.
    pub steps: usize,
    /// How often they happen again.
    pub times: usize,
}

impl Again {
    /// Which of the steps so far happen again.
    fn of<T>(self, before: &[T]) -> Result<&[T], String> {
        let Self { steps, times } = self;
        if before.is_empty() {
            return Err("again: there is no step before it".to_owned());
        }
        let start = before.len().checked_sub(steps).filter(|_| steps > 0);
        let start = start
            .ok_or_else(|| format!("again: `steps` must be 1 to {}, the steps before it", before.len()))?;
        let total = steps.checked_mul(times).and_then(|more| more.checked_add(before.len()));
        if times == 0 || total.is_none_or(|total| total > MOST) {
            return Err(format!("again: `times` must be 1 or more, and all steps together at most {MOST}"));
        }
        Ok(&before[start..])
    }
}

/// All steps in the order in which they happen, each with its place in `steps`.
///
/// # Errors
/// What is wrong with a step that has others happen again, and its place.
pub fn expanded(steps: &[Step]) -> Result<Vec<(usize, &Step)>, (usize, String)> {
    let mut all = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        let Some(again) = step.again else {
            all.push((place, step));
            continue;
        };
        if *step != (Step { again: Some(again), ..Step::default() }) {
            return Err((place, "again: a step with it has nothing else".to_owned()));
        }
        let part = again.of(&all).map_err(|problem| (place, problem))?.to_vec();
        all.extend(std::iter::repeat_n(part, again.times).flatten());
    }
    Ok(all)
}
