//! Lists as a model, so that [`positions`](super::super::positions) can replay the histories of
//! this judge.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::operation::{Model, Ran};
use super::Step;

/// Lists by key; a list without an append has no entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListModel {
    /// Shared between clones, because there are many clones that differ little.
    lists: HashMap<u64, Arc<Vec<u64>>>,
}

impl Model for ListModel {
    type Request = Vec<Step>;
    type Response = Vec<Vec<u64>>;

    fn run(&mut self, request: &Vec<Step>) -> Ran<Vec<Vec<u64>>> {
        let mut response = Vec::new();
        let mut wrote = false;
        for step in request {
            match *step {
                Step::Append { key, element } => {
                    Arc::make_mut(self.lists.entry(key).or_default()).push(element);
                    wrote = true;
                }
                Step::Read { key } => {
                    response.push(self.lists.get(&key).map_or_else(Vec::new, |l| l.to_vec()));
                }
            }
        }
        Ran { response, wrote }
    }

    /// Elements are unique, so only a transaction that appended a returned element can explain it.
    fn may_explain(
        &self,
        unknown: &Vec<Step>,
        observer: &Vec<Step>,
        response: &Vec<Vec<u64>>,
    ) -> bool {
        reads(observer).zip(response).any(|(read, list)| {
            unknown.iter().any(|step| match *step {
                Step::Append { key, element } => key == read && list.contains(&element),
                Step::Read { .. } => false,
            })
        })
    }
}

/// Returns the lists that a transaction reads, in order.
fn reads(request: &[Step]) -> impl Iterator<Item = u64> {
    request.iter().filter_map(|step| match *step {
        Step::Read { key } => Some(key),
        Step::Append { .. } => None,
    })
}
