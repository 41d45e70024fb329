//! Clients that were let in by a token, so that they can be put out when it is gone or may do less.
//!
//! A client is put out in two steps: nothing more is read of it, so that what it was promised can
//! still be answered; and what is left of its connection after a short time is closed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::security::{Rights, Security, Token, Tokens};
use crate::transport::links::Stream;

/// What is asked of those who connect, and who was let in by it.
#[derive(Debug)]
pub(super) struct Admitted {
    security: RwLock<Arc<Security>>,
    clients: Arc<Mutex<Clients>>,
}

#[derive(Debug, Default)]
struct Clients {
    next: u64,
    known: HashMap<u64, Known>,
}

#[derive(Debug)]
struct Known {
    token: Token,
    rights: Rights,
    is_out: Arc<AtomicBool>,
    stream: Stream,
}

/// A client that was let in; forgotten when dropped.
#[derive(Debug)]
pub(super) struct Admission {
    rights: Rights,
    /// Of clients that showed a token.
    entry: Option<Entry>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    is_out: Arc<AtomicBool>,
    clients: Arc<Mutex<Clients>>,
}

impl Admitted {
    pub(super) fn new(security: Security) -> Admitted {
        Admitted { security: RwLock::new(Arc::new(security)), clients: Arc::default() }
    }

    /// What is asked of who connects now.
    pub(super) fn security(&self) -> Arc<Security> {
        Arc::clone(&self.security.read())
    }

    /// Lets in the client on this connection, if it has a token that is known, or none is asked for;
    /// returns its name and admission.
    pub(super) fn admit(&self, stream: &Stream, token: &Token) -> Option<(String, Admission)> {
        loop {
            let security = self.security();
            let Some(tokens) = &security.client_tokens else {
                return Some((String::new(), Admission::free()));
            };
            // Not under the lock: it takes long where there are many.
            let (name, rights) = tokens.find(token)?;
            let mut clients = self.clients.lock();
            // Whoever sets another one looks at all clients after it.
            if !Arc::ptr_eq(&security, &self.security.read()) {
                continue;
            }
            let number = clients.next;
            clients.next += 1;
            let is_out = Arc::new(AtomicBool::new(false));
            let known = Known {
                token: token.clone(),
                rights,
                is_out: Arc::clone(&is_out),
                stream: stream.clone(),
            };
            clients.known.insert(number, known);
            let entry = Some(Entry { number, is_out, clients: Arc::clone(&self.clients) });
            return Some((name.to_owned(), Admission { rights, entry }));
        }
    }

    /// Asks for this from now on. Nothing more is read of clients that have no token by it, or one
    /// that may do less; returns their numbers.
    pub(super) fn set(&self, security: Security) -> Vec<u64> {
        let security = Arc::new(security);
        *self.security.write() = Arc::clone(&security);
        let Some(tokens) = &security.client_tokens else { return Vec::new() };
        let clients = self.clients.lock();
        let out = clients.known.iter().filter(|(_, known)| known.is_out_by(tokens));
        out.map(|(number, known)| {
            known.is_out.store(true, Ordering::Relaxed);
            known.stream.close_reading();
            *number
        })
        .collect()
    }

    /// Whether no client is known.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.clients.lock().known.is_empty()
    }

    /// Closes what is left of the connections of these clients.
    pub(super) fn close(&self, numbers: &[u64]) {
        let clients = self.clients.lock();
        for known in numbers.iter().filter_map(|number| clients.known.get(number)) {
            known.stream.close();
        }
    }
}

impl Known {
    fn is_out_by(&self, tokens: &Tokens) -> bool {
        tokens.find(&self.token).is_none_or(|(_, rights)| rights < self.rights)
    }
}

impl Admission {
    /// Of a node that asks for no token.
    pub(super) fn free() -> Admission {
        Admission { rights: Rights::ReadWrite, entry: None }
    }

    /// What the client may do.
    pub(super) fn rights(&self) -> Rights {
        self.rights
    }

    /// Whether nothing more may be done for the client.
    pub(super) fn is_out(&self) -> bool {
        self.entry.as_ref().is_some_and(|entry| entry.is_out.load(Ordering::Relaxed))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.clients.lock().known.remove(&self.number);
    }
}
