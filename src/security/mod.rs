//! Who may speak: what a node or a client shows to be let in, and how the other side checks it.
//!
//! | file | is |
//! | --- | --- |
//! | `token` | the secret of a client, as the client has it |
//! | `tls` | certificates, and whom to trust |
//! | `tokens` | the clients that a node knows, and what each may do |
//! | `cluster_key`, `nonce` | the secret that the nodes of a cluster share, and what they prove with it |
//! | `files`, `keeper` | a node's files and what of them is in use, so that they can be read again |
//! | `file` | reading secrets, with a bound, and with a warning where others can read them too |
//! | `error` | what can be wrong with the files |
//!
//! Pure but for reading files: who asks whom for what, and when, is the transport's matter
//! (`docs/security.md` has the whole).

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
