//! Checks of single fields, each with the error that names the field.

use std::net::{IpAddr, SocketAddr};

use protobuf::MessageField;

use super::error::WireError;
use super::proto::{client, peer};
use crate::limits::{MAX_MESSAGE_BYTES, MAX_NODES, NUMBERS_BELOW};
use crate::numbers::{Ballot, NodeId, Position, Slot};

/// A message field that must be there.
pub(super) fn required<T>(field: MessageField<T>, name: &'static str) -> Result<T, WireError> {
    field.into_option().ok_or(WireError::Missing(name))
}

/// A slot, a round or another number that is counted on from.
pub(super) fn number(value: u64, field: &'static str) -> Result<u64, WireError> {
    if value < NUMBERS_BELOW { Ok(value) } else { Err(WireError::OutOfRange { field, value }) }
}

/// A slot, or zero for none.
pub(super) fn slot_or_zero(value: u64, field: &'static str) -> Result<Slot, WireError> {
    number(value, field).map(Slot)
}

/// The slot of a decree; they count from 1.
pub(super) fn slot(value: u64, field: &'static str) -> Result<Slot, WireError> {
    if value == 0 {
        Err(WireError::OutOfRange { field, value })
    } else {
        slot_or_zero(value, field)
    }
}

/// The id of a node.
pub(super) fn node(value: u64, field: &'static str) -> Result<NodeId, WireError> {
    if value == 0 { Err(WireError::OutOfRange { field, value }) } else { Ok(NodeId(value)) }
}

/// The id of a cluster; zero on the wire for none.
pub(super) fn cluster(value: u64) -> Option<u64> {
    (value != 0).then_some(value)
}

/// A ballot, which may be the lowest.
pub(super) fn ballot(
    field: MessageField<peer::Ballot>,
    name: &'static str,
) -> Result<Ballot, WireError> {
    ballot_value(&required(field, name)?, name)
}

/// A ballot that is there.
pub(super) fn ballot_value(ballot: &peer::Ballot, name: &'static str) -> Result<Ballot, WireError> {
    Ok(Ballot { round: number(ballot.round, name)?, node: NodeId(ballot.node) })
}

/// Where a transaction ran.
pub(super) fn position(
    field: MessageField<client::Position>,
    name: &'static str,
) -> Result<Position, WireError> {
    let position = required(field, name)?;
    Ok(Position { slot: slot_or_zero(position.slot, name)?, place: position.place })
}

/// At most `limit` bytes or parts.
pub(super) fn max(size: usize, limit: usize, field: &'static str) -> Result<(), WireError> {
    if size <= limit { Ok(()) } else { Err(WireError::TooLarge { field, size, limit }) }
}

/// Bytes of which there is an exact number.
pub(super) fn array<const N: usize>(
    bytes: &[u8],
    field: &'static str,
) -> Result<[u8; N], WireError> {
    bytes.try_into().map_err(|_| WireError::WrongSize { field, size: bytes.len(), expected: N })
}

/// The address of a node as node lists have it: an IP address, in canonical form so that addresses
/// can be compared (an IPv4 address in an IPv6 one is the IPv4 address).
pub(super) fn ip(text: &str, field: &'static str) -> Result<IpAddr, WireError> {
    text.parse::<IpAddr>().map(|ip| ip.to_canonical()).map_err(|_| bad_address(text, field))
}

/// IP address and port.
pub(super) fn socket_address(text: &str, field: &'static str) -> Result<SocketAddr, WireError> {
    text.parse().map_err(|_| bad_address(text, field))
}

fn bad_address(text: &str, field: &'static str) -> WireError {
    WireError::BadAddress { field, text: cut(text, 64) }
}

/// A node list.
pub(super) fn ips(texts: &[String], field: &'static str) -> Result<Vec<IpAddr>, WireError> {
    max(texts.len(), MAX_NODES, field)?;
    texts.iter().map(|text| ip(text, field)).collect()
}

/// The beginning of `text`, at most `most` bytes of it.
pub(super) fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

/// A text for people, within its bound.
pub(super) fn message(text: &str) -> String {
    cut(text, MAX_MESSAGE_BYTES)
}
