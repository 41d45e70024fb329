//! Checks of single fields. The error of each names the field.

use std::net::{IpAddr, SocketAddr};

use protobuf::MessageField;

use super::error::WireError;
use super::proto::{client, peer};
use crate::limits::{MAX_MESSAGE_BYTES, MAX_NODES, NUMBERS_BELOW};
use crate::numbers::{Ballot, NodeId, Position, Slot};

/// Returns the message in a field that is required.
pub(super) fn required<T>(field: MessageField<T>, name: &'static str) -> Result<T, WireError> {
    field.into_option().ok_or(WireError::Missing(name))
}

/// Checks a slot, a round or another number that the receiver may add to.
pub(super) fn number(value: u64, field: &'static str) -> Result<u64, WireError> {
    if value < NUMBERS_BELOW { Ok(value) } else { Err(WireError::OutOfRange { field, value }) }
}

/// Checks a slot, where 0 means that there is none.
pub(super) fn slot_or_zero(value: u64, field: &'static str) -> Result<Slot, WireError> {
    number(value, field).map(Slot)
}

/// Checks the slot of a decree; slots count from 1.
pub(super) fn slot(value: u64, field: &'static str) -> Result<Slot, WireError> {
    if value == 0 {
        Err(WireError::OutOfRange { field, value })
    } else {
        slot_or_zero(value, field)
    }
}

/// Checks the id of a node, which is not 0.
pub(super) fn node(value: u64, field: &'static str) -> Result<NodeId, WireError> {
    if value == 0 { Err(WireError::OutOfRange { field, value }) } else { Ok(NodeId(value)) }
}

/// Returns the id of a cluster; 0 on the wire means that there is none.
pub(super) fn cluster(value: u64) -> Option<u64> {
    (value != 0).then_some(value)
}

/// Checks a required ballot, which may be [`Ballot::ZERO`].
pub(super) fn ballot(
    field: MessageField<peer::Ballot>,
    name: &'static str,
) -> Result<Ballot, WireError> {
    ballot_value(&required(field, name)?, name)
}

/// Checks a ballot.
pub(super) fn ballot_value(ballot: &peer::Ballot, name: &'static str) -> Result<Ballot, WireError> {
    Ok(Ballot { round: number(ballot.round, name)?, node: NodeId(ballot.node) })
}

/// Checks the position of a transaction.
pub(super) fn position(
    field: MessageField<client::Position>,
    name: &'static str,
) -> Result<Position, WireError> {
    let position = required(field, name)?;
    Ok(Position { slot: slot_or_zero(position.slot, name)?, place: position.place })
}

/// Checks that a field has at most `limit` bytes or elements.
pub(super) fn max(size: usize, limit: usize, field: &'static str) -> Result<(), WireError> {
    if size <= limit { Ok(()) } else { Err(WireError::TooLarge { field, size, limit }) }
}

/// Returns the bytes of a field of fixed size.
pub(super) fn array<const N: usize>(
    bytes: &[u8],
    field: &'static str,
) -> Result<[u8; N], WireError> {
    bytes.try_into().map_err(|_| WireError::WrongSize { field, size: bytes.len(), expected: N })
}

/// Parses an address of a node list: an IP address. It is returned in canonical form, so that
/// addresses can be compared: an IPv4 address mapped to IPv6 becomes the IPv4 address.
pub(super) fn ip(text: &str, field: &'static str) -> Result<IpAddr, WireError> {
    text.parse::<IpAddr>().map(|ip| ip.to_canonical()).map_err(|_| bad_address(text, field))
}

/// Parses an IP address and a port.
pub(super) fn socket_address(text: &str, field: &'static str) -> Result<SocketAddr, WireError> {
    text.parse().map_err(|_| bad_address(text, field))
}

fn bad_address(text: &str, field: &'static str) -> WireError {
    WireError::BadAddress { field, text: cut(text, 64) }
}

/// Parses a node list.
pub(super) fn ips(texts: &[String], field: &'static str) -> Result<Vec<IpAddr>, WireError> {
    max(texts.len(), MAX_NODES, field)?;
    texts.iter().map(|text| ip(text, field)).collect()
}

/// Returns the beginning of `text`, at most `limit` bytes.
pub(super) fn cut(text: &str, limit: usize) -> String {
    text[..text.floor_char_boundary(limit)].to_owned()
}

/// Returns a text for people, cut to [`MAX_MESSAGE_BYTES`].
pub(super) fn message(text: &str) -> String {
    cut(text, MAX_MESSAGE_BYTES)
}
