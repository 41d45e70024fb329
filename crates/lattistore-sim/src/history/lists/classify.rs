//! Finds cycles in the graph: for each strongly connected component, the smallest cycle of the
//! worst class.
//!
//! A class of cycle is defined by one *pivot* edge and by the edges that the rest may have: a G1c
//! has a wr among ww and wr; a G-single closes its one rw with ww and wr. So the search takes the
//! pivots one by one and looks for the shortest path back. Pivots that go back furthest in time
//! come first, because they close the shortest cycles. The work is bounded: in a history that is
//! wrong everywhere, the smallest cycle of all is worth less than an answer.

use std::collections::{HashMap, VecDeque};

use super::super::operation::Operation;
use super::anomaly::{Class, Cycle, CycleEdge, Dependency};
use super::graph::{Edge, Graph};
use super::scc::strongly_connected;
use super::{ListOperation, Step};
use Dependency::{ReadWrite, RealTime, WriteRead, WriteWrite};

/// The most components that are reported.
const MAX_CYCLES: usize = 10;

/// The most edges that are examined in the search for one class of cycle in one component.
const MAX_EDGES_EXAMINED: usize = 2_000_000;

/// The most elements of a list that a report shows, from its end.
const MAX_SHOWN_ELEMENTS: usize = 6;

/// A class of cycle, and how the search finds it.
struct Kind {
    class: Class,
    pivot: Dependency,
    rest: &'static [Dependency],
}

/// The classes from the worst to the subtlest; a `GSingle` or `G2` may turn out to be a
/// `LostUpdate`.
const KINDS: [Kind; 4] = [
    Kind { class: Class::G0, pivot: WriteWrite, rest: &[WriteWrite] },
    Kind { class: Class::G1c, pivot: WriteRead, rest: &[WriteWrite, WriteRead] },
    Kind { class: Class::GSingle, pivot: ReadWrite, rest: &[WriteWrite, WriteRead] },
    Kind { class: Class::G2, pivot: ReadWrite, rest: &[WriteWrite, WriteRead, ReadWrite] },
];

/// Finds at most one cycle in each component of the graph; a cycle that needs real time is reported
/// only if there is none without it.
pub(super) fn cycles(history: &[ListOperation], graph: &Graph) -> Vec<Cycle> {
    let components = strongly_connected(graph, 0..graph.nodes(), |_| true);
    components
        .iter()
        .take(MAX_CYCLES)
        .filter_map(|component| {
            [false, true].into_iter().find_map(|real_time| {
                KINDS
                    .iter()
                    .find_map(|kind| Search::new(graph, kind, real_time).run(history, component))
            })
        })
        .collect()
}

struct Search<'a> {
    graph: &'a Graph,
    kind: &'a Kind,
    real_time: bool,
    edges_examined: usize,
}

impl<'a> Search<'a> {
    fn new(graph: &'a Graph, kind: &'a Kind, real_time: bool) -> Search<'a> {
        Search { graph, kind, real_time, edges_examined: 0 }
    }

    /// Returns the smallest cycle of the class in the component, as far as the search goes.
    fn run(mut self, history: &[ListOperation], component: &[usize]) -> Option<Cycle> {
        let allowed =
            |edge: &Edge| edge.dependency == Some(self.kind.pivot) || self.may_be_in_rest(edge);
        let mut component_of: HashMap<usize, usize> = HashMap::new();
        for (name, part) in
            strongly_connected(self.graph, component.iter().copied(), allowed).iter().enumerate()
        {
            component_of.extend(part.iter().map(|&node| (node, name)));
        }
        let mut smallest: Option<Vec<usize>> = None;
        for pivot in self.pivots(history, component, &component_of) {
            let bound = smallest.as_ref().map_or(usize::MAX, |cycle| self.length(cycle));
            if bound <= 2 || self.edges_examined > MAX_EDGES_EXAMINED {
                break;
            }
            if let Some(cycle) = self.close(pivot, &component_of)
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

    /// Returns the pivot edges that may lie on a cycle; those that go back furthest in time come
    /// first.
    fn pivots(
        &self,
        history: &[ListOperation],
        component: &[usize],
        component_of: &HashMap<usize, usize>,
    ) -> Vec<usize> {
        let mut pivots: Vec<usize> = component
            .iter()
            .flat_map(|&node| self.graph.out(node))
            .filter(|&edge| {
                let edge = &self.graph.edges[edge];
                let known = component_of.get(&edge.from);
                edge.dependency == Some(self.kind.pivot)
                    && known.is_some()
                    && known == component_of.get(&edge.to)
            })
            .collect();
        pivots.sort_by_cached_key(|&edge| {
            let edge = &self.graph.edges[edge];
            i128::from(self.graph.ended(edge.to)) - i128::from(history[edge.from].invoked)
        });
        pivots
    }

    /// Returns the shortest cycle of the pivot and edges of the rest; free edges do not count.
    fn close(&mut self, pivot: usize, component_of: &HashMap<usize, usize>) -> Option<Vec<usize>> {
        let Edge { from: goal, to: start, .. } = self.graph.edges[pivot];
        let part = component_of.get(&start)?;
        // Breadth first; the end of a free edge goes to the front of the queue, because it is as
        // near as its beginning.
        let mut reached_by: HashMap<usize, Option<usize>> = HashMap::from([(start, None)]);
        let mut distance: HashMap<usize, usize> = HashMap::from([(start, 0)]);
        let mut queue = VecDeque::from([(start, 0)]);
        while let Some((node, steps)) = queue.pop_front() {
            if node == goal {
                return Some(trace(self.graph, pivot, goal, &reached_by));
            }
            if distance[&node] < steps {
                continue;
            }
            for index in self.graph.out(node) {
                self.edges_examined += 1;
                let edge = &self.graph.edges[index];
                if component_of.get(&edge.to) != Some(part) || !self.may_be_in_rest(edge) {
                    continue;
                }
                let cost = usize::from(edge.dependency.is_some());
                let known = distance.entry(edge.to).or_insert(usize::MAX);
                if steps + cost < *known {
                    *known = steps + cost;
                    reached_by.insert(edge.to, Some(index));
                    match cost {
                        0 => queue.push_front((edge.to, steps)),
                        _ => queue.push_back((edge.to, steps + 1)),
                    }
                }
            }
        }
        None
    }

    /// Returns the number of edges of a cycle without free edges.
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
                // A free edge extends the edge before it, up to an operation.
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

/// Returns the edges of a cycle, from the pivot on.
fn trace(
    graph: &Graph,
    pivot: usize,
    goal: usize,
    reached_by: &HashMap<usize, Option<usize>>,
) -> Vec<usize> {
    let mut cycle = Vec::new();
    let mut node = goal;
    while let Some(&Some(edge)) = reached_by.get(&node) {
        cycle.push(edge);
        node = graph.edges[edge].from;
    }
    cycle.push(pivot);
    cycle.reverse();
    cycle
}

/// Whether the cycle is a lost update: two transactions, one of which appended to a list without
/// having read what the other appended. That is the second in order if the order is known, else
/// either of them, because both missed the other.
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

/// Describes an operation in one line.
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
                    let hidden = list.len().saturating_sub(MAX_SHOWN_ELEMENTS);
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
