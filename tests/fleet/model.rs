//! The model of the store for the replay by position: a map, and the interpreter of `reference`.
//!
//! The interpreter is written from the documentation of the language and shares no code with the
//! store, so a fault of the store's interpreter is an anomaly too.

use std::collections::BTreeMap;
use std::sync::Arc;

use lattistore_sim::history::lists::Step;
use lattistore_sim::history::registers::Action;
use lattistore_sim::history::{Model, Ran};

use super::task::{ARCHIVE, Task, list_key, register_key};
use crate::reference::{self, Value};

/// Keys and values that were read, in the order of the keys. A run has millions of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entries(Box<[(Box<str>, Box<str>)]>);

impl Entries {
    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(entry, _)| *entry == key).map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }
}

impl FromIterator<(String, String)> for Entries {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(entries: I) -> Entries {
        let sorted: BTreeMap<String, String> = entries.into_iter().collect();
        Entries(sorted.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// The answer to a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The entries that it read, with their values before the transaction.
    pub(crate) read: Entries,
    /// What the program returned.
    pub(crate) returned: Option<Value>,
}

impl Reply {
    /// Returns the text that the program returned; an empty one for any other value.
    pub(crate) fn text(&self) -> &str {
        match &self.returned {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }
}

/// Keys and values. Clones of the model differ little and share them.
type Keys = Arc<BTreeMap<String, String>>;

/// The store, divided into areas, so that a transaction copies only the area that it uses.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreModel {
    areas: BTreeMap<String, Keys>,
    /// The archives of the chains, by page. They are read only at the end.
    archives: BTreeMap<String, Keys>,
}

impl StoreModel {
    /// Returns the entries that the transaction may read.
    fn before(&self, task: &Task) -> Keys {
        let area = self.areas.get(&task.area()).cloned().unwrap_or_default();
        match *task {
            Task::ReadChain { chain, page } => {
                let page = self.archives.get(&chain.page(page)).cloned().unwrap_or_default();
                Arc::new(
                    area.iter().chain(page.iter()).map(|(k, v)| (k.clone(), v.clone())).collect(),
                )
            }
            _ => area,
        }
    }

    /// Stores the entries that a transaction left in its area.
    fn put(&mut self, task: &Task, mut after: BTreeMap<String, String>) {
        for (key, value) in
            after.extract_if(ARCHIVE.to_owned().., |key, _| key.starts_with(ARCHIVE))
        {
            let page = key.rfind('/').map_or(key.len(), |slash| slash + 1);
            let page = self.archives.entry(key[..page].to_owned()).or_default();
            Arc::make_mut(page).insert(key, value);
        }
        self.areas.insert(task.area(), Arc::new(after));
    }
}

impl Model for StoreModel {
    type Request = Task;
    type Response = Reply;

    fn run(&mut self, task: &Task) -> Ran<Reply> {
        let (program, params) = task.program();
        let params: BTreeMap<String, Value> = params.into_iter().collect();
        let before = self.before(task);
        let outcome = reference::execute(&program, &params, &before)
            .unwrap_or_else(|wrong| panic!("{program} is not a program: {wrong:?}"));
        let wrote = outcome.after != *before;
        if wrote {
            self.put(task, outcome.after);
        }
        let read = outcome.read.into_iter().collect();
        Ran { response: Reply { read, returned: outcome.returned }, wrote }
    }

    /// Unknown transactions on lists and chains are placed before the replay; they explain an
    /// answer only if it shows their element or token. A value of a register is explained by the
    /// only transaction that writes this value.
    fn may_explain(&self, unknown: &Task, observer: &Task, reply: &Reply) -> bool {
        match (unknown, observer) {
            (Task::Register(unknown), Task::Register(observer)) => {
                let (Action::Write(new) | Action::CompareAndSet { new, .. }) = unknown.action
                else {
                    return false;
                };
                let found = reply.read.get(&register_key(observer.key));
                unknown.key == observer.key && new.map(|new| new.to_string()).as_deref() == found
            }
            (Task::Lists(unknown), Task::Lists(_)) => unknown.iter().any(|step| match *step {
                Step::Append { key, element } => {
                    let found = reply.read.get(&list_key(key)).unwrap_or_default();
                    let element = element.to_string();
                    found.split_terminator(',').any(|found| found == element)
                }
                Step::Read { .. } => false,
            }),
            _ => {
                let chain = unknown.chain().filter(|chain| observer.chain() == Some(*chain));
                let seen = chain.and_then(|chain| chain.seen(reply)).unwrap_or_default();
                seen.tokens.iter().any(|(_, token)| Some(*token) == unknown.token())
            }
        }
    }
}
