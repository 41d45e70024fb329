//! The store as the judge by position replays it: the tests' own interpreter of the language on a map.

use std::collections::BTreeMap;
use std::sync::Arc;

use lattistore::history::{Model, Ran};

use super::task::Task;
use crate::reference::{self, Value};

/// What a transaction answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// What was read, as it was before the transaction.
    pub(crate) read: BTreeMap<String, String>,
    /// What the program returned.
    pub(crate) returned: Option<Value>,
}

impl Reply {
    /// What the program returned, as text.
    pub(crate) fn text(&self) -> &str {
        match &self.returned {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }
}

/// The store: by area, so that a transaction copies no more than its own, shared between clones.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreModel {
    areas: BTreeMap<String, Arc<BTreeMap<String, String>>>,
}

impl Model for StoreModel {
    type Request = Task;
    type Response = Reply;

    fn run(&mut self, task: &Task) -> Ran<Reply> {
        let (program, params) = task.program();
        let params: BTreeMap<String, Value> = params.into_iter().collect();
        let area = self.areas.entry(task.area()).or_default();
        let outcome = reference::execute(&program, &params, area)
            .unwrap_or_else(|wrong| panic!("{program} is no program: {wrong:?}"));
        let wrote = outcome.after != **area;
        *area = Arc::new(outcome.after);
        Ran { response: Reply { read: outcome.read, returned: outcome.returned }, wrote }
    }

    /// Lists are placed before the replay; of the others, those that share keys matter.
    fn may_explain(&self, unknown: &Task, observer: &Task, _: &Reply) -> bool {
        unknown.area() == observer.area()
    }
}
