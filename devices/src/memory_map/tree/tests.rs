//! Trees against the map of the standard library, and how much of one a change copies.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use proptest::prelude::*;

use super::*;

/// A value that counts how often it is copied.
#[derive(Debug)]
struct Counted(u64, Arc<AtomicUsize>);

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.1.fetch_add(1, SeqCst);
        Self(self.0, self.1.clone())
    }
}

/// Checks that keys ascend and both sides of every node are balanced; returns the height.
fn check<V: Clone>(tree: &Tree<V>, keys: &std::ops::RangeInclusive<u64>) -> u8 {
    let Some(node) = &tree.0 else { return 0 };
    assert!(keys.contains(&node.key), "{} is not in {keys:?}", node.key);
    let below = node.key.checked_sub(1).map_or(0, |last| check(&node.below, &(*keys.start()..=last)));
    let above = node.key.checked_add(1).map_or(0, |first| check(&node.above, &(first..=*keys.end())));
    assert!(below.abs_diff(above) <= 1, "{below} and {above} at {}", node.key);
    assert_eq!(node.height, below.max(above) + 1);
    node.height
}

/// A tree of the even numbers below `2 * size`, and the count of its copies.
fn evens(size: u64) -> (Tree<Counted>, Arc<AtomicUsize>) {
    let copies = Arc::new(AtomicUsize::new(0));
    let add = |tree: Tree<Counted>, index: u64| tree.with(2 * index, Counted(index, copies.clone()));
    ((0..size).fold(Tree::default(), add), copies)
}

proptest! {
    #[test]
    fn a_tree_is_what_was_put_into_it(steps in prop::collection::vec((any::<bool>(), 0_u64..60), 0..300)) {
        let (mut tree, mut expected) = (Tree::default(), BTreeMap::new());
        for (number, (comes, key)) in steps.into_iter().enumerate() {
            let before = tree.clone();
            let kept: Vec<usize> = before.iter().copied().collect();
            if comes {
                tree = tree.with(key, number);
                expected.insert(key, number);
            } else {
                let rest = tree.without(key);
                prop_assert_eq!(rest.is_some(), expected.remove(&key).is_some());
                tree = rest.unwrap_or(tree);
            }
            check(&tree, &(0..=u64::MAX));
            prop_assert!(tree.iter().eq(expected.values()));
            prop_assert!(before.iter().eq(&kept), "the tree before has changed");
            for key in 0..60 {
                let last = expected.range(..=key).next_back();
                prop_assert_eq!(tree.at_or_below(key), last.map(|(_, value)| value));
            }
        }
    }
}

#[test]
fn a_change_copies_one_way_down_whatever_the_size() {
    for (size, most) in [(100, 11), (31_000, 24)] {
        let (tree, copies) = evens(size);
        for key in (0..size).map(|index| 2 * index) {
            copies.store(0, SeqCst);
            let more = tree.with(key + 1, Counted(key, copies.clone()));
            let way = copies.swap(0, SeqCst);
            assert!(way <= most, "{way} of {size} were copied for one more at {key}");
            let fewer = more.without(key).unwrap();
            let way = copies.load(SeqCst);
            assert!(way <= most, "{way} of {size} were copied for one fewer at {key}");
            assert_eq!(fewer.at_or_below(key + 1).unwrap().0, key);
        }
    }
}
