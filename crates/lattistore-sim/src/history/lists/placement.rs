//! Places unknown transactions on lists in the order of positions, by what others read.
//!
//! Each transaction is placed as late as possible: immediately before the first transaction that
//! has to come after it, because it read one of its elements, or appended after one of them. If the
//! positions are correct, the placement is too: whatever lies between the true place and this one
//! touches none of its lists, or it would be the first that has to come after it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::operation::Outcome;
use super::super::positions::{Placement, rank};
use super::ListOperation;
use super::versions::{ListVersions, Versions};

/// Places every unknown transaction without a position of which an element was read.
///
/// The result is for [`check_positions_with`](super::super::positions::check_positions_with).
pub fn place_unknown(history: &[ListOperation]) -> Vec<Placement> {
    let (versions, _) = Versions::infer(history);
    let mut order: Vec<usize> = (0..history.len()).collect();
    order.retain(|&index| history[index].position.is_some());
    order.sort_by_key(|&index| (history[index].position.map(rank), index));
    let mut bounds = Bounds { history, ranks: vec![None; history.len()], bounds: HashMap::new() };
    for (rank, &index) in order.iter().enumerate() {
        bounds.ranks[index] = Some(rank);
    }
    // A bound from one list may lower a bound from another: repeat until nothing changes.
    while versions.lists.values().filter(|list| bounds.lower(list)).count() > 0 {}
    let topological_order = topological_order(&bounds, &versions);
    let mut placed: Vec<(usize, usize, usize)> = bounds
        .bounds
        .iter()
        .map(|(&index, &bound)| (bound, topological_order[&index], index))
        .collect();
    placed.sort_unstable();
    placed
        .into_iter()
        .map(|(bound, _, operation)| Placement { operation, before: order[bound] })
        .collect()
}

/// The bounds of unknown operations: before which operation each of them ran.
struct Bounds<'a> {
    history: &'a [ListOperation],
    /// The index of each operation in the order of positions.
    ranks: Vec<Option<usize>>,
    /// By unknown operation: the lowest rank of the operations known to come after it.
    bounds: HashMap<usize, usize>,
}

impl Bounds<'_> {
    fn is_unknown(&self, index: usize) -> bool {
        self.ranks[index].is_none() && matches!(self.history[index].outcome, Outcome::MayHaveRun)
    }

    /// Lowers the bounds by one list; returns whether any bound changed.
    fn lower(&mut self, list: &ListVersions) -> bool {
        let mut readers: Vec<&(usize, usize)> = list.reads.iter().collect();
        readers.sort_unstable_by_key(|&&(_, length)| length);
        let mut first_after = usize::MAX;
        let mut changed = false;
        for (index, &(_, writer)) in list.elements.iter().enumerate().rev() {
            while let Some(&&(reader, _)) = readers.last().filter(|(_, length)| *length > index) {
                first_after = first_after.min(self.ranks[reader].unwrap_or(usize::MAX));
                readers.pop();
            }
            let Some(writer) = writer else { continue };
            if !self.is_unknown(writer) {
                first_after = first_after.min(self.ranks[writer].unwrap_or(usize::MAX));
            } else if first_after < usize::MAX {
                let bound = self.bounds.entry(writer).or_insert(usize::MAX);
                changed |= first_after < *bound;
                *bound = first_after.min(*bound);
                first_after = *bound;
            }
        }
        changed
    }
}

/// Returns an order of the placed operations that agrees with all lists, if there is one.
///
/// Source: Kahn, "Topological sorting of large networks", 1962. Operations on a cycle come last: no
/// order is correct for them.
fn topological_order(bounds: &Bounds<'_>, versions: &Versions) -> HashMap<usize, usize> {
    let mut followers: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut predecessors: BTreeMap<usize, usize> =
        bounds.bounds.keys().map(|&index| (index, 0)).collect();
    for list in versions.lists.values() {
        let mut unknown: Vec<usize> = list.elements.iter().filter_map(|&(_, w)| w).collect();
        unknown.retain(|index| bounds.bounds.contains_key(index));
        unknown.dedup();
        for pair in unknown.windows(2) {
            if followers.entry(pair[0]).or_default().insert(pair[1]) {
                predecessors.entry(pair[1]).and_modify(|count| *count += 1);
            }
        }
    }
    let mut ready: Vec<usize> =
        predecessors.iter().filter(|&(_, &count)| count == 0).map(|(&index, _)| index).collect();
    let mut topological_order = HashMap::new();
    while let Some(next) = ready.pop() {
        topological_order.insert(next, topological_order.len());
        for follower in followers.get(&next).into_iter().flatten() {
            if let Some(count) = predecessors.get_mut(follower) {
                *count -= 1;
                if *count == 0 {
                    ready.push(*follower);
                }
            }
        }
    }
    for &index in predecessors.keys() {
        let last = topological_order.len();
        topological_order.entry(index).or_insert(last);
    }
    topological_order
}
