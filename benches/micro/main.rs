//! Micro-benchmarks of the parts of a node: without threads, network and, except in `journal`,
//! disk.
//!
//! `cargo bench` runs all of them in about ten seconds; `cargo bench -- merge` runs those with
//! "merge" in their name. docs/performance.md says what the figures mean for a whole node.
//!
//! | file | what it measures |
//! | --- | --- |
//! | `data` | (the keys, values and patches for the others) |
//! | `language` | compiling programs |
//! | `store` | running transactions, as the leader does |
//! | `merge` | applying patches to a replica |
//! | `wire` | encoding and decoding messages between nodes |
//! | `journal` | writing rounds to the disk, with fsync |

mod data;
mod journal;
mod language;
mod merge;
mod store;
mod wire;

fn main() {
    divan::main();
}
