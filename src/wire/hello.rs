//! The greeting: which client or node connects, and whether it is admitted (`proto/hello.proto`).

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use bytes::Bytes;
use protobuf::{EnumOrUnknown, Message};

use super::auth_hello::AuthHello;
use super::build::Build;
use super::error::WireError;
use super::fields;
use super::frame::frame;
use super::proto::hello as proto;
use crate::limits::{MAX_GREETING_FRAME_BYTES, MAX_SECRET_BYTES};
use crate::numbers::NodeId;
use crate::security::Token;

/// The version of the protocol that this program speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// The minor version of a sender that understands what release 0.1.0 does.
pub const FIRST_MINOR_VERSION: u32 = 0;

/// The minor version from which on a node may send keepalives, which are empty frames, to a client.
pub const KEEPALIVE_MINOR_VERSION: u32 = 1;

/// The kind of the side that connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A client.
    Client {
        /// The secret that identifies it, if it has one.
        token: Option<Token>,
    },
    /// A node of the cluster, or a node that wants to form it.
    Peer(PeerHello),
    /// A node that has a cluster key, and identifies itself in a later step.
    AuthHello(AuthHello),
}

/// What a node states about itself when it connects to another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerHello {
    /// The node.
    pub node: NodeId,
    /// The address under which the node lists name it.
    pub address: IpAddr,
    /// The cluster that it belongs to, if any; not zero.
    pub cluster: Option<u64>,
    /// The node list that it was started with.
    pub listed: Vec<IpAddr>,
    /// The program that it runs.
    pub build: Build,
    /// Whether it waits to be added to a cluster, and is a member of none.
    pub is_joining: bool,
}

/// The first message of the side that connects: its role, and what it understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Its role.
    pub role: Role,
    /// What it understands in addition to [`PROTOCOL_VERSION`]. A node of an older release skips
    /// this field.
    pub minor_version: u32,
}

/// The answer to a greeting.
pub type Welcome = Result<Admitted, Refusal>;

/// The node that admitted the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The node that was connected to.
    pub node: NodeId,
    /// The cluster that it belongs to, if any; not zero.
    pub cluster: Option<u64>,
    /// The program that it runs.
    pub build: Build,
}

/// Why the other side is not admitted, or why its connection is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason, for programs.
    pub reason: Reason,
    /// For people: what is wrong, and what to do.
    pub message: String,
}

/// The kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A reason that this release does not know.
    Unknown,
    /// The first frame was not a greeting.
    Malformed,
    /// The versions of the protocol differ.
    UnknownVersion,
    /// The node lists differ.
    ListsDiffer,
    /// The sender belongs to another cluster.
    OtherCluster,
    /// The cluster knows another node id under the sender's address.
    UnknownNode,
    /// The node has as many connections as it allows.
    TooManyConnections,
    /// The node is stopping.
    Closing,
    /// The sender lacks a token, or a proof, that the node requires.
    NotAuthorized,
    /// The node speaks TLS, and the sender does not.
    TlsExpected,
    /// A node with the sender's id is connected from another address.
    DuplicateNode,
    /// Both belong to no cluster, and one of them waits to be added to a cluster.
    NoCluster,
    /// The sender's release is too old to work together with the receiver's.
    ReleaseTooOld,
}

impl Refusal {
    /// Returns a refusal for this reason.
    pub fn new(reason: Reason, message: impl Into<String>) -> Refusal {
        Refusal { reason, message: message.into() }
    }

