//! Access control: the security settings in force, and the clients that were admitted by a token,
//! so that their access can be revoked when the token is removed or its rights are reduced.
//!
//! Access is revoked in two steps: first nothing further is read from the client, so that its
//! earlier requests can still be answered; after `Settings::revoked_client_time` the connection is
//! closed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};

use super::handler::ClientIdentity;
use crate::security::{Rights, Security, Token, Tokens};
use crate::transport::links::Stream;

/// The security settings in force, and the clients admitted under them.
#[derive(Debug)]
pub(super) struct AccessControl {
    security: RwLock<Arc<Security>>,
    clients: Arc<Mutex<Clients>>,
}

#[derive(Debug, Default)]
struct Clients {
    next: u64,
    admitted: HashMap<u64, AdmittedClient>,
}

#[derive(Debug)]
struct AdmittedClient {
    token: Token,
    rights: Rights,
    is_revoked: Arc<AtomicBool>,
    stream: Stream,
}

/// The access of an admitted client; it is forgotten when dropped.
#[derive(Debug)]
pub(super) struct ClientAccess {
    identity: ClientIdentity,
    /// `None` for a client that showed no token because the node asks for none.
    entry: Option<Entry>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    is_revoked: Arc<AtomicBool>,
    clients: Arc<Mutex<Clients>>,
}

impl AccessControl {
    pub(super) fn new(security: Security) -> AccessControl {
        AccessControl { security: RwLock::new(Arc::new(security)), clients: Arc::default() }
    }

    /// Returns the security settings in force.
    pub(super) fn security(&self) -> Arc<Security> {
        Arc::clone(&self.security.read())
    }

    /// Admits the client on this connection if its token is known, or if the node asks for no
    /// token. Returns its access; `None` if the token is unknown.
    pub(super) fn admit(&self, stream: &Stream, token: &Token) -> Option<ClientAccess> {
        loop {
            let security = self.security();
            let Some(tokens) = &security.client_tokens else {
                return Some(ClientAccess::without_token(stream));
            };
            // Without the lock, because the comparison with many tokens takes long.
            let (name, rights) = tokens.find(token)?;
            let mut clients = self.clients.lock();
            // If the settings changed meanwhile, `set` may not have seen this client: check again.
            if !Arc::ptr_eq(&security, &self.security.read()) {
                continue;
            }
            let number = clients.next;
            clients.next += 1;
            let is_revoked = Arc::new(AtomicBool::new(false));
            let known = AdmittedClient {
                token: token.clone(),
                rights,
                is_revoked: Arc::clone(&is_revoked),
                stream: stream.clone(),
            };
            clients.admitted.insert(number, known);
            let entry = Some(Entry { number, is_revoked, clients: Arc::clone(&self.clients) });
            let (name, address) = (Some(name.to_owned()), stream.peer_ip());
            return Some(ClientAccess {
                identity: ClientIdentity { rights, name, address },
                entry,
            });
        }
    }

    /// Puts new security settings into force. Revokes the access of clients with a token
    /// that is no longer known or has fewer rights: nothing further is read from them. Returns
    /// their numbers.
    pub(super) fn set(&self, security: Security) -> Vec<u64> {
        let security = Arc::new(security);
        *self.security.write() = Arc::clone(&security);
        let Some(tokens) = &security.client_tokens else { return Vec::new() };
        let clients = self.clients.lock();
        let revoked = clients.admitted.iter().filter(|(_, known)| known.is_revoked_by(tokens));
        revoked
            .map(|(number, known)| {
                known.is_revoked.store(true, Ordering::Relaxed);
                known.stream.close_reading();
                *number
            })
            .collect()
    }

    /// Returns whether no client is registered.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.clients.lock().admitted.is_empty()
    }

    /// Closes the connections of these clients, as far as they are still open.
    pub(super) fn close(&self, numbers: &[u64]) {
        let clients = self.clients.lock();
        for known in numbers.iter().filter_map(|number| clients.admitted.get(number)) {
            known.stream.close();
        }
    }
}

impl AdmittedClient {
    fn is_revoked_by(&self, tokens: &Tokens) -> bool {
        tokens.find(&self.token).is_none_or(|(_, rights)| rights < self.rights)
    }
}

impl ClientAccess {
    /// Returns the access of the client on this connection to a node that asks for no token.
    pub(super) fn without_token(stream: &Stream) -> ClientAccess {
        let (rights, address) = (Rights::ReadWrite, stream.peer_ip());
        ClientAccess { identity: ClientIdentity { rights, name: None, address }, entry: None }
    }

    /// Returns the client's name, rights and address.
    pub(super) fn identity(&self) -> &ClientIdentity {
        &self.identity
    }

    /// Returns whether the access is revoked: no further request may run for the client.
    pub(super) fn is_revoked(&self) -> bool {
        self.entry.as_ref().is_some_and(|entry| entry.is_revoked.load(Ordering::Relaxed))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.clients.lock().admitted.remove(&self.number);
    }
}
