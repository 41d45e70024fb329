//! The black-box judge of list-append histories, in the style of Elle.
//!
//! Source: Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental
//! Observations", VLDB 2020; the anomalies' names (G0, G1a, ...) are those of Adya, "Weak
//! Consistency", MIT 1999.
//!
//! Transactions append unique elements to lists and read whole lists. A list shows its own history:
//! every read tells all appends before it and their order. So the judge knows, without searching,
//! who wrote what a transaction read (wr), which append came next (ww), and which append a read did
//! not see yet (rw). Together with real time (`earlier` ended before `later` began) these are edges
//! that every serial order must follow: the history is strictly serializable only if they have no
//! cycle. All of it takes nearly linear time.
//!
//! Operations with an unknown outcome take part only if one of their elements was read, and nothing
//! has to come after them but what saw them.
//!
//! Left out: predicates (`scan`), and writes other than appends.

mod anomaly;
mod classify;
mod graph;
mod model;
mod place;
mod scc;
mod versions;

pub use anomaly::{Anomaly, Class, Cycle, CycleEdge, Dependency};
pub use model::ListModel;
pub use place::place_unknown;

use super::operation::Operation;
use graph::Graph;
use versions::Versions;

/// One step of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Appends `element`, which no other append to `key` in the whole history may have.
    Append {
        /// The list.
        key: u64,
        /// Unique among all that is ever appended to the list.
        element: u64,
    },
    /// Reads the whole list as it is at this step, with what the transaction itself appended so far.
    Read {
        /// The list.
        key: u64,
    },
}

/// A transaction on lists. Its answer holds one list for each [`Step::Read`], in order.
pub type ListOperation = Operation<Vec<Step>, Vec<Vec<u64>>>;

/// Judges a list-append history by requests and answers alone. All lists are empty at first.
///
/// The result is empty for a strictly serializable history. After one anomaly others may be mere
/// consequences; those in what was read come first, then cycles, at most one for each knot of
/// transactions that depend on each other.
pub fn check_lists(history: &[ListOperation]) -> Vec<Anomaly> {
    let (versions, mut anomalies) = Versions::infer(history);
    let graph = Graph::build(history, &versions);
    anomalies.extend(classify::cycles(history, &graph).into_iter().map(Anomaly::Cycle));
    anomalies
}
