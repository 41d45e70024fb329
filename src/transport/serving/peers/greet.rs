//! One attempt to connect to a peer, with the TLS handshake, if TLS is configured, and the
//! greeting.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use super::link::{Link, Target};
use super::waits::Waits;
use crate::transport::links::FrameReader;
use crate::transport::links::Stream;
use crate::transport::links::{GreetError, greet};
use crate::transport::serving::cluster_auth;
use crate::transport::serving::dial::{DialTimes, Dialed, dial};
use crate::transport::serving::settings::Settings;
use crate::transport::serving::shared::Shared;
use crate::transport::serving::sockets::Registered;
use crate::wire::{Admitted, Refusal, Role};

/// How an attempt to connect, or the connection made by it, ended.
pub(super) enum End {
    /// The peer did not answer.
    Unreachable(String),
    /// The TLS handshake failed.
    TlsFailed(String),
    /// One side refused the other.
    Refused { refusal: Refusal, by_peer: bool },
    /// There was a connection, and it was lost.
    Lost(String),
}

/// A connection on which both sides have greeted.
pub(super) struct Connection {
    /// Declared before the others, because they close the stream when dropped.
    pub(super) _registered: [Registered; 2],
    pub(super) stream: Stream,
    pub(super) reader: FrameReader<Stream>,
    pub(super) admitted: Admitted,
}

/// Connects to the peer at `target`; dials until the peer's system answers.
pub(super) fn connect(
    shared: &Arc<Shared>,
    link: &Link,
    target: Target,
    waits: &mut Waits,
) -> Result<Connection, End> {
    let is_over = || link.is_over(shared) || link.target().address != target.address;
    match dial(target.address, &times(&shared.settings), None, None, &is_over) {
        Ok(Dialed::Connected { stream, .. }) => {
            let until = Instant::now() + waits.greeting;
            greet_on(shared, link, target.address, stream, waits, until)
        }
        Ok(Dialed::Heard) => Err(End::Unreachable("no other connection is watched".to_owned())),
        Err(error) => Err(End::Unreachable(error.to_string())),
    }
}

pub(super) fn times(settings: &Settings) -> DialTimes {
    DialTimes { interval: settings.connect_attempt_delay, timeout: settings.connect_time }
}

/// Performs the TLS handshake, if TLS is configured, and the greeting, by `until`.
pub(super) fn greet_on(
    shared: &Arc<Shared>,
    link: &Link,
    address: SocketAddr,
    stream: TcpStream,
    waits: &mut Waits,
    until: Instant,
) -> Result<Connection, End> {
    let begun = Instant::now();
    let result = greet_until(shared, link, address, stream, until);
    match &result {
        Ok(_) => waits.greeted(Some(begun.elapsed()), &shared.settings),
        Err(_) if Instant::now() >= until => waits.greeted(None, &shared.settings),
        // The peer answered in time, though not successfully.
        Err(_) => {}
    }
    result
}

fn greet_until(
    shared: &Arc<Shared>,
    link: &Link,
    address: SocketAddr,
    stream: TcpStream,
    until: Instant,
) -> Result<Connection, End> {
    let stream = Stream::new(stream).map_err(|error| End::Unreachable(error.to_string()))?;
    let registered = (shared.sockets.register(&stream), link.sockets.register(&stream));
    let (Some(with_all), Some(with_link)) = registered else {
        return Err(End::Unreachable("stopping".to_owned()));
    };
    let security = shared.security();
    let stream = match &security.tls {
        Some(tls) => {
            let session = tls.connect(address.ip()).map_err(io::Error::other);
            let secured = session.and_then(|session| stream.secured(session, until));
            match secured {
                Ok(stream) => stream,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err(End::Unreachable(error.to_string()));
                }
                Err(error) => return Err(End::TlsFailed(error.to_string())),
            }
        }
        None => stream,
    };
    let hello = shared.handler.hello();
    let time = until.saturating_duration_since(Instant::now());
    let greeted = match &security.cluster_key {
        Some(key) => cluster_auth::greet(&stream, key, &hello, address.ip(), time),
        None => greet(&stream, &Role::Peer(hello), time),
    };
    let (reader, admitted) = greeted.map_err(|error| match error {
        GreetError::Refused(refusal) => End::Refused { refusal, by_peer: true },
        GreetError::NotBelieved(refusal) => End::Refused { refusal, by_peer: false },
        error => End::Unreachable(error.to_string()),
    })?;
    if let Err(refusal) = shared.handler.check_peer(link.target().node, address, &admitted) {
        return Err(End::Refused { refusal, by_peer: false });
    }
    Ok(Connection { _registered: [with_all, with_link], stream, reader, admitted })
}
