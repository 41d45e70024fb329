//! Sizes and thresholds of the storage on disk.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::worker::Background;

/// Sizes and thresholds of the storage on disk.
///
/// Files that were written with other options stay readable.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    /// Size of a journal segment in bytes.
    pub segment_bytes: u64,
    /// A checkpoint begins when the bytes of journal that no checkpoint covers are at least this
    /// many and at least as many as the last checkpoint has.
    pub checkpoint_after_bytes: u64,
    /// A page of a checkpoint has at most about this many bytes of entries ...
    pub page_bytes: usize,
    /// ... and at most this many entries. A call of `maintain` encodes one page, or as many pages
    /// as it takes to keep up with the records written since the last call.
    pub page_entries: usize,
    /// A checkpoint is synced whenever this many bytes of it are unsynced, so that each sync is
    /// short.
    pub checkpoint_sync_bytes: u64,
    /// After this many calls of `maintain` without a write between them, the last round of the
    /// journal is sealed.
    pub seal_after_idle_calls: u32,
    /// The thread that does the background work.
    pub background: Background,
    /// The seed of salts and ids. It is random, unless the caller must be deterministic.
    pub seed: u64,
}

impl Default for StorageOptions {
    fn default() -> StorageOptions {
        StorageOptions {
            // Large enough that a change of segments is rare, and small enough to be filled with
            // zeros in 30 ms.
            segment_bytes: 16 << 20,
            // A start reads this much journal in less than a second.
            checkpoint_after_bytes: 64 << 20,
            // A page is encoded in about 50 microseconds: less than one sync.
            page_bytes: 128 << 10,
            page_entries: 512,
            checkpoint_sync_bytes: 8 << 20,
            seal_after_idle_calls: 8,
            background: Background::Thread,
            seed: RandomState::new().build_hasher().finish(),
        }
    }
}
