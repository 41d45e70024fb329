//! The cycles of the graph: for each knot, the smallest cycle of the worst kind.
//!
//! A kind of cycle is told by one *pivot* edge and what the rest may be made of: a G1c has a wr among
//! ww and wr; a G-single closes its one rw with ww and wr. So the search takes pivots one by one and
//! looks for the shortest way back. Pivots that go back in time the furthest come first, for they
//! close the shortest cycles; and the work is bounded, for in a history that is wrong throughout the
//! smallest cycle of all is worth less than an answer.

use std::collections::{HashMap, VecDeque};

use super::super::operation::Operation;
use super::anomaly::{Class, Cycle, CycleEdge, Dependency};
use super::graph::{Edge, Graph};
use super::scc::components;
use super::{ListOperation, Step};
use Dependency::{ReadWrite, RealTime, WriteRead, WriteWrite};

/// How many knots are reported.
const MAX_CYCLES: usize = 10;

/// How many edges the search for one kind of cycle in one knot looks at.
const MAX_EDGES_LOOKED_AT: usize = 2_000_000;

/// How many elements of a list a report shows, from its end.
const SHOWN_ELEMENTS: usize = 6;

/// A kind of cycle, as the search takes it.
struct Kind {
    class: Class,
    pivot: Dependency,
    rest: &'static [Dependency],
}

/// From the worst to the subtlest; a `GSingle` or `G2` may turn out to be a `LostUpdate`.
const KINDS: [Kind; 4] = [
    Kind { class: Class::G0, pivot: WriteWrite, rest: &[WriteWrite] },
    Kind { class: Class::G1c, pivot: WriteRead, rest: &[WriteWrite, WriteRead] },
    Kind { class: Class::GSingle, pivot: ReadWrite, rest: &[WriteWrite, WriteRead] },
    Kind { class: Class::G2, pivot: ReadWrite, rest: &[WriteWrite, WriteRead, ReadWrite] },
];

/// Finds cycles: at most one in each knot of the graph, and none that needs real time where there is
/// one that does not.
pub(super) fn cycles(history: &[ListOperation], graph: &Graph) -> Vec<Cycle> {
    let knots = components(graph, 0..graph.nodes(), |_| true);
    knots
        .iter()
        .take(MAX_CYCLES)
        .filter_map(|knot| {
            [false, true].into_iter().find_map(|real_time| {
                KINDS.iter().find_map(|kind| Search::new(graph, kind, real_time).run(history, knot))
            })
        })
        .collect()
}

struct Search<'a> {
    graph: &'a Graph,
    kind: &'a Kind,
    real_time: bool,
    looked_at: usize,
}

