//! The file of a checkpoint: its head, its pages, its end.
//!
//! The head has the state just before the round at which the checkpoint starts, without the
//! entries. [`seal`](super::format::seal) wraps it:
//!
//! ```text
//! id of the directory (8)
//! the round at which the journal continues: segment (8), offset (8), sequence (8)
//! promised (16), complete (8), floor (8), approximate number of entries (8)
//! accepted proposal: 0 (1) if there is none; 1 (1) and the proposal; 2 (1) and the proposal, if
//!                    its decree has a member set
//! the member set with its version, if there is one, up to the end of the head
//! ```
//!
//! Pages follow in the order of keys, and together cover every key. The frame of a page:
//!
//! | at | bytes | field |
//! | --- | --- | --- |
//! | 0 | 8 | the sequence at which the checkpoint starts |
//! | 8 | 4 | number of the page, from 0 |
//! | 12 | 4 | length of the content |
//! | 16 | 4 | CRC-32 of the 16 bytes above and the content |
//! | 20 | | content |
//!
//! Its content is the sequence of the last round that it reflects (8); 1 and the last key that it
//! covers, or 0 on the last page; and the list of entries. A frame without content ends the file.

use bytes::{Buf, BufMut};

use crate::lpaxos::{Ballot, Entry, MemberEntry, Proposal, Slot};

use super::codec::{
    Input, put_ballot, put_bytes, put_entry, put_member_entry, put_proposal, take_ballot,
    take_entry, take_key, take_list, take_member_entry, take_proposal, take_slot, take_u64,
};
use super::format::{StoreId, checksum};
use super::journal::JournalPosition;
use super::segment::BLOCK;
use super::{Key, Value};

/// The bytes of a frame before its content.
pub(super) const FRAME_HEADER: usize = 20;

/// A checkpoint without its entries: the state after the round before `start`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) start: JournalPosition,
    pub(super) promised: Ballot,
    pub(super) complete: Slot,
    pub(super) floor: Slot,
    /// The number of entries when the checkpoint began.
    pub(super) entries: u64,
    pub(super) accepted: Option<Proposal<Key, Value>>,
    pub(super) members: Option<MemberEntry>,
}

impl Head {
    pub(super) fn encode(&self, store: StoreId) -> Vec<u8> {
        let mut content = Vec::new();
        content.put_u64(store.0);
        content.put_u64(self.start.segment);
        content.put_u64(self.start.offset);
        content.put_u64(self.start.sequence);
        put_ballot(&mut content, self.promised);
        content.put_u64(self.complete.0);
        content.put_u64(self.floor.0);
        content.put_u64(self.entries);
        content.put_u8(match &self.accepted {
            None => 0,
            Some(accepted) if accepted.decree.members.is_none() => 1,
            Some(_) => 2,
        });
        if let Some(accepted) = &self.accepted {
            put_proposal(&mut content, accepted);
        }
        if let Some(members) = &self.members {
            put_member_entry(&mut content, members);
        }
        content
    }

    /// Returns the head and the directory that it belongs to; `None` if the content is not a head
    /// or breaks an invariant.
    pub(super) fn decode(mut content: &[u8]) -> Option<(StoreId, Head)> {
        let input = &mut content;
        let store = StoreId(take_u64(input)?);
        let segment = take_u64(input)?;
        let offset = take_u64(input)?;
        let start = JournalPosition { segment, offset, sequence: take_u64(input)? };
        let promised = take_ballot(input)?;
        let (complete, floor) = (take_slot(input)?, take_slot(input)?);
        let entries = take_u64(input)?;
        let accepted = match input.try_get_u8().ok()? {
            0 => None,
            1 => Some(take_proposal(input, false)?),
            2 => Some(take_proposal(input, true)?),
            _ => return None,
        };
        let members = if input.is_empty() { None } else { Some(take_member_entry(input)?) };
        let keeps_promise = accepted.as_ref().is_none_or(|accepted| accepted.ballot <= promised);
        let is_start = start.sequence < u64::MAX / 2 && start.offset.is_multiple_of(BLOCK as u64);
        let head = Head { start, promised, complete, floor, entries, accepted, members };
        (keeps_promise && is_start && floor <= complete && content.is_empty())
            .then_some((store, head))
    }
}

