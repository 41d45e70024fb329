//! What clients ask (`proto/client.proto`).

use std::fmt;
use std::time::Duration;

use super::error::WireError;
use crate::limits::{DEFAULT_REQUEST_TIME, MAX_REQUEST_TIME};
use crate::numbers::SessionNumber;
use crate::values::Params;

/// A client's request.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientRequest {
    /// Names the answer on this connection; not zero.
    pub id: u64,
    /// How long the client will wait, in milliseconds; 0 for as long as the server thinks right.
    pub timeout_ms: u32,
    /// What it asks.
    pub body: RequestBody,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestBody {
    /// Run a transaction.
    Execute {
        /// The program's text.
        program: String,
        /// The values of its parameters.
        params: Params,
        /// Without it the transaction runs as often as it is sent.
        session: Option<SessionNumber>,
    },
    /// Open a session.
    OpenSession {
        /// How many of its transactions may be unanswered at once; at least 1.
        window: u32,
    },
    /// Ask the node how it is.
    Status,
}

/// A request that was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError {
    /// The request's id, where that much was understood: the answer carries it.
    pub id: Option<u64>,
    /// What is wrong.
    pub error: WireError,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for RequestError {}

impl ClientRequest {
    /// How long to try: what the client said, within the server's bounds.
    pub fn time(&self) -> Duration {
        match self.timeout_ms {
            0 => DEFAULT_REQUEST_TIME,
            ms => Duration::from_millis(ms.into()).min(MAX_REQUEST_TIME),
        }
    }
}
