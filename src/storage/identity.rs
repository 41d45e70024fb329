//! The file `identity`: the node's id, its cluster and the members.
//!
//! ```text
//! head of 24 bytes (see `seal`)
//! id of the directory (8)
//! id of the node (8)
//! knows its cluster: 0, or 1 (1) and then
//!   cluster (8)
//!   list of the addresses that the node was started with
//!   list of the members, each an id (8) and an address
//! ```

use bytes::{Buf, BufMut};

use crate::lpaxos::NodeId;

use super::codec::{Input, put_bytes, put_length, take_list, take_string, take_u64};
use super::disk::Folder;
use super::error::StorageError;
use super::format::{IDENTITY_FILE, IDENTITY_MAGIC, SEAL_BYTES, StoreId, seal, unseal};
use super::{Identity, Membership};

/// Replaces the file; durable on return.
pub(super) fn write(
    folder: &Folder,
    store: StoreId,
    identity: &Identity,
) -> Result<(), StorageError> {
    let mut content = Vec::new();
    content.put_u64(store.0);
    content.put_u64(identity.node.0);
    content.put_u8(u8::from(identity.membership.is_some()));
    if let Some(membership) = &identity.membership {
        content.put_u64(membership.cluster);
        put_length(&mut content, membership.listed.len());
        membership.listed.iter().for_each(|address| put_bytes(&mut content, address.as_bytes()));
        put_length(&mut content, membership.members.len());
        for (node, address) in &membership.members {
            content.put_u64(node.0);
            put_bytes(&mut content, address.as_bytes());
        }
    }
    folder.replace(IDENTITY_FILE, &seal(IDENTITY_MAGIC, &content))
}

/// Reads the file.
pub(super) fn read(folder: &Folder, store: StoreId) -> Result<Identity, StorageError> {
    let file = folder.open(IDENTITY_FILE)?;
    let bytes = file.read_all()?;
    let content = unseal(IDENTITY_MAGIC, &bytes, &file)?;
    if bytes.len() != SEAL_BYTES + content.len() {
        return Err(file.corrupted(bytes.len() as u64, "there are bytes after the end"));
    }
    let mut input = content;
    if take_u64(&mut input) != Some(store.0) {
        return Err(file.corrupted(SEAL_BYTES as u64, "it belongs to another data directory"));
    }
    take(&mut input)
        .filter(|_| input.is_empty())
        .ok_or_else(|| file.corrupted(SEAL_BYTES as u64, "the content cannot be decoded"))
}

fn take(input: Input) -> Option<Identity> {
    let node = NodeId(take_u64(input)?);
    let membership = match input.try_get_u8().ok()? {
        0 => None,
        1 => Some(Membership {
            cluster: take_u64(input)?,
            listed: take_list(input, take_string)?,
            members: take_list(input, |input| {
                Some((NodeId(take_u64(input)?), take_string(input)?))
            })?,
        }),
        _ => return None,
    };
    Some(Identity { node, membership })
}
