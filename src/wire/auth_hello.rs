//! The first message of a node that has a cluster key (`proto/hello.proto`). The steps that follow
//! are in `signed.rs`.

use std::net::IpAddr;

use bytes::Bytes;

use super::error::WireError;
use super::fields;
use super::proto::hello as proto;
use crate::security::Nonce;

/// The first message of a node that has a cluster key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthHello {
    /// The address under which node lists name the sender.
    pub address: IpAddr,
    /// A random number, drawn for this greeting.
    pub nonce: Nonce,
}

impl AuthHello {
    pub(super) fn to_proto(self) -> proto::AuthHello {
        proto::AuthHello {
            nonce: Bytes::copy_from_slice(&self.nonce.0),
            address: self.address.to_string(),
            ..Default::default()
        }
    }

    pub(super) fn from_proto(auth_hello: &proto::AuthHello) -> Result<AuthHello, WireError> {
        let nonce = Nonce(fields::array(&auth_hello.nonce, "nonce")?);
        Ok(AuthHello { address: fields::ip(&auth_hello.address, "address")?, nonce })
    }
}
