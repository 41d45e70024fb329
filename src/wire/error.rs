//! What can be wrong with a message that came in.

use std::fmt;

use super::raw::Broken;

/// Why a message was rejected. It names fields, never what keys and values hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// The bytes are no protobuf message of the type that is expected here.
    Malformed(String),
    /// A field is missing, or it is of a kind that this version does not know.
    Missing(&'static str),
    /// A number is out of its range.
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A field has too many bytes or too many parts.
    TooLarge {
        /// The field.
        field: &'static str,
        /// How many it has.
        size: usize,
        /// How many it may have.
        limit: usize,
    },
    /// A field has another number of bytes than it always has.
    WrongSize {
        /// The field.
        field: &'static str,
        /// How many it has.
        size: usize,
        /// How many it should have.
        expected: usize,
    },
    /// Keys or other parts are not in the order that they should be in.
    OutOfOrder(&'static str),
    /// A field is not the address that it should be.
    BadAddress {
        /// The field.
        field: &'static str,
        /// What it holds instead.
        text: String,
    },
    /// A text has characters that it may not have.
    BadText(&'static str),
    /// The other side speaks another version of the protocol.
    UnknownVersion(u32),
}

impl From<protobuf::Error> for WireError {
    fn from(error: protobuf::Error) -> WireError {
        WireError::Malformed(error.to_string())
    }
}

impl From<Broken> for WireError {
    fn from(_: Broken) -> WireError {
        WireError::Malformed("a field is cut off or of no known type".to_owned())
    }
}

impl std::error::Error for WireError {}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Malformed(why) => write!(f, "not a message of the protocol: {why}"),
            WireError::Missing(field) => write!(f, "`{field}` is missing or of an unknown kind"),
            WireError::OutOfRange { field, value } => {
                write!(f, "`{field}` is {value}, which is out of range")
            }
            WireError::TooLarge { field, size, limit } => {
                write!(f, "`{field}` has a size of {size}; at most {limit} is allowed")
            }
            WireError::WrongSize { field, size, expected } => {
                write!(f, "`{field}` has {size} bytes; it should have {expected}")
            }
            WireError::OutOfOrder(field) => write!(f, "`{field}` is not in ascending order"),
            WireError::BadAddress { field, text } => {
                write!(f, "`{field}` is no address: {text:?}")
            }
            WireError::BadText(field) => {
                write!(f, "`{field}` has characters that it may not have")
            }
            WireError::UnknownVersion(version) => {
                write!(f, "version {version} of the protocol is not spoken here")
            }
        }
    }
}
