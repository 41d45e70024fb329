//! The client library: a blocking [`Client`] that finds the leader, retries until its deadline, and
//! runs no transaction twice.
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
//! # From a call to its result
//!
//! 1. A call gets a deadline: the present time plus the client's timeout ([`Builder::timeout`]).
//! 2. A transaction that may write gets a number in the client's session. The first such
//!    transaction opens the session.
//! 3. The client uses its connection to the leader. If it has none, it searches: it tries the
//!    addresses that it knows, several at once, and learns the members from the nodes.
//! 4. It sends the request, and asks the node to answer shortly before the deadline, even if the
//!    transaction is not finished. The node can then say that it did not run, or may have run; a
//!    client without an answer cannot know.
//! 5. The answer, or its absence, decides what happens next:
//!
//! | what comes | what the call does |
//! | --- | --- |
//! | a result, or an error of the program | returns it |
//! | the request is not valid or permitted, or the cluster is out of space | returns the error |
//! | the change of the members is not possible | returns the error |
//! | no node waits to be added yet | pauses, asks the same node again |
//! | another node leads | connects to that node, and sends the request to it |
//! | the node lost the leadership, and knows no leader yet | pauses, asks the same node again |
//! | the node is busy, or did not run the request in time | pauses, asks the same node again |
//! | the node reaches no majority | pauses, asks another node |
//! | the node is stopping | asks another node |
//! | the connection is lost, or the node is silent ([`Builder::silence`]) | asks another node |
//! | the session has expired | opens another session, unless an earlier request may have run |
//! | the deadline passes | returns an error |
//!
//! Pauses double with each attempt ("backoff"), from 5 ms to 500 ms. After the first two redirects
//! or lost connections of a call there is no pause.
//!
//! A node that is slow is not silent: while a client waits, the node sends a keepalive every 250 ms
//! as long as it makes progress. So a slow disk does not make clients move to another node.
//!
//! # At most once
//!
//! A retry has the same session and number as the first attempt, whichever node it is sent to. The
//! cluster keeps the answers of a session, and returns the kept answer for a number that it has
//! seen, without running the transaction again. With each request the client states below which
//! number it has all answers (`answered_below`), so the cluster can forget these.
//!
//! # What "may have run" means
//!
//! An answer says what happened to the request that it answers, and nothing about earlier requests
//! for the same transaction. When a request remains without an answer, or the node answers that it
//! does not know whether the transaction will be chosen, the call becomes *undecided*. It remains
//! so until an answer says that the transaction ran; retries within the session usually get that
//! answer. If the deadline passes first, or the session has expired, the result is
//! [`Error::MayHaveRun`]: the transaction has run, or will still run, or will never run. The caller
//! has to read the store before it tries again. [`Error::DidNotRun`], in contrast, is certain.
//!
//! # Members
//!
//! The cluster may replace all its nodes while a client runs. The client asks its node for the
//! members when it connects, and every 2 s while it is used (`CLIENT_MEMBERS_PERIOD`). The answer
//! takes the place of the addresses that the client knew, except that the addresses it was started
//! with remain as a last resort (`addresses`). Nothing happens while no call runs: if all nodes are
//! replaced and switched off in such a time, the client no longer finds the cluster.
//!
//! [`Client::change_members`] changes the members. A change that is made already succeeds, so the
//! request needs no number in a session, and it is sent again until the deadline.
//!
//! # Threads
//!
//! A client has no thread of its own that lasts. The threads that call it write their requests
//! themselves, and one of those that wait reads the answers for all (`demux` says why). All of them
//! share one connection, with any number of requests in flight. A client starts threads only to
//! connect (`route`): at most three at once, and each ends within a second; and for
//! [`Client::nodes`]: one for each node, until it returns.
//!
//! It follows that nothing happens for a [`Pending`] while no thread waits for it.
//!
//! # What it leaves out
//!
//! It has no asynchronous interface and no cache. It sends reads to the leader, too, because only
//! the leader can run a strictly serializable read.
//!
//! | file | what it does |
//! | --- | --- |
//! | `builder` | the options of a client |
//! | `credentials` | what a client shows to nodes, and requires of them: a token, TLS |
//! | `connection`, `demux` | requests and answers on one connection |
//! | `addresses`, `route`, `search` | which nodes there are, which to ask, how to connect to it |
//! | `session` | numbers for transactions, so that a retry runs nothing twice |
//! | `call` | one call: its request, and what an answer means for it |
//! | `retry_loop` | the loop of a call: send, receive, retry; the state that the clones share |
//! | `transaction` | a transaction in flight, and its result |
//! | `pending` | the handle of a transaction that was submitted |
//! | `error` | the errors of a call, and their causes |
//! | `programs` | the programs of `get`, `put`, `delete` and `cas` |

