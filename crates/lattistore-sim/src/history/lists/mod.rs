//! The judge of list-append histories, in the style of Elle.
//!
//! Source: Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental
//! Observations", VLDB 2020; the anomalies' names (G0, G1a, ...) are those of Adya, "Weak
//! Consistency", MIT 1999.
//!
//! Transactions append unique elements to lists and read whole lists. A list shows its own history:
//! every read shows all appends before it and their order. So the judge knows without a search
//! which transaction wrote what another one read (wr), which append follows another (ww), and which
//! append a read did not see (rw). Together with real time (`earlier` ended before `later` began)
//! these are edges that every serial order must follow: the history is strictly serializable only
//! if they have no cycle. The time is nearly linear in the size of the history.
//!
//! ```text
//! T1: append 5 to x; append 7 to y       T1 -wr-> T2: T2 read 5, which T1 appended
//! T2: read x = [5]; read y = []          T2 -rw-> T1: T2 did not see 7, which T1 appended
//!                                        a cycle with one rw: read skew
//! ```
//!
//! An operation with an unknown outcome takes part only if one of its elements was read, and only
//! the operations that saw it have to come after it.
//!
//! The judge does not cover predicates (`scan`), and writes other than appends.

mod anomaly;
mod classify;
mod graph;
mod model;
mod placement;
mod scc;
mod versions;

pub use anomaly::{Anomaly, Class, Cycle, CycleEdge, Dependency};
pub use model::ListModel;
pub use placement::place_unknown;

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
        /// The element, unique among all that is appended to the list.
        element: u64,
    },
    /// Reads the whole list as it is at this step, including what the transaction itself appended
    /// before.
    Read {
        /// The list.
        key: u64,
    },
}

/// A transaction on lists. Its answer contains one list for each [`Step::Read`], in order.
pub type ListOperation = Operation<Vec<Step>, Vec<Vec<u64>>>;

/// Judges a list-append history by requests and answers alone. All lists are empty at first.
///
/// The result is empty for a strictly serializable history. Some anomalies may be consequences of
/// others. Those of the reads come first, then cycles, at most one for each strongly connected
/// component of transactions.
pub fn check_lists(history: &[ListOperation]) -> Vec<Anomaly> {
    let (versions, mut anomalies) = Versions::infer(history);
    let graph = Graph::build(history, &versions);
    anomalies.extend(classify::cycles(history, &graph).into_iter().map(Anomaly::Cycle));
    anomalies
}
