//! Which places of a memory file count: the runs of pages that a difference has. `written.json` lists them, each with the
//! place of its first byte and its length.

use std::ops::Range;

use super::memory::PAGE;

/// What `written.json` holds.
///
/// # Panics
/// Never: numbers can be written as JSON.
pub fn to_json(runs: &[Range<u64>]) -> Vec<u8> {
    let pairs: Vec<_> = runs.iter().map(|run| (run.start, run.end - run.start)).collect();
    serde_json::to_vec(&pairs).expect("numbers can be written as JSON")
}

/// Reads what `written.json` holds, about a file of `length` bytes.
///
/// # Errors
/// What is wrong with it, in words: runs are ascending, apart, whole pages and within the file.
pub fn parse(json: &[u8], length: u64) -> Result<Vec<Range<u64>>, String> {
    let pairs: Vec<(u64, u64)> =
        serde_json::from_slice(json).map_err(|error| format!("is no list of runs: {error}"))?;
    let mut end = 0;
    let run = |(start, size): (u64, u64)| {
        let whole = size > 0 && [start, size].iter().all(|bytes| bytes.is_multiple_of(PAGE as u64));
        let behind = start.checked_add(size).filter(|behind| whole && start >= end && *behind <= length);
        end = behind.ok_or_else(|| format!("a run at {start:#x}, {size:#x} bytes long, cannot be"))?;
        Ok(start..end)
    };
    pairs.into_iter().map(run).collect()
}

/// What is in both; either is ascending and apart.
pub fn common(one: &[Range<u64>], other: &[Range<u64>]) -> Vec<Range<u64>> {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let mut found = Vec::new();
    while let (Some(first), Some(second)) = (one.peek(), other.peek()) {
        let (start, end) = (first.start.max(second.start), first.end.min(second.end));
        if start < end {
            found.push(start..end);
        }
        if first.end < second.end {
            one.next();
        } else {
            other.next();
        }
    }
    found
}

/// Adds a run behind the others; neighbours are joined.
pub fn push(runs: &mut Vec<Range<u64>>, run: Range<u64>) {
    match runs.last_mut() {
        Some(last) if last.end == run.start => last.end = run.end,
        _ => runs.push(run),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn runs(bounds: Vec<u64>) -> Vec<Range<u64>> {
        let mut bounds = bounds;
        bounds.sort_unstable();
        bounds.dedup();
        bounds.as_chunks().0.iter().map(|[start, end]| *start..*end).collect()
    }

    proptest! {
        #[test]
        fn what_is_common_is_in_both(
            one in prop::collection::vec(0..100_u64, 0..20).prop_map(runs),
            other in prop::collection::vec(0..100_u64, 0..20).prop_map(runs),
        ) {
            let found = common(&one, &other);
            let holds = |runs: &[Range<u64>], at: u64| runs.iter().any(|run| run.contains(&at));
            for at in 0..100 {
                prop_assert_eq!(holds(&found, at), holds(&one, at) && holds(&other, at), "{}", at);
            }
        }

        #[test]
        fn runs_are_read_as_they_are_written(pages in prop::collection::vec(0..100_u64, 0..20).prop_map(runs)) {
            let page = PAGE as u64;
            let runs: Vec<_> = pages.iter().map(|run| run.start * page..run.end * page).collect();
            prop_assert_eq!(parse(&to_json(&runs), 100 * page).unwrap(), runs);
        }

        #[test]
        fn whatever_is_there_is_read_or_refused(text in "[\\[\\],0-9]{0,60}", length: u64) {
            if let Ok(runs) = parse(text.as_bytes(), length) {
                prop_assert!(runs.iter().all(|run| run.start < run.end && run.end <= length));
                prop_assert!(runs.windows(2).all(|pair| pair[0].end <= pair[1].start));
            }
        }
    }

    #[test]
    fn runs_that_cannot_be_are_refused() {
        let said = |json: &str| parse(json.as_bytes(), 0x8000).unwrap_err();
        for wrong in [
            "[[4096,0]]",
            "[[1,4096]]",
            "[[4096,1]]",
            "[[28672,8192]]",
            "[[18446744073709547520,4096]]",
            "[[4096,8192],[8192,4096]]",
        ] {
            assert!(said(wrong).ends_with("cannot be"), "{wrong}");
        }
        assert!(said("{}").starts_with("is no list of runs"));
        assert!(said("[[4096]]").starts_with("is no list of runs"));
        assert_eq!(parse(b"[]", 0).unwrap(), []);
    }
}
