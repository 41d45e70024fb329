//! The graph of dependencies, with as many edges as the history is long.
//!
//! Two relations would have quadratically many edges if each pair had one. They run through extra
//! nodes that stand for no operation; the edges out of these nodes are free, that is, they do not
//! count as dependencies:
//!
//! * Real time: each operation that ends leads to a barrier, a barrier leads to the next one, and
//!   the last barrier before an operation leads to it.
//! * Unread appends: what was read of a list comes before all appends that no read shows. These
//!   hang on two chains, so that a reader that is one of them can reach all others but not itself.

use super::super::operation::Outcome;
use super::ListOperation;
use super::anomaly::Dependency;
use super::versions::{ListVersions, Versions};

/// An edge of the graph.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    /// `None` for a free edge out of a barrier or chain, which belongs to the edge that led there.
    pub(super) dependency: Option<Dependency>,
    pub(super) key: u64,
    pub(super) element: Option<u64>,
}

/// The graph. Nodes below the history's length are operations, the others barriers and chains.
#[derive(Debug)]
pub(super) struct Graph {
    /// The edges, sorted by `from`.
    pub(super) edges: Vec<Edge>,
    /// The edges out of node n are `edges[starts[n]..starts[n + 1]]`.
    starts: Vec<usize>,
    /// When a node ended; for a node of a chain, the first end of the operations that it leads to.
    ended: Vec<u64>,
}

impl Graph {
    pub(super) fn build(history: &[ListOperation], versions: &Versions) -> Graph {
        let mut builder = Builder {
            edges: Vec::new(),
            ended: history.iter().map(ListOperation::ended).collect(),
            takes_part: history.iter().map(ListOperation::ran).collect(),
        };
        for (&key, list) in &versions.lists {
            builder.add_list(key, list);
        }
        builder.add_real_time(history);
        builder.finish()
    }

    pub(super) fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    /// Returns the edges out of a node, as indices into `edges`.
    pub(super) fn out(&self, node: usize) -> std::ops::Range<usize> {
        self.starts[node]..self.starts[node + 1]
    }

    /// Returns when the node ended.
    pub(super) fn ended(&self, node: usize) -> u64 {
        self.ended[node]
    }
}

struct Builder {
    edges: Vec<Edge>,
    ended: Vec<u64>,
    /// Whether an operation ran: certainly, or because an element that it appended was read.
    takes_part: Vec<bool>,
}

impl Builder {
    fn new_node(&mut self, ended: u64) -> usize {
        self.ended.push(ended);
        self.ended.len() - 1
    }

    fn add(&mut self, from: usize, to: usize, dependency: Dependency, key: u64, element: u64) {
        if from != to {
            let (dependency, element) = (Some(dependency), Some(element));
            self.edges.push(Edge { from, to, dependency, key, element });
        }
    }

    /// Adds a free edge out of a barrier or chain.
    fn add_free(&mut self, from: usize, to: usize) {
        self.edges.push(Edge { from, to, dependency: None, key: 0, element: None });
    }

    fn add_list(&mut self, key: u64, list: &ListVersions) {
        // Appends of operations that did not run have no node: the order skips them.
        let appended: Vec<(usize, u64, usize)> = list
            .elements
            .iter()
            .enumerate()
            .filter_map(|(index, &(element, writer))| Some((index, element, writer?)))
            .collect();
        for &(_, _, writer) in &appended {
            self.takes_part[writer] = true;
        }
        for pair in appended.windows(2) {
            self.add(pair[0].2, pair[1].2, Dependency::WriteWrite, key, pair[1].1);
        }
        let unread = UnreadChains::new(self, list);
        if let Some(&(_, _, last)) = appended.last() {
            unread.lead_from(self, last, Dependency::WriteWrite, key);
        }
        for &(reader, length) in &list.reads {
            let next = appended.partition_point(|&(index, _, _)| index < length);
            if let Some(&(_, element, writer)) = next.checked_sub(1).and_then(|i| appended.get(i)) {
                self.add(writer, reader, Dependency::WriteRead, key, element);
            }
            match appended.get(next) {
                Some(&(_, element, writer)) => {
                    self.add(reader, writer, Dependency::ReadWrite, key, element);
                }
                None => unread.lead_from(self, reader, Dependency::ReadWrite, key),
            }
        }
    }

    fn add_real_time(&mut self, history: &[ListOperation]) {
        let mut begins: Vec<usize> = (0..history.len()).filter(|&i| self.takes_part[i]).collect();
        let certain = |&i: &usize| !matches!(history[i].outcome, Outcome::MayHaveRun);
        let mut ends: Vec<usize> = begins.iter().copied().filter(certain).collect();
        begins.sort_by_key(|&i| history[i].invoked);
        ends.sort_by_key(|&i| history[i].completed);
        let mut ends = ends.into_iter().peekable();
        let mut barrier = None;
        for begun in begins {
            while let Some(ended) = ends.next_if(|&i| history[i].completed < history[begun].invoked)
            {
                let next = self.new_node(history[ended].completed);
                if let Some(barrier) = barrier {
                    self.add_free(barrier, next);
                }
                let dependency = Some(Dependency::RealTime);
                self.edges.push(Edge { from: ended, to: next, dependency, key: 0, element: None });
                barrier = Some(next);
            }
            if let Some(barrier) = barrier {
                self.add_free(barrier, begun);
            }
        }
    }

    fn finish(mut self) -> Graph {
        let nodes = self.ended.len();
        self.edges.sort_by_key(|edge| edge.from);
        let mut starts = vec![0; nodes + 1];
        for edge in &self.edges {
            starts[edge.from + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        Graph { edges: self.edges, starts, ended: self.ended }
    }
}

/// The appends to one list that no read shows, reachable from the front and from the back.
struct UnreadChains {
    /// The operations, ascending.
    members: Vec<usize>,
    /// Node `up_to[i]` leads to members 0 to i.
    up_to: Vec<usize>,
    /// Node `from[i]` leads to members i to the last.
    from: Vec<usize>,
}

impl UnreadChains {
    fn new(builder: &mut Builder, list: &ListVersions) -> UnreadChains {
        let members: Vec<usize> = list.unread.iter().map(|&(operation, _)| operation).collect();
        let up_to = UnreadChains::link(builder, members.iter());
        let mut from = UnreadChains::link(builder, members.iter().rev());
        from.reverse();
        UnreadChains { members, up_to, from }
    }

    /// Adds a node for each member, which leads to the member and to the node before.
    fn link<'a>(builder: &mut Builder, members: impl Iterator<Item = &'a usize>) -> Vec<usize> {
        let mut nodes: Vec<usize> = Vec::new();
        for &member in members {
            let mut ended = builder.ended[member];
            let previous = nodes.last().copied();
            if let Some(previous) = previous {
                ended = ended.min(builder.ended[previous]);
            }
            let node = builder.new_node(ended);
            builder.add_free(node, member);
            if let Some(previous) = previous {
                builder.add_free(node, previous);
            }
            nodes.push(node);
        }
        nodes
    }

    /// Adds edges from an operation to all members except itself.
    fn lead_from(&self, builder: &mut Builder, operation: usize, why: Dependency, key: u64) {
        let (before, after) = match self.members.binary_search(&operation) {
            Ok(own) => (own.checked_sub(1), own + 1),
            Err(_) => (self.members.len().checked_sub(1), self.members.len()),
        };
        let targets =
            before.map(|i| self.up_to[i]).into_iter().chain(self.from.get(after).copied());
        for to in targets {
            let edge = Edge { from: operation, to, dependency: Some(why), key, element: None };
            builder.edges.push(edge);
        }
    }
}
