//! Registers as a model, so that [`positions`](super::super::positions) can replay the histories of
//! this judge.

use std::collections::HashMap;

use super::super::operation::{Model, Ran};
use super::{Action, Request};

/// Registers by key; an absent register has no entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisterModel {
    values: HashMap<u64, u64>,
}

impl Model for RegisterModel {
    type Request = Request;
    type Response = Option<u64>;

    fn run(&mut self, request: &Request) -> Ran<Option<u64>> {
        let found = self.values.get(&request.key).copied();
        let put = match request.action {
            Action::Read => None,
            Action::Write(new) => Some(new),
            Action::CompareAndSet { expected, new } => (found == expected).then_some(new),
        };
        match put {
            Some(Some(new)) => self.values.insert(request.key, new),
            Some(None) => self.values.remove(&request.key),
            None => None,
        };
        let answers = !matches!(request.action, Action::Write(_));
        Ran { response: found.filter(|_| answers), wrote: put.is_some() }
    }

    fn may_explain(&self, unknown: &Request, observer: &Request, _: &Option<u64>) -> bool {
        unknown.key == observer.key
    }
}
