//! Compares the map with a `BTreeMap`, and checks how full its leaves are.

use super::*;
use proptest::prelude::*;

type Small = LeafMap<u8, u32, 4>;

/// Checks the invariants of the leaves.
fn check<const CAPACITY: usize>(map: &LeafMap<u8, u32, CAPACITY>) {
    let mut above: Option<u8> = None;
    for (bound, leaf) in &map.leaves {
        let keys: Vec<u8> = leaf.rows.iter().map(|(key, _)| *key).collect();
        assert!(!keys.is_empty() && keys.len() <= CAPACITY && keys.is_sorted(), "{keys:?}");
        assert!(above.is_none_or(|above| above < *bound) && *bound <= keys[0], "{bound}");
        assert!(keys.iter().zip(leaf.tags).all(|(key, found)| tag(key) == found));
        above = keys.last().copied();
    }
    assert_eq!(map.len(), map.leaves.values().map(|leaf| leaf.rows.len()).sum::<usize>());
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, u32),
    Change(u8, u32),
    Remove(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..60_u8, any::<u32>()).prop_map(|(key, value)| Step::Insert(key, value)),
        1 => (0..60_u8, any::<u32>()).prop_map(|(key, value)| Step::Change(key, value)),
        2 => (0..60_u8).prop_map(Step::Remove),
    ]
}

fn bound() -> impl Strategy<Value = Bound<u8>> {
    prop_oneof![
        (0..60_u8).prop_map(Bound::Included),
        (0..60_u8).prop_map(Bound::Excluded),
        Just(Bound::Unbounded),
    ]
}

proptest! {
    #[test]
    fn it_behaves_like_a_btree_map(
        steps in prop::collection::vec(step(), 0..200),
        from in bound(),
        to in bound(),
        turns in prop::collection::vec(any::<bool>(), 60),
    ) {
        same_as_a_btree_map::<4>(&steps, (from, to), &turns)?;
        same_as_a_btree_map::<16>(&steps, (from, to), &turns)?;
    }
}

fn same_as_a_btree_map<const CAPACITY: usize>(
    steps: &[Step],
    (from, to): (Bound<u8>, Bound<u8>),
    turns: &[bool],
) -> Result<(), TestCaseError> {
    let (mut map, mut model) = (LeafMap::<u8, u32, CAPACITY>::default(), BTreeMap::new());
    for step in steps {
        match *step {
            Step::Insert(key, value) => {
                map.insert(key, value);
                model.insert(key, value);
            }
            Step::Change(key, value) => {
                let (actual, expected) = (map.get_mut(&key), model.get_mut(&key));
                prop_assert_eq!(actual.is_some(), expected.is_some());
                [actual, expected].into_iter().flatten().for_each(|old| *old = value);
            }
            Step::Remove(key) => prop_assert_eq!(map.remove(&key), model.remove(&key)),
        }
        check(&map);
    }
    prop_assert!((0..60).all(|key| map.get(&key) == model.get(&key)));
    prop_assert!(map.iter().eq(&model) && map.iter().rev().eq(model.iter().rev()));
    let again: LeafMap<u8, u32, CAPACITY> = model.clone().into_iter().collect();
    prop_assert!(map == again && map.clone() == map);
    prop_assert_eq!(format!("{map:?}"), format!("{model:?}"));

    let bounds = (from.as_ref(), to.as_ref());
    let mut rows: Vec<_> =
        model.iter().filter(|(key, _)| std::ops::RangeBounds::contains(&bounds, *key)).collect();
    let mut range = map.range(bounds);
    for turn in turns {
        if rows.is_empty() {
            prop_assert_eq!((range.next(), range.next_back()), (None, None));
        } else if *turn {
            prop_assert_eq!(range.next(), Some(rows.remove(0)));
        } else {
            prop_assert_eq!(range.next_back(), rows.pop());
        }
    }
    Ok(())
}

#[test]
fn ascending_inserts_fill_the_leaves_and_removals_leave_no_empty_leaf() {
    let mut map: Small = (0..40).map(|key| (key, 0)).collect();
    assert!(map.leaves.len() == 10 && map.leaves.values().all(|leaf| leaf.rows.len() == 4));
    for key in (0..40).filter(|key| key % 8 != 0) {
        assert_eq!(map.remove(&key), Some(0));
        check(&map);
    }
    assert!(map.len() == 5 && map.leaves.len() < 5, "{map:?}");
}

#[test]
fn descending_inserts_fill_the_leaves() {
    let mut map: Small = (0..4).map(|key| (key, 0)).collect();
    for key in (20..60).rev() {
        map.insert(key, 0);
        check(&map);
    }
    assert!(map.len() == 44 && map.leaves.len() == 11, "{map:?}");
}

#[test]
fn keys_with_the_same_tag_are_different_keys() {
    let first = tag(&0_u64);
    let same: Vec<u64> = (0..20_000).filter(|key| tag(key) == first).take(50).collect();
    let map: LeafMap<u64, u64> = same.iter().map(|key| (*key, *key)).collect();
    assert!(same.len() == 50 && same.iter().all(|key| map.get(key) == Some(key)));
}
