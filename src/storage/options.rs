//! Sizes and thresholds of the storage on disk.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::worker::Background;

/// How the storage on disk is laid out and when it does what. Files that were written with other
/// options stay readable.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    /// Size of a journal segment in bytes.
    pub segment_bytes: u64,
    /// A checkpoint is begun when this many bytes of journal, and as many as the last checkpoint
    /// has, are not covered by one.
    pub checkpoint_after_bytes: u64,
    /// A page of a checkpoint has at most about this many bytes of entries ...
    pub page_bytes: usize,
    /// ... and at most this many entries. A call of `maintain` makes one page, or as many as it
    /// takes to keep up with what was written since the last call.
    pub page_entries: usize,
    /// A checkpoint is synced whenever this many bytes of it are written, so that no sync is long.
    pub checkpoint_sync_bytes: u64,
    /// After this many calls of `maintain` without a write between, the journal's last round is
    /// sealed.
    pub seal_after_idle_calls: u32,
    /// Where the work beside the consensus thread is done.
    pub background: Background,
    /// Where salts and ids come from. Random, unless the caller must be deterministic.
    pub seed: u64,
}

impl Default for StorageOptions {
    fn default() -> StorageOptions {
        StorageOptions {
            // Large enough that a turn-over is rare, small enough to be filled with zeros in 30 ms.
            segment_bytes: 16 << 20,
            // Read back in well under a second.
            checkpoint_after_bytes: 64 << 20,
            // Encoded in about 50 microseconds: less than one sync.
            page_bytes: 128 << 10,
            page_entries: 512,
            checkpoint_sync_bytes: 8 << 20,
            seal_after_idle_calls: 8,
            background: Background::Thread,
            seed: RandomState::new().build_hasher().finish(),
        }
    }
}
