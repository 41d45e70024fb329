//! The nodes whose majorities decide.

use super::ballot::NodeId;

/// The member set: a value the protocol reads, so that a later version can change it by decree (P12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members(Vec<NodeId>);

impl Members {
    /// A set of members; repeated ids count once.
    pub fn new(mut nodes: Vec<NodeId>) -> Members {
        nodes.sort_unstable();
        nodes.dedup();
        Members(nodes)
    }

    /// All members in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.0.iter().copied()
    }

    /// All members but `node`.
    pub fn others(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.iter().filter(move |other| *other != node)
    }

    /// Whether `node` is a member.
    pub fn contains(&self, node: NodeId) -> bool {
        self.0.binary_search(&node).is_ok()
    }

    /// How many members there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// How many members a majority needs: any two majorities share a member.
    pub fn majority(&self) -> usize {
        self.0.len() / 2 + 1
    }

    /// The member at `index` in ascending order, counted round and round.
    pub fn at(&self, index: u64) -> Option<NodeId> {
        let count = u64::try_from(self.0.len()).ok()?;
        let place = usize::try_from(index.checked_rem(count)?).ok()?;
        self.0.get(place).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_majorities_always_intersect() {
        for count in 1..=9 {
            let members = Members::new((1..=count).map(NodeId).collect());
            assert!(2 * members.majority() > members.count());
            assert!(2 * (members.majority() - 1) <= members.count());
        }
    }
}
