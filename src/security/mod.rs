//! Authentication: the credentials of nodes and clients, and how the other side checks them.
//!
//! | connection | the side that connects shows | the side that accepts shows |
//! | --- | --- | --- |
//! | between nodes, with TLS | a certificate that names its own address | the same |
//! | between nodes, with a cluster key | a proof that it knows the key | the same |
//! | from a client, with TLS | nothing in TLS | a certificate that names its own address |
//! | from a client, with tokens | its token | nothing more |
//!
//! All of these are optional and independent of each other. A certificate says which machine the
//! other side is; the cluster key says that it is a node of this cluster, and covers the content of
//! the greeting (`cluster_key.rs`); a token says which client it is and which rights it has.
//!
//! Secrets are treated in the same way everywhere: no error and no `Debug` text contains one, the
//! time of a comparison does not depend on the bytes that match, and a file with a secret that
//! other users can read causes a warning in the log.
//!
//! The module reads files, and does nothing else with the outside. The transport decides on which
//! connection and at which step a credential is required. `docs/security.md` explains the whole,
//! including what it does not protect from.
//!
//! | file | content |
//! | --- | --- |
//! | `token.rs` | the token of a client, as the client has it |
//! | `tls.rs` | certificates and trusted authorities |
//! | `tokens.rs` | the clients that a node knows, and their rights |
//! | `cluster_key.rs`, `nonce.rs` | the secret that the nodes share, and their proofs |
//! | `files.rs`, `keeper.rs` | a node's files, and how they are read again after a change |
//! | `file.rs` | reading secrets from files of bounded size |
//! | `time.rs` | the clock for certificates |
//! | `error.rs` | errors of the files |

#[cfg(feature = "server")]
mod cluster_key;
mod error;
mod file;
#[cfg(feature = "server")]
mod files;
#[cfg(feature = "server")]
mod keeper;
mod nonce;
mod time;
mod tls;
mod token;
#[cfg(feature = "server")]
mod tokens;

pub use error::SecurityError;
pub use nonce::{NONCE_BYTES, Nonce};
pub use time::wall_clock;
pub use tls::{Channel, ClientTls, NodeTls, TlsFiles, Validity, names_address};
pub use token::Token;

#[cfg(feature = "server")]
pub use self::{
    cluster_key::{Claim, ClusterKey, Meeting, PROOF_BYTES, Party, Proof, generate_key},
    files::{Files, Security},
    keeper::{Keeper, Loaded, Part},
    tokens::{Rights, Tokens},
};
