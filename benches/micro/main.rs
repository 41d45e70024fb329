//! What the parts of a node cost by themselves: no thread, no network, and no disk but for the
//! journal.
//!
//! `cargo bench` runs all of it in some ten seconds, `cargo bench -- merge` what has "merge" in its
//! name. What the figures say of the whole is in docs/performance.md.
//!
//! | file | is |
//! | --- | --- |
//! | `data` | keys, values and patches |
//! | `language` | programs compiled |
//! | `store` | transactions run, as the leader does it |
//! | `merge` | patches applied to a replica |
//! | `wire` | messages between nodes, encoded and decoded |
//! | `journal` | rounds written to the disk and synced |

mod data;
mod journal;
mod language;
mod merge;
mod store;
mod wire;

fn main() {
    divan::main();
}
