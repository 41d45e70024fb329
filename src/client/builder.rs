//! The options of a client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Client;
use super::credentials::Credentials;
use super::retry_loop::RetryLoop;
use super::route::Route;
use super::session::Sessions;
use crate::limits::{
    CLIENT_SILENCE_TIME, CLIENT_WINDOW, DEFAULT_REQUEST_TIME, MAX_CLIENT_TIMEOUT,
    MIN_CLIENT_SILENCE_TIME,
};
use crate::security::{ClientTls, Token};

/// Builds a [`Client`].
#[derive(Clone, Debug)]
pub struct Builder {
    addresses: Vec<SocketAddr>,
    timeout: Duration,
    follow: bool,
    window: u32,
    silence: Duration,
    waits_for_start: bool,
    credentials: Credentials,
}

impl Builder {
    pub(super) fn new() -> Builder {
        Builder {
            addresses: Vec::new(),
            timeout: DEFAULT_REQUEST_TIME,
            follow: true,
            window: CLIENT_WINDOW,
            silence: CLIENT_SILENCE_TIME,
            waits_for_start: true,
            credentials: Credentials::default(),
        }
    }

    /// Adds the address of a node. One is enough: the client learns the others from it. With
    /// several, the client also starts while one of them is down.
    pub fn address(mut self, address: SocketAddr) -> Builder {
        self.addresses.push(address);
        self
    }

    /// Adds addresses of nodes.
    pub fn addresses(mut self, addresses: impl IntoIterator<Item = SocketAddr>) -> Builder {
        self.addresses.extend(addresses);
        self
    }

    /// Sets how long each call may take, retries included. The default is 10 seconds, the maximum a
    /// day.
    pub fn timeout(mut self, timeout: Duration) -> Builder {
        self.timeout = timeout.min(MAX_CLIENT_TIMEOUT);
        self
    }

    /// Sets whether to follow redirects and to retry; the default is `true`. With `false`, each
    /// call is one request to one node, and its answer is the result; nothing is sent twice.
    pub fn follow(mut self, follow: bool) -> Builder {
        self.follow = follow;
        self
    }

    /// Sets how many transactions may be unanswered at once. The default and the maximum are 128.
    /// Further callers wait.
    pub fn window(mut self, window: u32) -> Builder {
        self.window = window.clamp(1, CLIENT_WINDOW);
        self
    }

    /// Sets how long a node with an unanswered request may be silent before the client asks
    /// another. The default is one second, the minimum 50 milliseconds. A slow node sends a
    /// keepalive every 250 milliseconds: with a lower value the client may leave a healthy node.
    pub fn silence(mut self, silence: Duration) -> Builder {
        self.silence = silence.clamp(MIN_CLIENT_SILENCE_TIME, MAX_CLIENT_TIMEOUT);
        self
    }

    /// Sets whether to retry until the deadline although no process listens at any of the
    /// addresses; the default is `true`, as the nodes may be about to start. With `false`, a client
    /// that has not had a connection yet gives up after three attempts in half a second.
    pub fn wait(mut self, wait: bool) -> Builder {
        self.waits_for_start = wait;
        self
    }

    /// Uses TLS, and requires of every node a certificate that names its address and is signed by
    /// one of the authorities in `tls`.
    pub fn tls(mut self, tls: ClientTls) -> Builder {
        self.credentials.tls = Some(tls);
        self
    }

    /// Sends this token to every node. Without TLS the client sends it to loopback addresses only,
    /// unless [`token_in_clear`](Builder::token_in_clear) is set.
    pub fn token(mut self, token: Token) -> Builder {
        self.credentials.token = Some(token);
        self
    }

    /// Sets whether the token may be sent over a network without TLS, where an eavesdropper can
    /// read it; the default is `false`.
    pub fn token_in_clear(mut self, allowed: bool) -> Builder {
        self.credentials.token_in_clear = allowed;
        self
    }

    /// Returns the credentials that were set so far.
    #[cfg(feature = "internals")]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Returns the client. It connects at its first call.
    pub fn build(self) -> Client {
        let mut addresses = Vec::new();
        for address in self.addresses {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Client(Arc::new(RetryLoop {
            route: Route::new(addresses, self.follow, self.credentials),
            sessions: Sessions::default(),
            follow: self.follow,
            timeout: self.timeout,
            window: self.window,
            silence: self.silence,
            waits_for_start: self.waits_for_start,
        }))
    }
}
