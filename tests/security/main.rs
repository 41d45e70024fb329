//! Authentication and authorization, with server processes: a cluster that requires TLS, a cluster
//! key and tokens, and nodes and clients that do not have them. The handshake on a single
//! connection is tested next to the transport (`src/transport/serving/tests`).
//!
//! | file | what |
//! | --- | --- |
//! | `secure_cluster.rs` | a cluster with TLS, a cluster key and tokens, for the others |
//! | `serving.rs` | it serves authorized clients, also while nodes fail, and rejects the others |
//! | `unauthorized.rs` | nodes with another cluster key, or none, while a cluster forms and after |
//! | `clients.rs` | tokens and what they allow, as a user of the client program sees it |
//! | `flood.rs` | hundreds of handshakes that fail |
//! | `joining.rs` | a node that is added to the cluster |
//! | `reload.rs` | files that change while the cluster runs |
//! | `expiry.rs` | certificates that expire while the nodes run |
//! | `rotation.rs` | another authority and another key, by restarting one node after another |
//! | `startup.rs` | wrong options and files |

#![allow(clippy::unwrap_used)]

#[path = "../support/authority.rs"]
mod authority;
mod clients;
mod expiry;
#[path = "../fleet/mod.rs"]
mod fleet;
mod flood;
mod joining;
#[path = "../reference/mod.rs"]
mod reference;
mod reload;
mod rotation;
mod secure_cluster;
mod serving;
mod startup;
#[path = "../support/mod.rs"]
mod support;
mod unauthorized;

use lattistore::security::TlsFiles;