mod addresses;
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
    Certainty, ListedMember, MemberList, MemberName, MemberRequest, MemberStatus,
    MembersUnchangedReason, NodeStatus, Notice, ProgramError, Reason, Redirect, Refusal, Severity,
    Shortage, Sizes, WaitingNode, WireError,
};
pub use builder::Builder;
pub use error::{Cause, Error};
pub use pending::Pending;
pub use transaction::Answer;

use self::connection::Connection;
use self::retry_loop::RetryLoop;
use crate::limits::MAX_CLIENT_ADDRESSES;
use crate::wire::{ClientOutcome, RequestBody};
use call::{Call, What};

/// A connection to one node, for tests and measurements.
#[cfg(feature = "internals")]
pub mod internals {
    pub use super::connection::{Connection, PendingResponse};
    pub use super::credentials::Credentials;
}

/// A client of a cluster. It is cheap to clone, and many threads may use the clones at once. Clones
/// share a connection and a session, which end with the last clone.
#[derive(Clone, Debug)]
pub struct Client(Arc<RetryLoop>);

impl Client {
    /// Returns a builder for a client.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Runs a program as one transaction. `params` are the values of its `$name` parameters.
    ///
    /// # Errors
    /// The variant of the [`Error`] says whether the transaction ran.
    pub fn execute<K: AsRef<str>>(
        &self,
        program: impl Into<String>,
        params: impl IntoIterator<Item = (K, Value)>,
    ) -> Result<Answer, Error> {
        self.submit(program, params).wait()
    }

    /// Sends a program and returns without waiting for the answer, so that one thread can have many
    /// transactions in flight. It blocks only while there is no connection, or while as many
    /// transactions are unanswered as [`Builder::window`] allows.
    ///
    /// ```no_run
    /// # let client = lattistore::Client::builder().build();
    /// let pending: Vec<_> = (0..100)
    ///     .map(|i| {
    ///         let key = format!("k{i}");
    ///         client.submit("put $key \"v\";", [("key", key.as_str().into())])
    ///     })
    ///     .collect();
    /// for transaction in pending {
    ///     transaction.wait()?;
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

    /// Runs a program that writes nothing. Such a program can be repeated without harm, so this
    /// needs no session, and as the first call of a client it is cheaper than
    /// [`execute`](Client::execute). A program that writes may run twice if it is passed here.
    ///
    /// # Errors
    /// As [`execute`](Client::execute); here, `DidNotRun` only means that there is no answer.
    pub fn read<K: AsRef<str>>(
        &self,
        program: impl Into<String>,
        params: impl IntoIterator<Item = (K, Value)>,
    ) -> Result<Answer, Error> {
        let (program, params) = (program.into(), params.into_iter().collect());
        self.begin(What::Read { program, params }).wait()
    }

    /// Returns the value of a key, or `None` if it has none.
    ///
    /// # Errors
    /// As [`read`](Client::read).
    pub fn get(&self, key: &str) -> Result<Option<String>, Error> {
        let mut answer = self.read(programs::GET, [("key", key.into())])?;
        Ok(answer.values.remove(key))
    }

    /// Sets the value of a key.
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

