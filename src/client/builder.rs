//! How a client is made.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Client;
use super::credentials::Credentials;
use super::retry_loop::RetryLoop;
use super::route::Route;
use super::session::Sessions;
use crate::limits::{
    CLIENT_SILENCE_TIME, CLIENT_WINDOW, DEFAULT_REQUEST_TIME, LEAST_CLIENT_SILENCE_TIME,
    MOST_CLIENT_TIMEOUT,
};
use crate::security::{ClientTls, Token};

/// Makes a [`Client`].
#[derive(Clone, Debug)]
pub struct Builder {
    addresses: Vec<SocketAddr>,
    timeout: Duration,
    follow: bool,
    window: u32,
    silence: Duration,
    waits: bool,
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
            waits: true,
            credentials: Credentials::default(),
        }
    }

    /// Adds the address of a node. One is enough; with more the client finds its way also while
    /// that one is down. The other nodes are learned from it.
    pub fn address(mut self, address: SocketAddr) -> Builder {
        self.addresses.push(address);
        self
    }

    /// Adds addresses of nodes.
    pub fn addresses(mut self, addresses: impl IntoIterator<Item = SocketAddr>) -> Builder {
        self.addresses.extend(addresses);
        self
    }

    /// How long each call may take, retries included; 10 seconds unless said otherwise, and at most a
    /// day.
    pub fn timeout(mut self, timeout: Duration) -> Builder {
        self.timeout = timeout.min(MOST_CLIENT_TIMEOUT);
        self
    }

    /// Whether to follow redirects and to try again, as is the default. Without it, each call is one
    /// request to one node, and whatever comes back is the result; nothing is sent twice.
    pub fn follow(mut self, follow: bool) -> Builder {
        self.follow = follow;
        self
    }

    /// How many transactions may be unanswered at once; 128 unless said otherwise, and at most.
    /// Further callers wait.
    pub fn window(mut self, window: u32) -> Builder {
        self.window = window.clamp(1, CLIENT_WINDOW);
        self
    }

    /// How long a node that owes an answer may say nothing at all before another one is asked; a second
    /// unless said otherwise, and at least 50 milliseconds. A node that is slow, and not gone, says
    /// something every 250 milliseconds: below that, it may be left although it is well.
    pub fn silence(mut self, silence: Duration) -> Builder {
        self.silence = silence.clamp(LEAST_CLIENT_SILENCE_TIME, MOST_CLIENT_TIMEOUT);
        self
    }

    /// Whether to try until the deadline although nothing listens at any of the addresses, as is the
    /// default: the nodes may be about to start. Without it a client that had no connection yet gives up
    /// after three tries in half a second.
    pub fn wait(mut self, wait: bool) -> Builder {
        self.waits = wait;
        self
    }

    /// Speaks TLS, and asks every node for a certificate that names its address and is signed by one
    /// of those who are trusted.
    pub fn tls(mut self, tls: ClientTls) -> Builder {
        self.credentials.tls = Some(tls);
        self
    }

    /// Shows this token to every node. Without TLS it is sent to loopback addresses only, unless
    /// [`token_in_clear`](Builder::token_in_clear) allows more.
    pub fn token(mut self, token: Token) -> Builder {
        self.credentials.token = Some(token);
        self
    }

    /// Whether the token may be sent over a network without TLS, where who listens in learns it; not
    /// unless said otherwise.
    pub fn token_in_clear(mut self, allowed: bool) -> Builder {
        self.credentials.token_in_clear = allowed;
        self
    }

    /// What the client shows and asks for, as far as it was said.
    #[cfg(feature = "internals")]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The client. It connects when it is first used.
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
            waits: self.waits,
        }))
    }
}
