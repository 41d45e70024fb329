//! Makes journal segments ready before they are needed, beside the consensus thread.
//!
//! A segment gets its name only when it is whole: filled with something to its full size, with its
//! header, and synced. So a segment with a bad header is never an unfinished one, and overwriting
//! its blocks needs no change of the file system's own data. The inventory names it as long as it
//! has its name.

use super::disk::Folder;
use super::error::StorageError;
use super::format::{SEGMENT_DRAFT, StoreId, segment_name};
use super::inventory::Catalog;
use super::segment::{BLOCK, Segment};

/// A piece of work.
pub(super) enum Job {
    /// Make the segment ready, out of the file of a segment of the same size that is not needed
    /// any more if there is one.
    Prepare { segment: Segment, reuse: Option<u64> },
    /// Remove a segment that is not needed any more.
    Remove(u64),
}

/// Does one job; gives the segment that it made ready.
pub(super) fn run(
    folder: &Folder,
    store: StoreId,
    catalog: &Catalog,
    job: Job,
) -> Result<Option<Segment>, StorageError> {
    let (segment, reuse) = match job {
        Job::Remove(number) => {
            catalog.forget_segment(number)?;
            return folder.remove(&segment_name(number)).map(|()| None);
        }
        Job::Prepare { segment, reuse } => (segment, reuse),
    };
    let file = match reuse {
        Some(number) => {
            catalog.forget_segment(number)?;
            // If the old name comes back after a crash, it is that of a segment before the
            // checkpoint, which nobody reads: it does not matter what is in it.
            folder.rename(&segment_name(number), SEGMENT_DRAFT)?;
            folder.open(SEGMENT_DRAFT)?
        }
        None => {
            let file = folder.create(SEGMENT_DRAFT)?;
            let zeros = vec![0; segment.size.min(1 << 20) as usize];
            let mut offset = BLOCK as u64;
            while offset < segment.size {
                let piece = (segment.size - offset).min(zeros.len() as u64);
                #[expect(clippy::cast_possible_truncation, reason = "at most the length of zeros")]
                file.write_at(offset, &zeros[..piece as usize])?;
                offset += piece;
            }
            file
        }
    };
    file.write_at(0, &segment.encode(store))?;
    file.sync()?;
    folder.rename(SEGMENT_DRAFT, &segment_name(segment.number))?;
    folder.sync_names()?;
    // Before a round is written there: a start must miss it if it goes.
    catalog.name_segment(segment)?;
    Ok(Some(segment))
}
