//! The client library: a blocking [`Client`] that finds the leader, tries again until its deadline,
//! and runs nothing twice.
//!
//! ```no_run
//! use lattistore::Client;
//!
//! let client = Client::builder()
//!     .address("127.0.0.1:50051".parse()?)
//!     .address("127.0.0.2:50051".parse()?)
//!     .build();
//! client.put("greeting", "hello")?;
//! let program = "old = get $key; put $key old + $more; return len(old);";
//! let answer = client.execute(program, [("key", "greeting".into()), ("more", "!".into())])?;
//! assert_eq!(answer.values["greeting"], "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A client has no lasting threads. The threads that call it write their requests themselves, and one of
//! those that wait reads for all; see `demux` for why. All of them share one connection, to the
//! leader, and any number of requests may be on their way on it. Only to connect, where there are several
//! addresses, it starts threads, at most three at once, which end within a second; see `route`.
//!
//! | file | is |
//! | --- | --- |
//! | `credentials` | what a client shows to nodes: a token, TLS |
//! | `connection`, `demux` | requests and answers on one connection |
//! | `route`, `search` | which node to ask, and how to connect to it |
//! | `session` | numbers for transactions, so that a retry runs nothing twice |
//! | `call` | what an answer means for a call |
//! | `retry_loop` | the loop: send, receive, try again |
//! | `transaction` | a transaction on its way, and its result |
//! | `pending` | the handle of a transaction that was submitted |
//!
//! At most once: the client opens a session with its first transaction and numbers each; a retry
//! carries the same number, to whatever node. When the fate of a sending is unknown and the session
//! is gone, the answer is [`Error::MayHaveRun`], never a second run.

mod builder;
mod call;
mod connection;
mod credentials;
mod demux;
mod error;
mod pending;
mod programs;
mod retry_loop;
mod route;
mod search;
mod session;
mod transaction;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

pub use crate::numbers::{Ballot, NodeId, Position, Slot};
pub use crate::security::{ClientTls, SecurityError, Token};
pub use crate::values::{Text, Value};
pub use crate::wire::{
    Certainty, MemberStatus, NodeStatus, Notice, ProgramError, Reason, Redirect, Refusal, Severity,
    Shortage, Sizes, WireError,
};
pub use builder::Builder;
pub use error::{Cause, Error};
pub use pending::Pending;
pub use transaction::Answer;

use self::connection::Connection;
use self::retry_loop::RetryLoop;
use crate::wire::{ClientOutcome, RequestBody};
use call::{Call, What};

/// One connection to one node, for tests and measurements.
#[cfg(feature = "internals")]
pub mod internals {
    pub use super::connection::{Connection, PendingResponse};
    pub use super::credentials::Credentials;
}

/// A client of a cluster. It is cheap to clone, and clones may be used by many threads at once; they
/// share a connection and a session, which end with the last of them.
#[derive(Clone, Debug)]
pub struct Client(Arc<RetryLoop>);

impl Client {
    /// Begins to make a client.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Runs a program as one transaction. Parameters are the values of its `$name`s.
    ///
    /// # Errors
    /// [`Error`] says by its variant whether the transaction ran.
    pub fn execute<K: AsRef<str>>(
        &self,
        program: impl Into<String>,
        params: impl IntoIterator<Item = (K, Value)>,
    ) -> Result<Answer, Error> {
        self.submit(program, params).wait()
    }

    /// Sends a program and returns without waiting for the answer, so that one thread can have many
    /// on their way. It waits while there is no connection, or as many transactions are unanswered
    /// as the session allows.
    ///
    /// ```no_run
    /// # let client = lattistore::Client::builder().build();
    /// let pending: Vec<_> = (0..100)
    ///     .map(|i| client.submit("put $key $i;", [("key", format!("k{i}").as_str().into()), ("i", "v".into())]))
    ///     .collect();
    /// for one in pending {
    ///     one.wait()?;
    /// }
    /// # Ok::<(), lattistore::client::Error>(())
    /// ```
    pub fn submit<K: AsRef<str>>(
        &self,
        program: impl Into<String>,
        params: impl IntoIterator<Item = (K, Value)>,
    ) -> Pending {
        let (program, params) = (program.into(), params.into_iter().collect());
        self.begin(What::Transaction { program, params })
    }

    /// Runs a program that writes nothing. It is cheaper than [`execute`](Client::execute) for a
    /// client's first call, as it needs no session. A program that writes might run twice.
    ///
    /// # Errors
    /// As [`execute`](Client::execute); `DidNotRun` here means that there is no answer.
    pub fn read<K: AsRef<str>>(
        &self,
        program: impl Into<String>,
        params: impl IntoIterator<Item = (K, Value)>,
    ) -> Result<Answer, Error> {
        let (program, params) = (program.into(), params.into_iter().collect());
        self.begin(What::Read { program, params }).wait()
    }

