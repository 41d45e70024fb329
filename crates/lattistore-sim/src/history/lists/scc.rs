//! Strongly connected components: every cycle of a graph lies in one of them.
//!
//! Source: Tarjan, "Depth-first search and linear graph algorithms", 1972. It uses an explicit
//! stack, because the graphs are far deeper than a thread's stack.

use super::graph::{Edge, Graph};

/// The number of a node that is not visited.
const NEW: usize = usize::MAX;

/// Returns the components with more than one node, in the part of the graph that has only `nodes`
/// and the edges that `allowed` accepts.
pub(super) fn strongly_connected(
    graph: &Graph,
    nodes: impl Iterator<Item = usize>,
    allowed: impl Fn(&Edge) -> bool,
) -> Vec<Vec<usize>> {
    let mut tarjan = Tarjan {
        graph,
        allowed,
        number: vec![NEW; graph.nodes()],
        low: vec![NEW; graph.nodes()],
        on_stack: vec![false; graph.nodes()],
        count: 0,
        stack: Vec::new(),
        found: Vec::new(),
    };
    for node in nodes {
        if tarjan.number[node] == NEW {
            tarjan.visit(node);
        }
    }
    tarjan.found
}

struct Tarjan<'a, F> {
    graph: &'a Graph,
    allowed: F,
    /// The numbers of nodes in the order of the first visit.
    number: Vec<usize>,
    /// The lowest number that a node is known to reach within its component.
    low: Vec<usize>,
    on_stack: Vec<bool>,
    count: usize,
    /// The visited nodes whose component is not complete.
    stack: Vec<usize>,
    found: Vec<Vec<usize>>,
}

impl<F: Fn(&Edge) -> bool> Tarjan<'_, F> {
    fn visit(&mut self, root: usize) {
        let mut path = vec![(root, self.enter(root))];
        while let Some((node, mut out)) = path.pop() {
            let Some(edge) = out.next() else {
                self.leave(node);
                if let Some(&(parent, _)) = path.last() {
                    self.low[parent] = self.low[parent].min(self.low[node]);
                }
                continue;
            };
            path.push((node, out));
            let edge = &self.graph.edges[edge];
            if !(self.allowed)(edge) {
                continue;
            }
            if self.number[edge.to] == NEW {
                let out = self.enter(edge.to);
                path.push((edge.to, out));
            } else if self.on_stack[edge.to] {
                self.low[node] = self.low[node].min(self.number[edge.to]);
            }
        }
    }

    fn enter(&mut self, node: usize) -> std::ops::Range<usize> {
        self.number[node] = self.count;
        self.low[node] = self.count;
        self.count += 1;
        self.stack.push(node);
        self.on_stack[node] = true;
        self.graph.out(node)
    }

    fn leave(&mut self, node: usize) {
        if self.low[node] != self.number[node] {
            return;
        }
        let mut component = Vec::new();
        while let Some(member) = self.stack.pop() {
            self.on_stack[member] = false;
            component.push(member);
            if member == node {
                break;
            }
        }
        if component.len() > 1 {
            self.found.push(component);
        }
    }
}
