//! Who may speak, with server processes: a cluster that asks for everything, and those who do not have
//! it. What goes over single connections is tested beside the transport (`src/transport/serving/tests`).
//!
//! | file | what |
//! | --- | --- |
//! | `fort.rs` | a cluster with TLS, a cluster key and tokens |
//! | `whole.rs` | it serves, through failures, who may ask |
//! | `strangers.rs` | who has another key, or none, while a cluster forms and after |
//! | `clients.rs` | tokens and what they allow, as users of the client program see it |
//! | `flood.rs` | handshakes that come to nothing, by the hundred |
//! | `reread.rs` | files that change under a running cluster |
//! | `ends.rs` | certificates that end while the nodes run |
//! | `rotation.rs` | another authority and another key, by restarting one node after the other |
//! | `startup.rs` | options and files that are wrong |

#![allow(clippy::unwrap_used)]

#[path = "../support/authority.rs"]
mod authority;
mod clients;
mod ends;
#[path = "../fleet/mod.rs"]
mod fleet;
mod flood;
mod fort;
#[path = "../reference/mod.rs"]
mod reference;
mod reread;
mod rotation;
mod startup;
mod strangers;
#[path = "../support/mod.rs"]
mod support;
mod whole;

use lattistore::security::TlsFiles;
