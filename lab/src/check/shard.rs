//! Shares of a check, for several hosts: which of them this process does, by its flag or by the system that started it.

use std::fmt;
use std::str::FromStr;

/// One of `count` shares of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which, counted from 0.
    index: usize,
    /// How many there are.
    count: usize,
}

/// The share, and how it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// The share.
    pub shard: Shard,
    /// The flag or the variables that said so.
    pub by: String,
}

/// The share cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// Not of the form.
    #[error("{0:?} is not a share such as 2/5, the second of five")]
    NotAShard(String),
    /// A variable is missing or makes no sense.
    #[error("{0}; `--shard 1/1` checks everything whatever the environment says")]
    Environment(String),
}

/// How many shares there are, for systems that do not say so.
const COUNT: &str = "DIMMER_SHARD_COUNT";
/// This share's number, counted from 0, from whatever has no variable of its own.
const INDEX: &str = "DIMMER_SHARD_INDEX";
/// Kubernetes' number of a pod of an indexed Job, counted from 0.
const KUBERNETES: &str = "JOB_COMPLETION_INDEX";
/// Slurm's number of a job of an array.
const SLURM: &str = "SLURM_ARRAY_TASK_ID";

impl Shard {
    /// Share `index`, counted from 0, of `count`; nothing when there is no such share.
    pub fn new(index: usize, count: usize) -> Option<Self> {
        (index < count).then_some(Self { index, count })
    }

    /// Everything.
    pub const fn whole() -> Self {
        Self { index: 0, count: 1 }
    }

    /// Splits `items` into shares of about the same cost, and gives this one. Which items that are depends on nothing but
    /// the items, their order and their costs.
    pub fn select<T>(self, items: Vec<T>, cost: impl Fn(&T) -> u64) -> Vec<T> {
        let mut order: Vec<(usize, T)> = items.into_iter().enumerate().collect();
        // The costliest first, each to the share that has the least so far.
        order.sort_by_key(|(number, item)| (std::cmp::Reverse(cost(item)), *number));
        let mut loads = vec![0; self.count];
        let mut own = Vec::new();
        for (number, item) in order {
            let least = (0..self.count).min_by_key(|share| loads[*share]).unwrap_or(0);
            loads[least] += cost(&item);
            if least == self.index {
                own.push((number, item));
            }
        }
        own.sort_by_key(|(number, _)| *number);
        own.into_iter().map(|(_, item)| item).collect()
    }

    /// The share that the environment assigns, nothing when it does not; `variable` looks a variable up.
    ///
    /// # Errors
    /// [`ShardError::Environment`] names the variable.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Assigned>, ShardError> {
        let number = |name: &str| -> Result<usize, ShardError> {
            let text = variable(name).ok_or_else(|| ShardError::Environment(format!("{name} is not set")))?;
            let wrong = || ShardError::Environment(format!("{name}={text} is not a number"));
            text.trim().parse().map_err(|_| wrong())
        };
        let (by, index, count) = if variable(INDEX).is_some() {
            ([INDEX, COUNT], number(INDEX)?, number(COUNT)?)
        } else if variable(KUBERNETES).is_some() {
            ([KUBERNETES, COUNT], number(KUBERNETES)?, number(COUNT)?)
        } else if variable(SLURM).is_some() {
            let first = number("SLURM_ARRAY_TASK_MIN")?;
            let step =
                variable("SLURM_ARRAY_TASK_STEP").map_or(Ok(1), |_| number("SLURM_ARRAY_TASK_STEP"))?;
            let index = number(SLURM)?.saturating_sub(first) / step.max(1);
            ([SLURM, "SLURM_ARRAY_TASK_COUNT"], index, number("SLURM_ARRAY_TASK_COUNT")?)
        } else {
            return Ok(None);
        };
        let said = by.map(|name| format!("{name}={}", variable(name).unwrap_or_default())).join(" ");
        let none = || ShardError::Environment(format!("{said}: there is no share {} of {count}", index + 1));
        Ok(Some(Assigned { shard: Self::new(index, count).ok_or_else(none)?, by: said }))
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    /// Reads `2/5`, the second of five.
    fn from_str(text: &str) -> Result<Self, ShardError> {
        let numbers = text.split_once('/').and_then(|(index, count)| {
            let index: usize = index.parse().ok()?;
            Self::new(index.checked_sub(1)?, count.parse().ok()?)
        });
        numbers.ok_or_else(|| ShardError::NotAShard(text.to_owned()))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index + 1, self.count)
    }
}