    /// Compare and set: if the value of the key is `expected`, sets it to `new`. Returns whether it
    /// was `expected`. `None` stands for a key without a value: as `expected`, the key must not
    /// exist; as `new`, it is deleted.
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
            // The transaction ran, but the node did not say what it returned.
            _ => Err(Error::Ran { position: Some(answer.position), cause: Cause::AnswerNotKept }),
        }
    }

    /// Returns the status of the node that the client is connected to. After a transaction this is
    /// the leader.
    ///
    /// # Errors
    /// If no node answers before the deadline.
    pub fn status(&self) -> Result<NodeStatus, Error> {
        self.ask(What::Status, |outcome| match outcome {
            ClientOutcome::Status(status) => Some(status),
            _ => None,
        })
    }

    /// Returns the status of the node at `address`.
    ///
    /// # Errors
    /// If it does not answer before the deadline.
    pub fn status_of(&self, address: SocketAddr) -> Result<NodeStatus, Error> {
        self.ask_node(address, RequestBody::Status, |outcome| match outcome {
            ClientOutcome::Status(status) => Some(status),
            _ => None,
        })
    }

    /// Returns the members of the cluster, as the node knows them that the client is connected to.
    /// After a transaction this is the leader, which has heard all others; another node may know an
    /// older list for a short time.
    ///
    /// # Errors
    /// If no node answers before the deadline.
    pub fn members(&self) -> Result<MemberList, Error> {
        let list = self.ask(What::Members, |outcome| match outcome {
            ClientOutcome::MemberList(list) => Some(list),
            _ => None,
        })?;
        self.0.route.take(&list);
        Ok(list)
    }

    /// Returns the members of the cluster, as the node at `address` knows them.
    ///
    /// # Errors
    /// If it does not answer before the deadline.
    pub fn members_of(&self, address: SocketAddr) -> Result<MemberList, Error> {
        self.ask_node(address, RequestBody::ListMembers, |outcome| match outcome {
            ClientOutcome::MemberList(list) => Some(list),
            _ => None,
        })
    }

    /// Changes the members of the cluster, and returns them after the change. A change that is made
    /// already succeeds.
    ///
    /// An added node is a learner at first: it receives all data, and its vote does not count. The
    /// leader makes it a voter once it has all data, also if this client is gone by then;
    /// [`members`](Client::members) tells how far it is. To withdraw the addition, remove the
    /// learner.
    ///
    /// ```no_run
    /// use lattistore::client::{MemberName, MemberRequest};
    ///
    /// # let client = lattistore::Client::builder().build();
    /// // Waits until the deadline for a node that was started there to join.
    /// client.change_members(MemberRequest::Add { address: "10.0.0.4".parse()?, replaces: None })?;
    /// let learner = client.members()?.members.into_iter().find(|member| member.is_learner);
    /// if let Some(learner) = learner {
    ///     client.change_members(MemberRequest::Remove(MemberName::Node(learner.node)))?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// - [`Error::DidNotRun`] with [`Cause::MembersUnchanged`] if the change cannot be made, or if
    ///   no node waited to be added until the deadline; with [`Cause::PermissionDenied`] if the
    ///   client has not the right to change members.
    /// - [`Error::MayHaveRun`] if the deadline passed, and the change may still be made. It also
    ///   has the cause `MembersUnchanged` if a request remained without an answer and its retry
    ///   failed: a member that the first request removed is no longer a member.
    ///   [`members`](Client::members) tells what holds.
    pub fn change_members(&self, change: MemberRequest) -> Result<MemberList, Error> {
        let list = self.ask(What::ChangeMembers(change), |outcome| match outcome {
            ClientOutcome::MembersChanged(list) => Some(list),
            _ => None,
        })?;
        self.0.route.take(&list);
        Ok(list)
    }

    /// Asks the nodes until the deadline, and returns the part of the answer that `take` takes.
    fn ask<T>(
        &self,
        what: What,
        take: impl FnOnce(ClientOutcome) -> Option<T>,
    ) -> Result<T, Error> {
        let mut call = Call::new(what, Instant::now() + self.0.timeout);
        let deadline = call.deadline;
        match self.0.advance(&mut call, None, deadline) {
            Some(Ok(outcome)) => take(outcome).ok_or_else(|| call.timed_out(&self.0.route)),
            Some(Err(error)) => Err(error),
            None => Err(call.timed_out(&self.0.route)),
        }
    }

    /// Asks the node at `address` once, on a connection of its own.
    fn ask_node<T>(
        &self,
        address: SocketAddr,
        body: RequestBody,
        take: impl FnOnce(ClientOutcome) -> Option<T>,
    ) -> Result<T, Error> {
        let answer = || {
            let credentials = self.0.route.credentials();
            let connection = Connection::connect_with(address, self.0.timeout, credentials)?;
            match connection.ask(body, self.0.timeout)? {
                ClientOutcome::BadRequest(message) => Err(Cause::BadRequest(message)),
                outcome => take(outcome).ok_or(Cause::SenselessAnswer { node: address }),
            }
        };
        answer().map_err(|cause| Error::DidNotRun { cause })
    }

    /// Returns the status of all nodes, in the order of their addresses: those that the client
    /// knows, and the members that any of these names. It asks them concurrently, and a member as
    /// soon as a node has named it, so a node that does not answer delays no other. At most 128
    /// nodes are asked.
    pub fn nodes(&self) -> Vec<(SocketAddr, Result<NodeStatus, Error>)> {
        let mut answers = BTreeMap::new();
        let mut asked = BTreeSet::new();
        let mut named = self.0.route.known();
        thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            loop {
                for address in named.drain(..) {
                    if asked.len() < MAX_CLIENT_ADDRESSES && asked.insert(address) {
                        let sender = sender.clone();
                        scope.spawn(move || {
                            // A panic is sent, too: otherwise the receiver would wait forever.
                            let ask = AssertUnwindSafe(|| self.status_of(address));
                            let _ = sender.send((address, catch_unwind(ask)));
                        });
                    }
                }
                if answers.len() == asked.len() {
                    return;
                }
                // This never fails, as this thread has a sender.
                let Ok((address, status)) = receiver.recv() else { return };
                let status = status.unwrap_or_else(|panic| resume_unwind(panic));
                if let Ok(status) = &status
                    && !self.0.route.is_foreign(status)
                {
                    named.extend(status.members.iter().map(|member| member.address));
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

/// Makes the examples in docs/client.md doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/client.md")]
struct Page;

#[cfg(test)]
mod tests;