impl<'a> Search<'a> {
    fn new(graph: &'a Graph, kind: &'a Kind, real_time: bool) -> Search<'a> {
        Search { graph, kind, real_time, looked_at: 0 }
    }

    /// The smallest cycle of the kind in the knot, as far as the search goes.
    fn run(mut self, history: &[ListOperation], knot: &[usize]) -> Option<Cycle> {
        let allowed =
            |edge: &Edge| edge.dependency == Some(self.kind.pivot) || self.may_be_in_rest(edge);
        let mut knot_of: HashMap<usize, usize> = HashMap::new();
        for (name, part) in components(self.graph, knot.iter().copied(), allowed).iter().enumerate()
        {
            knot_of.extend(part.iter().map(|&node| (node, name)));
        }
        let mut smallest: Option<Vec<usize>> = None;
        for pivot in self.pivots(history, knot, &knot_of) {
            let bound = smallest.as_ref().map_or(usize::MAX, |cycle| self.length(cycle));
            if bound <= 2 || self.looked_at > MAX_EDGES_LOOKED_AT {
                break;
            }
            if let Some(cycle) = self.close(pivot, &knot_of)
                && self.length(&cycle) < bound
            {
                smallest = Some(cycle);
            }
        }
        smallest.map(|cycle| self.report(history, &cycle))
    }

    fn may_be_in_rest(&self, edge: &Edge) -> bool {
        edge.dependency.is_none_or(|dependency| {
            self.kind.rest.contains(&dependency) || self.real_time && dependency == RealTime
        })
    }

    /// The pivot edges that may lie on a cycle, those that go back in time the furthest first.
    fn pivots(
        &self,
        history: &[ListOperation],
        knot: &[usize],
        knot_of: &HashMap<usize, usize>,
    ) -> Vec<usize> {
        let mut pivots: Vec<usize> = knot
            .iter()
            .flat_map(|&node| self.graph.out(node))
            .filter(|&edge| {
                let edge = &self.graph.edges[edge];
                let known = knot_of.get(&edge.from);
                edge.dependency == Some(self.kind.pivot)
                    && known.is_some()
                    && known == knot_of.get(&edge.to)
            })
            .collect();
        pivots.sort_by_cached_key(|&edge| {
            let edge = &self.graph.edges[edge];
            i128::from(self.graph.ended(edge.to)) - i128::from(history[edge.from].invoked)
        });
        pivots
    }

    /// The shortest cycle of the pivot and edges of the rest, counted without free edges.
    fn close(&mut self, pivot: usize, knot_of: &HashMap<usize, usize>) -> Option<Vec<usize>> {
        let Edge { from: goal, to: start, .. } = self.graph.edges[pivot];
        let part = knot_of.get(&start)?;
        // Breadth first; a free edge puts its end in front, for it is as near as its beginning.
        let mut came_by: HashMap<usize, Option<usize>> = HashMap::from([(start, None)]);
        let mut distance: HashMap<usize, usize> = HashMap::from([(start, 0)]);
        let mut queue = VecDeque::from([(start, 0)]);
        while let Some((node, so_far)) = queue.pop_front() {
            if node == goal {
                return Some(trace(self.graph, pivot, goal, &came_by));
            }
            if distance[&node] < so_far {
                continue;
            }
            for index in self.graph.out(node) {
                self.looked_at += 1;
                let edge = &self.graph.edges[index];
                if knot_of.get(&edge.to) != Some(part) || !self.may_be_in_rest(edge) {
                    continue;
                }
                let cost = usize::from(edge.dependency.is_some());
                let known = distance.entry(edge.to).or_insert(usize::MAX);
                if so_far + cost < *known {
                    *known = so_far + cost;
                    came_by.insert(edge.to, Some(index));
                    match cost {
                        0 => queue.push_front((edge.to, so_far)),
                        _ => queue.push_back((edge.to, so_far + 1)),
                    }
                }
            }
        }
        None
    }

    /// How many edges of a cycle count.
    fn length(&self, cycle: &[usize]) -> usize {
        cycle.iter().filter(|&&edge| self.graph.edges[edge].dependency.is_some()).count()
    }

    fn report(&self, history: &[ListOperation], cycle: &[usize]) -> Cycle {
        let mut links: Vec<CycleEdge> = Vec::new();
        for &index in cycle {
            let edge = &self.graph.edges[index];
            match (edge.dependency, links.last_mut()) {
                (Some(dependency), _) => links.push(CycleEdge {
                    from: edge.from,
                    to: edge.to,
                    dependency,
                    key: (dependency != RealTime).then_some(edge.key),
                    element: edge.element,
                }),
                // A free edge goes on with the one before, up to an operation.
                (None, Some(link)) => link.to = edge.to,
                (None, None) => {}
            }
        }
        let class = match self.kind.class {
            Class::GSingle | Class::G2 if is_lost_update(&links) => Class::LostUpdate,
            class => class,
        };
        let real_time = links.iter().any(|link| link.dependency == RealTime);
        let operations = links.iter().map(|link| describe(history, link.from)).collect();
        Cycle { class, real_time, links, operations }
    }
}

/// The edges of a cycle, from the pivot on.
fn trace(
    graph: &Graph,
    pivot: usize,
    goal: usize,
    came_by: &HashMap<usize, Option<usize>>,
) -> Vec<usize> {
    let mut cycle = Vec::new();
    let mut node = goal;
    while let Some(&Some(edge)) = came_by.get(&node) {
        cycle.push(edge);
        node = graph.edges[edge].from;
    }
    cycle.push(pivot);
    cycle.reverse();
    cycle
}

/// Two transactions, of which one appended to a list without having read what the other appended:
/// the second in order if that is known, else whichever it is, for both missed the other.
fn is_lost_update(links: &[CycleEdge]) -> bool {
    match links {
        [a, b] => {
            a.dependency == ReadWrite
                && matches!(b.dependency, WriteWrite | ReadWrite)
                && a.key == b.key
        }
        _ => false,
    }
}

/// An operation in one line.
fn describe(history: &[ListOperation], index: usize) -> String {
    let operation = &history[index];
    let mut answers = operation.response().into_iter().flatten();
    let steps: Vec<String> = operation
        .request
        .iter()
        .map(|step| match *step {
            Step::Append { key, element } => format!("append {element} to {key}"),
            Step::Read { key } => match answers.next() {
                Some(list) => {
                    let hidden = list.len().saturating_sub(SHOWN_ELEMENTS);
                    let dots = if hidden > 0 { "..." } else { "" };
                    format!("read {key} = {dots}{:?}", &list[hidden..])
                }
                None => format!("read {key}"),
            },
        })
        .collect();
    let end = match operation.ended() {
        u64::MAX => "unknown".to_string(),
        ended => ended.to_string(),
    };
    let Operation { process, invoked, .. } = operation;
    format!("T{index} of client {process}, {invoked} to {end}: {}", steps.join(", "))
}
