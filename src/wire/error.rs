//! The reasons for which a received message is rejected.

use std::fmt;

use super::raw::Broken;

/// Why a message was rejected. It names fields; it never quotes keys or values of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// The bytes are not a protobuf message of the type that is expected here.
    Malformed(String),
    /// A field is missing, or is of a kind that this release does not know.
    Missing(&'static str),
    /// A number is out of range.
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A field has too many bytes or too many elements.
    TooLarge {
        /// The field.
        field: &'static str,
        /// The number of its bytes or elements.
        size: usize,
        /// The highest number that is allowed.
        limit: usize,
    },
    /// A field of fixed size has another number of bytes.
    WrongSize {
        /// The field.
        field: &'static str,
        /// The number of its bytes.
        size: usize,
        /// The number of bytes that is required.
        expected: usize,
    },
    /// Keys are not in strictly ascending order.
    OutOfOrder(&'static str),
    /// A field is not a valid address.
    BadAddress {
        /// The field.
        field: &'static str,
        /// The beginning of its text.
        text: String,
    },
    /// A text has characters that are not allowed.
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
        WireError::Malformed("a field is cut off, or its number or type is not valid".to_owned())
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
                write!(f, "`{field}` has {size} bytes; {expected} are required")
            }
            WireError::OutOfOrder(field) => write!(f, "`{field}` is not in ascending order"),
            WireError::BadAddress { field, text } => {
                write!(f, "`{field}` is not an address: {text:?}")
            }
            WireError::BadText(field) => {
                write!(f, "`{field}` has characters that are not allowed")
            }
            WireError::UnknownVersion(version) => {
                write!(
                    f,
                    "version {version} of the protocol is not supported; use programs of the same \
                     release"
                )
            }
        }
    }
}