/// All entries of a range of keys, as of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// The last round that it reflects.
    pub(super) as_of: u64,
    /// The last key that it covers; `None` on the last page.
    pub(super) until: Option<Key>,
    pub(super) entries: Vec<(Key, Entry<Value>)>,
}

impl Page {
    pub(super) fn decode(mut content: &[u8]) -> Option<Page> {
        let input: Input = &mut content;
        let as_of = take_u64(input)?;
        let until = match input.try_get_u8().ok()? {
            0 => None,
            1 => Some(take_key(input)?),
            _ => return None,
        };
        let entries = take_list(input, take_entry)?;
        content.is_empty().then_some(Page { as_of, until, entries })
    }
}

/// A page that is being encoded. [`PageFrame::seal`] fills in the header of its frame later.
pub(super) struct PageEncoder {
    entries: Vec<u8>,
    count: u32,
}

impl PageEncoder {
    pub(super) fn new(capacity: usize) -> PageEncoder {
        PageEncoder { entries: Vec::with_capacity(capacity), count: 0 }
    }

    pub(super) fn add(&mut self, key: &Key, entry: &Entry<Value>) {
        put_entry(&mut self.entries, key, entry);
        self.count += 1;
    }

    pub(super) fn bytes(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn finish(self, as_of: u64, until: Option<&Key>) -> PageFrame {
        let mut start = Vec::with_capacity(FRAME_HEADER + 64);
        start.resize(FRAME_HEADER, 0);
        start.put_u64(as_of);
        start.put_u8(u8::from(until.is_some()));
        if let Some(until) = until {
            put_bytes(&mut start, until);
        }
        start.put_u32(self.count);
        PageFrame { start, entries: self.entries }
    }
}

/// An encoded page that is not written yet.
pub(super) struct PageFrame {
    /// Space for the header, and the content before the entries.
    pub(super) start: Vec<u8>,
    pub(super) entries: Vec<u8>,
}

impl PageFrame {
    /// Returns the frame after the last page.
    pub(super) fn last() -> PageFrame {
        PageFrame { start: vec![0; FRAME_HEADER], entries: Vec::new() }
    }

    /// Returns its length in bytes.
    pub(super) fn bytes(&self) -> u64 {
        (self.start.len() + self.entries.len()) as u64
    }

    /// Fills in the header.
    pub(super) fn seal(&mut self, sequence: u64, number: u32) {
        let length = self.start.len() - FRAME_HEADER + self.entries.len();
        let mut header = Vec::with_capacity(FRAME_HEADER);
        header.put_u64(sequence);
        header.put_u32(number);
        header.put_u32(u32::try_from(length).expect("a page is far below 4 GiB"));
        header.put_u32(checksum(&[&header, &self.start[FRAME_HEADER..], &self.entries]));
        self.start[..FRAME_HEADER].copy_from_slice(&header);
    }
}

/// The header of a frame that was read.
pub(super) struct FrameHeader {
    bytes: [u8; FRAME_HEADER],
    pub(super) sequence: u64,
    pub(super) number: u32,
    pub(super) length: u32,
}

impl FrameHeader {
    pub(super) fn decode(bytes: [u8; FRAME_HEADER]) -> FrameHeader {
        let mut fields = &bytes[..];
        let (sequence, number, length) = (fields.get_u64(), fields.get_u32(), fields.get_u32());
        FrameHeader { bytes, sequence, number, length }
    }

    /// Whether the checksum of the header and the content is right.
    pub(super) fn matches(&self, content: &[u8]) -> bool {
        let mut expected = &self.bytes[16..];
        checksum(&[&self.bytes[..16], content]) == expected.get_u32()
    }
}
