//! The journal on disk: segments of a fixed size, and the rounds in them.
//!
//! A segment is a file of whole blocks of 4 KiB. Block 0 is its header, wrapped by [`seal`]: the
//! data directory's id (8 bytes), the segment's number (8), its salt (8) and its size (8). Rounds
//! follow, each at the start of a block, so that a write never touches a block of an acknowledged
//! round. The bytes after the last round are from the file's earlier use, and have another salt.
//!
//! | at | bytes | field of a round |
//! | --- | --- | --- |
//! | 0 | 8 | salt of the segment |
//! | 8 | 8 | sequence: 1, 2, ... over all segments |
//! | 16 | 4 | block of the segment at which it starts |
//! | 20 | 4 | length of the payload |
//! | 24 | 4 | number of records |
//! | 28 | 4 | CRC-32 of the payload |
//! | 32 | 4 | CRC-32 of the 32 bytes above |
//! | 36 | | payload: the records; then zeros up to the end of the block |

use bytes::{Buf, BufMut};

use super::disk::{Folder, NamedFile};
use super::error::StorageError;
use super::format::{SEAL_BYTES, SEGMENT_MAGIC, StoreId, checksum, seal, segment_name, unseal};

/// The size of a block in bytes: a page of the operating system, so that a write does not require
/// a read first.
pub(super) const BLOCK: usize = 4096;

/// The bytes of a round before its payload.
pub(super) const ROUND_HEADER: usize = 36;

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The segment's place in the journal, counted from 1. A number is never used twice.
    pub(super) number: u64,
    /// Random; distinguishes its rounds from those of the file's earlier uses.
    pub(super) salt: u64,
    /// The length of the file in bytes, a multiple of [`BLOCK`].
    pub(super) size: u64,
}

impl Segment {
    /// Returns block 0.
    pub(super) fn encode(&self, store: StoreId) -> Vec<u8> {
        let mut content = Vec::with_capacity(32);
        content.put_u64(store.0);
        content.put_u64(self.number);
        content.put_u64(self.salt);
        content.put_u64(self.size);
        let mut block = seal(SEGMENT_MAGIC, &content);
        block.resize(BLOCK, 0);
        block
    }

    fn decode(bytes: &[u8], store: StoreId, file: &NamedFile) -> Result<Segment, StorageError> {
        let mut content = unseal(SEGMENT_MAGIC, bytes, file)?;
        if content.len() != 32 {
            return Err(file.corrupted(12, "the length is wrong"));
        }
        if content.get_u64() != store.0 {
            return Err(file.corrupted(SEAL_BYTES as u64, "it belongs to another data directory"));
        }
        let (number, salt, size) = (content.get_u64(), content.get_u64(), content.get_u64());
        Ok(Segment { number, salt, size })
    }
}

/// A segment that was read at start-up.
pub(super) struct SegmentContent {
    pub(super) segment: Segment,
    pub(super) file: NamedFile,
    bytes: Vec<u8>,
}

/// A whole round that was read at start-up.
pub(super) struct Round<'a> {
    pub(super) sequence: u64,
    pub(super) records: u32,
    pub(super) payload: &'a [u8],
    /// The offset at which the next round starts.
    pub(super) end: u64,
}

impl SegmentContent {
    /// Reads the segment with this number and checks its header, but not its rounds.
    pub(super) fn read(
        folder: &Folder,
        store: StoreId,
        number: u64,
    ) -> Result<SegmentContent, StorageError> {
        let file = folder.open(&segment_name(number))?;
        let bytes = file.read_all()?;
        let segment = Segment::decode(&bytes, store, &file)?;
        if segment.number != number {
            return Err(file.corrupted(SEAL_BYTES as u64, "its number differs from its name"));
        }
        if segment.size != bytes.len() as u64 || !bytes.len().is_multiple_of(BLOCK) {
            return Err(file.corrupted(bytes.len() as u64, "the file has the wrong length"));
        }
        Ok(SegmentContent { segment, file, bytes })
    }

