//! How a node that has a cluster key begins (`proto/hello.proto`); the steps that follow are in
//! [`proven`](super::proven).

use std::net::IpAddr;

use bytes::Bytes;

use super::error::WireError;
use super::fields;
use super::proto::hello as proto;
use crate::security::Nonce;

/// The first word of a node that has a cluster key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approach {
    /// The address under which node lists name the sender.
    pub address: IpAddr,
    /// Drawn for this greeting.
    pub nonce: Nonce,
}

impl Approach {
    pub(super) fn to_proto(self) -> proto::Approach {
        proto::Approach {
            nonce: Bytes::copy_from_slice(&self.nonce.0),
            address: self.address.to_string(),
            ..Default::default()
        }
    }

    pub(super) fn from_proto(approach: &proto::Approach) -> Result<Approach, WireError> {
        let nonce = Nonce(fields::array(&approach.nonce, "nonce")?);
        Ok(Approach { address: fields::ip(&approach.address, "address")?, nonce })
    }
}