    /// Returns the refusal of a first frame that is not a valid greeting.
    pub fn malformed(error: &dyn fmt::Display) -> Refusal {
        Refusal::new(Reason::Malformed, format!("the greeting is not understood: {error}"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The other side is not authenticated: its line breaks must not forge lines of the log.
        let shown = |c: char| if c.is_control() { ' ' } else { c };
        self.message.chars().try_for_each(|c| f.write_char(shown(c)))
    }
}

/// Returns a greeting with [`FIRST_MINOR_VERSION`] as a frame.
pub fn encode_hello(role: &Role) -> Vec<u8> {
    frame(&hello_of(role_to_proto(role)), MAX_GREETING_FRAME_BYTES)
}

/// Returns a greeting as a frame.
pub fn encode_greeting(greeting: &Greeting) -> Vec<u8> {
    let Greeting { role, minor_version } = greeting;
    let hello = proto::Hello { minor_version: *minor_version, ..hello_of(role_to_proto(role)) };
    frame(&hello, MAX_GREETING_FRAME_BYTES)
}

fn role_to_proto(role: &Role) -> proto::hello::Role {
    match role {
        Role::Client { token } => proto::hello::Role::Client(proto::ClientHello {
            token: token.as_ref().map_or_else(Bytes::new, |t| Bytes::copy_from_slice(t.as_bytes())),
            ..Default::default()
        }),
        Role::Peer(peer) => proto::hello::Role::Peer(peer_to_proto(peer)),
        Role::AuthHello(auth_hello) => proto::hello::Role::AuthHello(auth_hello.to_proto()),
    }
}

/// Returns the message of the side that connects.
pub(super) fn hello_of(role: proto::hello::Role) -> proto::Hello {
    proto::Hello { version: PROTOCOL_VERSION, role: Some(role), ..Default::default() }
}

pub(super) fn peer_to_proto(peer: &PeerHello) -> proto::PeerHello {
    proto::PeerHello {
        node: peer.node.0,
        address: peer.address.to_string(),
        cluster: peer.cluster.unwrap_or(0),
        listed: peer.listed.iter().map(IpAddr::to_string).collect(),
        release: peer.build.release.as_str().to_owned(),
        feature_level: peer.build.feature_level.0,
        is_joining: peer.is_joining,
        ..Default::default()
    }
}

/// Decodes the role in a greeting.
///
/// # Errors
/// The refusal to answer, if the greeting is not valid.
pub fn decode_hello(bytes: &[u8]) -> Result<Role, Refusal> {
    decode_greeting(bytes).map(|greeting| greeting.role)
}

/// Decodes a greeting.
///
/// # Errors
/// The refusal to answer, if the greeting is not valid.
pub fn decode_greeting(bytes: &[u8]) -> Result<Greeting, Refusal> {
    greeting_from(bytes).map_err(|error| refusal_of(&error))
}

/// Returns the answer to a message that was rejected with `error`.
pub(super) fn refusal_of(error: &WireError) -> Refusal {
    match error {
        WireError::UnknownVersion(version) => Refusal::new(
            Reason::UnknownVersion,
            format!(
                "this node speaks version {PROTOCOL_VERSION} of the protocol, not version \
                 {version}: use programs of the same release"
            ),
        ),
        other => Refusal::malformed(other),
    }
}

fn greeting_from(bytes: &[u8]) -> Result<Greeting, WireError> {
    let hello = proto::Hello::parse_from_bytes(bytes)?;
    // The version is checked first: in another version the other fields may differ.
    if hello.version != PROTOCOL_VERSION {
        return Err(WireError::UnknownVersion(hello.version));
    }
    let minor_version = hello.minor_version;
    Ok(Greeting { role: role_from(hello.role)?, minor_version })
}

fn role_from(role: Option<proto::hello::Role>) -> Result<Role, WireError> {
    match role {
        Some(proto::hello::Role::Client(client)) => {
            fields::max(client.token.len(), MAX_SECRET_BYTES, "token")?;
            let token = (!client.token.is_empty()).then(|| Token::new(client.token));
            Ok(Role::Client { token })
        }
        Some(proto::hello::Role::Peer(peer)) => Ok(Role::Peer(peer_from(&peer)?)),
        Some(proto::hello::Role::AuthHello(auth_hello)) => {
            Ok(Role::AuthHello(AuthHello::from_proto(&auth_hello)?))
        }
        // A signed message only continues a greeting that began with an `AuthHello`.
        Some(proto::hello::Role::Signed(_)) | None => Err(WireError::Missing("role")),
    }
}

pub(super) fn peer_from(peer: &proto::PeerHello) -> Result<PeerHello, WireError> {
    Ok(PeerHello {
        node: fields::node(peer.node, "node")?,
        address: fields::ip(&peer.address, "address")?,
        cluster: fields::cluster(peer.cluster),
        listed: fields::ips(&peer.listed, "listed")?,
        build: Build::of(&peer.release, peer.feature_level)?,
        is_joining: peer.is_joining,
    })
}

/// Returns the answer to a greeting as a frame.
pub fn encode_welcome(welcome: &Welcome) -> Vec<u8> {
    frame(&welcome_to_proto(welcome), MAX_GREETING_FRAME_BYTES)
}

pub(super) fn welcome_to_proto(welcome: &Welcome) -> proto::Welcome {
    let answer = match welcome {
        Ok(admitted) => proto::welcome::Answer::Admitted(proto::Admitted {
            node: admitted.node.0,
            cluster: admitted.cluster.unwrap_or(0),
            release: admitted.build.release.as_str().to_owned(),
            feature_level: admitted.build.feature_level.0,
            ..Default::default()
        }),
        Err(refusal) => proto::welcome::Answer::Refusal(proto::Refusal {
            reason: EnumOrUnknown::new(reason_to_proto(refusal.reason)),
            message: fields::message(&refusal.message),
            ..Default::default()
        }),
    };
    proto::Welcome { version: PROTOCOL_VERSION, answer: Some(answer), ..Default::default() }
}

/// Decodes the answer to a greeting. A refusal is understood from every version of the protocol.
pub fn decode_welcome(bytes: &[u8]) -> Result<Welcome, WireError> {
    welcome_from(proto::Welcome::parse_from_bytes(bytes)?)
}

pub(super) fn refusal_from(refusal: &proto::Refusal) -> Refusal {
    let reason = reason_from_proto(refusal.reason);
    Refusal { reason, message: fields::message(&refusal.message) }
}

pub(super) fn welcome_from(welcome: proto::Welcome) -> Result<Welcome, WireError> {
    match welcome.answer {
        Some(proto::welcome::Answer::Refusal(refusal)) => Ok(Err(refusal_from(&refusal))),
        _ if welcome.version != PROTOCOL_VERSION => Err(WireError::UnknownVersion(welcome.version)),
        Some(proto::welcome::Answer::Admitted(admitted)) => Ok(Ok(Admitted {
            node: fields::node(admitted.node, "node")?,
            cluster: fields::cluster(admitted.cluster),
            build: Build::of(&admitted.release, admitted.feature_level)?,
        })),
        // These are answers in the greeting with a cluster key (`signed.rs`).
        Some(proto::welcome::Answer::Challenge(_) | proto::welcome::Answer::Signed(_)) | None => {
            Err(WireError::Missing("answer"))
        }
    }
}

fn reason_to_proto(reason: Reason) -> proto::refusal::Reason {
    use proto::refusal::Reason as Wire;
    match reason {
        Reason::Unknown => Wire::UNSPECIFIED,
        Reason::Malformed => Wire::MALFORMED,
        Reason::UnknownVersion => Wire::UNKNOWN_VERSION,
        Reason::ListsDiffer => Wire::LISTS_DIFFER,
        Reason::OtherCluster => Wire::OTHER_CLUSTER,
        Reason::UnknownNode => Wire::UNKNOWN_NODE,
        Reason::TooManyConnections => Wire::TOO_MANY_CONNECTIONS,
        Reason::Closing => Wire::CLOSING,
        Reason::NotAuthorized => Wire::NOT_AUTHORIZED,
        Reason::TlsExpected => Wire::TLS_EXPECTED,
        Reason::DuplicateNode => Wire::DUPLICATE_NODE,
        Reason::NoCluster => Wire::NO_CLUSTER,
        Reason::ReleaseTooOld => Wire::RELEASE_TOO_OLD,
    }
}

fn reason_from_proto(reason: EnumOrUnknown<proto::refusal::Reason>) -> Reason {
    use proto::refusal::Reason as Wire;
    match reason.enum_value() {
        Ok(Wire::MALFORMED) => Reason::Malformed,
        Ok(Wire::UNKNOWN_VERSION) => Reason::UnknownVersion,
        Ok(Wire::LISTS_DIFFER) => Reason::ListsDiffer,
        Ok(Wire::OTHER_CLUSTER) => Reason::OtherCluster,
        Ok(Wire::UNKNOWN_NODE) => Reason::UnknownNode,
        Ok(Wire::TOO_MANY_CONNECTIONS) => Reason::TooManyConnections,
        Ok(Wire::CLOSING) => Reason::Closing,
        Ok(Wire::NOT_AUTHORIZED) => Reason::NotAuthorized,
        Ok(Wire::TLS_EXPECTED) => Reason::TlsExpected,
        Ok(Wire::DUPLICATE_NODE) => Reason::DuplicateNode,
        Ok(Wire::NO_CLUSTER) => Reason::NoCluster,
        Ok(Wire::RELEASE_TOO_OLD) => Reason::ReleaseTooOld,
        Ok(Wire::UNSPECIFIED) | Err(_) => Reason::Unknown,
    }
}