    /// The value of a key, if it has one.
    ///
    /// # Errors
    /// As [`read`](Client::read).
    pub fn get(&self, key: &str) -> Result<Option<String>, Error> {
        let mut answer = self.read(programs::GET, [("key", key.into())])?;
        Ok(answer.values.remove(key))
    }

    /// Gives a key a value.
    ///
    /// # Errors
    /// As [`execute`](Client::execute).
    pub fn put(&self, key: &str, value: &str) -> Result<(), Error> {
        let params = [("key", key.into()), ("value", value.into())];
        self.execute(programs::PUT, params).map(drop)
    }

    /// Deletes a key, if it has a value.
    ///
    /// # Errors
    /// As [`execute`](Client::execute).
    pub fn delete(&self, key: &str) -> Result<(), Error> {
        self.execute(programs::DELETE, [("key", key.into())]).map(drop)
    }

    /// Compare and set: gives the key the value `new` (with `None`, deletes it) if its value is
    /// `expected` (with `None`, if it has none). Gives whether it was.
    ///
    /// ```no_run
    /// # let client = lattistore::Client::builder().build();
    /// if client.cas("lock", None, "me")? {
    ///     client.cas("lock", Some("me"), None)?;
    /// }
    /// # Ok::<(), lattistore::client::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`execute`](Client::execute).
    pub fn cas<'a>(
        &self,
        key: &str,
        expected: Option<&str>,
        new: impl Into<Option<&'a str>>,
    ) -> Result<bool, Error> {
        let new = new.into();
        let program = match (expected, new) {
            (Some(_), Some(_)) => programs::REPLACE,
            (None, Some(_)) => programs::CREATE,
            (Some(_), None) => programs::REMOVE,
            (None, None) => programs::ABSENT,
        };
        let mut params = vec![("key", Value::from(key))];
        params.extend(expected.map(|expected| ("expected", expected.into())));
        params.extend(new.map(|new| ("new", new.into())));
        let answer = self.execute(program, params)?;
        match answer.returned {
            Some(Value::Truth(matched)) => Ok(matched),
            _ => Err(Error::Ran { position: Some(answer.position), cause: Cause::AnswerNotKept }),
        }
    }

    /// How the node is that the client talks to: the leader, once a transaction was answered.
    ///
    /// # Errors
    /// When no node answers in time.
    pub fn status(&self) -> Result<NodeStatus, Error> {
        let mut call = Call::new(What::Status, Instant::now() + self.0.timeout);
        let deadline = call.deadline;
        match self.0.advance(&mut call, None, deadline) {
            Some(Ok(ClientOutcome::Status(status))) => {
                self.0.route.know(status.members.iter().map(|member| member.address));
                Ok(status)
            }
            Some(Err(error)) => Err(error),
            Some(Ok(_)) | None => Err(call.out_of_time(&self.0.route)),
        }
    }

    /// How the node at `address` is.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub fn status_of(&self, address: SocketAddr) -> Result<NodeStatus, Error> {
        let status = || {
            let credentials = self.0.route.credentials();
            let connection = Connection::connect_with(address, self.0.timeout, credentials)?;
            match connection.ask(RequestBody::Status, self.0.timeout)? {
                ClientOutcome::Status(status) => Ok(status),
                _ => Err(Cause::SenselessAnswer { node: address }),
            }
        };
        status().map_err(|cause| Error::DidNotRun { cause })
    }

    /// How all nodes are that the client knows of, its own addresses and the members that any of
    /// them names; in the order of addresses. They are asked at the same time, and a member as soon
    /// as a node has named it, so that one that does not answer hides no other.
    pub fn nodes(&self) -> Vec<(SocketAddr, Result<NodeStatus, Error>)> {
        let mut answers = BTreeMap::new();
        let mut asked = BTreeSet::new();
        thread::scope(|scope| {
            let (told, answered) = mpsc::channel();
            loop {
                for address in self.0.route.known() {
                    if asked.insert(address) {
                        let told = told.clone();
                        scope.spawn(move || {
                            // A panic is an answer, too: without one the receiver would wait for ever.
                            let ask = AssertUnwindSafe(|| self.status_of(address));
                            let _ = told.send((address, catch_unwind(ask)));
                        });
                    }
                }
                if answers.len() == asked.len() {
                    return;
                }
                // This thread has a sender, too.
                let Ok((address, status)) = answered.recv() else { return };
                let status = status.unwrap_or_else(|panic| resume_unwind(panic));
                if let Ok(status) = &status {
                    self.0.route.know(status.members.iter().map(|member| member.address));
                }
                answers.insert(address, status);
            }
        });
        answers.into_iter().collect()
    }

    fn begin(&self, what: What) -> Pending {
        Pending::begin(&self.0, Call::new(what, Instant::now() + self.0.timeout))
    }
}

/// The examples of the page compile.
#[cfg(doctest)]
#[doc = include_str!("../../docs/client.md")]
struct Page;

#[cfg(test)]
mod tests;
