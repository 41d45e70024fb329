//! The links between simulated nodes, and the shapes in which they are cut.

use super::coverage::{Coverage, Path};
use super::random::Random;

/// The links that work. Nodes are counted from 0.
#[derive(Debug)]
pub(super) struct Links {
    nodes: usize,
    cut: Vec<bool>,
}

impl Links {
    /// Returns links that all work.
    pub(super) fn new(nodes: usize) -> Links {
        Links { nodes, cut: vec![false; nodes * nodes] }
    }

    /// Whether the link from one node to the other works.
    pub(super) fn work(&self, from: usize, to: usize) -> bool {
        !self.cut[from * self.nodes + to]
    }

    /// Makes all links work again.
    pub(super) fn heal(&mut self) {
        self.cut.fill(false);
    }

    fn cut(&mut self, from: usize, to: usize) {
        self.cut[from * self.nodes + to] = true;
    }

    fn cut_unless(&mut self, connected: impl Fn(usize, usize) -> bool) {
        self.heal();
        for from in 0..self.nodes {
            for to in (0..self.nodes).filter(|to| *to != from) {
                if !connected(from, to) {
                    self.cut(from, to);
                }
            }
        }
    }

    /// Cuts off some nodes from all others and from each other; all other links work.
    pub(super) fn isolate(&mut self, away: &[usize]) {
        self.cut_unless(|from, to| !away.contains(&from) && !away.contains(&to));
    }

    /// Cuts all links between these nodes and the others.
    pub(super) fn split(&mut self, side: &[usize]) {
        self.cut_unless(|from, to| side.contains(&from) == side.contains(&to));
    }

    /// Connects every node only to the hub.
    pub(super) fn star(&mut self, hub: usize) {
        self.cut_unless(|from, to| from == hub || to == hub);
    }

    /// Cuts links in a random shape, and returns which. `leader` is a node that leads, if one does.
    pub(super) fn partition(
        &mut self,
        leader: Option<usize>,
        random: &mut Random,
        coverage: &mut Coverage,
    ) -> Path {
        let nodes = self.nodes;
        let order = shuffled(nodes, random);
        let place = |node: usize| order.iter().position(|other| *other == node).unwrap_or(0);
        let hub = order[0];
        let shape = random.between(0, 7);
        let path = match (shape, leader) {
            (0, _) => {
                let size = random.count(1, nodes.max(2) - 1);
                self.cut_unless(|from, to| (place(from) < size) == (place(to) < size));
                Path::Halves
            }
            (1, _) => {
                for _ in 0..random.count(1, nodes) {
                    let (from, to) = (*random.pick(&order), *random.pick(&order));
                    self.cut(from, to);
                }
                Path::OneWay
            }
            (2, _) => {
                let near = |a: usize, b: usize| (place(a) + 1) % nodes == place(b);
                self.cut_unless(|from, to| near(from, to) || near(to, from));
                Path::Ring
            }
            (3, _) => {
                let side = |node: usize| place(node) % 2;
                self.cut_unless(|from, to| from == hub || to == hub || side(from) == side(to));
                Path::Bridge
            }
            (4, Some(leader)) => {
                self.isolate(&[leader]);
                Path::LeaderIsolated
            }
            (5, Some(leader)) if nodes > 2 => {
                // The leader is cut off, and the others hear only the hub.
                let hub = order.iter().copied().find(|node| *node != leader).unwrap_or(hub);
                self.cut_unless(|from, to| {
                    from != leader && to != leader && (from == hub || to == hub)
                });
                Path::Constrained
            }
            (6, Some(leader)) if nodes > 2 => {
                let hub = order.iter().copied().find(|node| *node != leader).unwrap_or(hub);
                self.star(hub);
                Path::QuorumLoss
            }
            (7, _) => {
                let near = |a: usize, b: usize| place(a).abs_diff(place(b)) <= 1;
                self.cut_unless(near);
                Path::Chained
            }
            _ => {
                self.isolate(&[hub]);
                Path::Isolated
            }
        };
        coverage.reached(path);
        path
    }
}

fn shuffled(count: usize, random: &mut Random) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for place in (1..count).rev() {
        order.swap(place, random.count(0, place));
    }
    order
}
