//! A search tree that never changes: with a value more or less it is another tree, which shares all but one way down.
//!
//! It is balanced as Adelson-Velsky and Landis have it: the two sides of a node differ in height by one at most.
//! Whatever keys a guest chooses, no way down is longer than one and a half times the logarithm of their number.

use std::cmp::Ordering;
use std::sync::Arc;

/// Values by their keys.
#[derive(Debug, Clone)]
pub struct Tree<V>(Option<Arc<Node<V>>>);

#[derive(Debug)]
struct Node<V> {
    key: u64,
    value: V,
    height: u8,
    below: Tree<V>,
    above: Tree<V>,
}

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<V: Clone> Tree<V> {
    /// The value whose key is the last at or below `key`.
    pub fn at_or_below(&self, key: u64) -> Option<&V> {
        let (mut tree, mut found) = (self, None);
        while let Some(node) = &tree.0 {
            if node.key <= key {
                found = Some(&node.value);
                tree = &node.above;
            } else {
                tree = &node.below;
            }
        }
        found
    }

    /// This tree with `value` at `key`, instead of what was there.
    #[must_use]
    pub fn with(&self, key: u64, value: V) -> Self {
        let Some(node) = &self.0 else { return Self::node(key, value, Self(None), Self(None)) };
        match key.cmp(&node.key) {
            Ordering::Equal => Self::node(key, value, node.below.clone(), node.above.clone()),
            Ordering::Less => node.around(node.below.with(key, value), node.above.clone()),
            Ordering::Greater => node.around(node.below.clone(), node.above.with(key, value)),
        }
    }

    /// This tree without what is at `key`; `None` if nothing is.
    #[must_use]
    pub fn without(&self, key: u64) -> Option<Self> {
        let node = self.0.as_ref()?;
        Some(match key.cmp(&node.key) {
            Ordering::Less => node.around(node.below.without(key)?, node.above.clone()),
            Ordering::Greater => node.around(node.below.clone(), node.above.without(key)?),
            Ordering::Equal => match node.above.split_first() {
                None => node.below.clone(),
                Some((next, above)) => next.around(node.below.clone(), above),
            },
        })
    }

    /// All values, by their keys.
    pub fn iter(&self) -> impl Iterator<Item = &V> {
        let mut way = Vec::new();
        let mut next = self;
        std::iter::from_fn(move || {
            while let Some(node) = &next.0 {
                way.push(node);
                next = &node.below;
            }
            let node = way.pop()?;
            next = &node.above;
            Some(&node.value)
        })
    }

    /// The first node, and the tree without it.
    fn split_first(&self) -> Option<(&Node<V>, Self)> {
        let node = self.0.as_ref()?;
        Some(match node.below.split_first() {
            None => (node, node.above.clone()),
            Some((first, below)) => (first, node.around(below, node.above.clone())),
        })
    }

    fn height(&self) -> u8 {
        self.0.as_ref().map_or(0, |node| node.height)
    }

    fn node(key: u64, value: V, below: Self, above: Self) -> Self {
        let height = below.height().max(above.height()) + 1;
        Self(Some(Arc::new(Node { key, value, height, below, above })))
    }
}

impl<V: Clone> Node<V> {
    /// This node's key and value between `below` and `above`, whose heights differ by two at most.
    fn around(&self, below: Tree<V>, above: Tree<V>) -> Tree<V> {
        let own = |below, above| Tree::node(self.key, self.value.clone(), below, above);
        match (&below.0, &above.0) {
            (Some(left), _) if left.height > above.height() + 1 => left.raised_over(own, above),
            (_, Some(right)) if right.height > below.height() + 1 => right.raised_beside(own, below),
            _ => own(below, above),
        }
    }

    /// This node, which was below another and is too high, or what is above it, becomes the root; `other` makes the other
    /// node, with what was `above` that.
    fn raised_over(&self, other: impl Fn(Tree<V>, Tree<V>) -> Tree<V>, above: Tree<V>) -> Tree<V> {
        match &self.above.0 {
            Some(inner) if inner.height > self.below.height() => {
                let below = Tree::node(self.key, self.value.clone(), self.below.clone(), inner.below.clone());
                Tree::node(inner.key, inner.value.clone(), below, other(inner.above.clone(), above))
            }
            _ => {
                let above = other(self.above.clone(), above);
                Tree::node(self.key, self.value.clone(), self.below.clone(), above)
            }
        }
    }

    /// The same for a node that was above another.
    fn raised_beside(&self, other: impl Fn(Tree<V>, Tree<V>) -> Tree<V>, below: Tree<V>) -> Tree<V> {
        match &self.below.0 {
            Some(inner) if inner.height > self.above.height() => {
                let above = Tree::node(self.key, self.value.clone(), inner.above.clone(), self.above.clone());
                Tree::node(inner.key, inner.value.clone(), other(below, inner.below.clone()), above)
            }
            _ => {
                let below = other(below, self.below.clone());
                Tree::node(self.key, self.value.clone(), below, self.above.clone())
            }
        }
    }
}

#[cfg(test)]
mod tests;