    /// Returns the header of the round at this offset, if it is whole: sequence, number of records,
    /// length and checksum of the payload.
    fn header_at(&self, offset: u64) -> Option<(u64, u32, u32, u32)> {
        let at = usize::try_from(offset).ok()?;
        let header = self.bytes.get(at..)?.get(..ROUND_HEADER)?;
        let mut fields = header;
        if fields.get_u64() != self.segment.salt {
            return None;
        }
        let sequence = fields.get_u64();
        let block = fields.get_u32();
        let (length, records, expected) = (fields.get_u32(), fields.get_u32(), fields.get_u32());
        let is_whole = fields.get_u32() == checksum(&[&header[..32]]);
        let is_at_its_block = u64::from(block) * BLOCK as u64 == offset;
        (is_whole && is_at_its_block).then_some((sequence, records, length, expected))
    }

    /// Returns the round at this offset, if it is whole.
    pub(super) fn round_at(&self, offset: u64) -> Option<Round<'_>> {
        let (sequence, records, length, expected) = self.header_at(offset)?;
        let start = usize::try_from(offset).ok()? + ROUND_HEADER;
        let payload = self.bytes.get(start..)?.get(..length as usize)?;
        let end = offset + round_bytes(payload.len());
        (checksum(&[payload]) == expected).then_some(Round { sequence, records, payload, end })
    }

    /// Returns the first offset, from this one on, with the header of a round of this sequence or a
    /// later one.
    pub(super) fn later_round(&self, offset: u64, sequence: u64) -> Option<u64> {
        (offset..self.segment.size)
            .step_by(BLOCK)
            .find(|at| self.header_at(*at).is_some_and(|(found, ..)| found >= sequence))
    }

    /// Returns how many bytes at this offset match the beginning of a round with this sequence. The
    /// place with the most matches probably holds the damaged round.
    pub(super) fn likeness(&self, offset: u64, sequence: u64) -> usize {
        if self.header_at(offset).is_some_and(|(found, ..)| found != sequence) {
            return 0;
        }
        let expected = [self.segment.salt.to_be_bytes(), sequence.to_be_bytes()].concat();
        let found = self.slice(offset, offset + expected.len() as u64);
        expected.iter().zip(found).filter(|(expected, found)| expected == found).count()
    }

    /// Returns the bytes from one offset to another, as far as the file has them.
    pub(super) fn slice(&self, from: u64, to: u64) -> &[u8] {
        let index = |offset| usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        &self.bytes[index(from)..index(to)]
    }
}

/// Returns the bytes that a round takes in a segment.
pub(super) fn round_bytes(payload: usize) -> u64 {
    (ROUND_HEADER + payload).next_multiple_of(BLOCK) as u64
}

/// Completes a round: fills in its header and pads it to whole blocks.
///
/// The buffer holds [`ROUND_HEADER`] bytes of any content and then the payload.
pub(super) fn finish_round(
    buffer: &mut Vec<u8>,
    segment: &Segment,
    offset: u64,
    sequence: u64,
    records: usize,
) {
    let payload = buffer.len() - ROUND_HEADER;
    let narrow = |number: u64| u32::try_from(number).expect("a round is far below 4 GiB");
    let payload_checksum = checksum(&[&buffer[ROUND_HEADER..]]);
    let mut header = Vec::with_capacity(ROUND_HEADER);
    header.put_u64(segment.salt);
    header.put_u64(sequence);
    header.put_u32(narrow(offset / BLOCK as u64));
    header.put_u32(narrow(payload as u64));
    header.put_u32(narrow(records as u64));
    header.put_u32(payload_checksum);
    header.put_u32(checksum(&[&header]));
    buffer[..ROUND_HEADER].copy_from_slice(&header);
    buffer.resize(buffer.len().next_multiple_of(BLOCK), 0);
}