#[cfg(test)]
mod manifests;

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Result<Option<(String, String)>, String> {
        let look = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let assigned = Shard::from_environment(look).map_err(|error| error.to_string())?;
        Ok(assigned.map(|assigned| (assigned.shard.to_string(), assigned.by)))
    }

    #[test]
    fn shares_are_a_partition_of_about_equal_costs_whatever_their_number() {
        let costs: Vec<u64> = (0..47).map(|number| 1 + number * number % 13).collect();
        let total: u64 = costs.iter().sum();
        for count in 1..9 {
            let mut seen = vec![];
            for index in 0..count {
                let share = Shard::new(index, count).unwrap();
                let own = share.select((0..costs.len()).collect(), |item| costs[*item]);
                assert_eq!(own, share.select((0..costs.len()).collect(), |item| costs[*item]));
                let load: u64 = own.iter().map(|item| costs[*item]).sum();
                assert!(load.abs_diff(total / count as u64) <= 13, "{share}: {load} of {total}");
                assert!(own.is_sorted(), "in the order of the whole");
                seen.extend(own);
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..costs.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_share_is_written_as_people_count() {
        assert_eq!("2/5".parse::<Shard>().unwrap(), Shard::new(1, 5).unwrap());
        assert_eq!("1/1".parse::<Shard>().unwrap(), Shard::whole());
        for wrong in ["0/5", "6/5", "5", "a/b", "1/0", "-1/2"] {
            assert_eq!(wrong.parse::<Shard>(), Err(ShardError::NotAShard(wrong.to_owned())));
        }
    }

    #[test]
    fn each_system_says_it_in_its_own_words() {
        let slurm = |id, min, step| {
            environment(&[
                (SLURM, id),
                ("SLURM_ARRAY_TASK_MIN", min),
                ("SLURM_ARRAY_TASK_STEP", step),
                ("SLURM_ARRAY_TASK_COUNT", "4"),
            ])
        };
        let shard = |assigned: Result<Option<(String, String)>, String>| assigned.unwrap().unwrap().0;
        assert_eq!(environment(&[]), Ok(None));
        assert_eq!(environment(&[(COUNT, "4")]), Ok(None));
        assert_eq!(shard(environment(&[(KUBERNETES, "0"), (COUNT, "4")])), "1/4");
        assert_eq!(shard(environment(&[(INDEX, "3"), (COUNT, "4")])), "4/4");
        assert_eq!(shard(slurm("1", "1", "1")), "1/4");
        assert_eq!(shard(slurm("16", "10", "2")), "4/4");
        let by = environment(&[(KUBERNETES, "2"), (COUNT, "3")]).unwrap().unwrap().1;
        assert_eq!(by, "JOB_COMPLETION_INDEX=2 DIMMER_SHARD_COUNT=3");
    }

    #[test]
    fn an_environment_that_makes_no_sense_is_an_error() {
        for (variables, expected) in [
            (&[(KUBERNETES, "0")][..], "DIMMER_SHARD_COUNT is not set"),
            (&[(KUBERNETES, "4"), (COUNT, "4")], "there is no share 5 of 4"),
            (&[(INDEX, "one"), (COUNT, "4")], "DIMMER_SHARD_INDEX=one is not a number"),
            (&[(SLURM, "1")], "SLURM_ARRAY_TASK_MIN is not set"),
        ] {
            let error = environment(variables).unwrap_err();
            assert!(error.contains(expected) && error.contains("--shard 1/1"), "{error}");
        }
    }
}
