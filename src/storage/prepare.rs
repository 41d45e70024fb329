//! Prepares journal segments before they are needed, on a background thread.
//!
//! A segment gets its name only when it is complete: filled to its full size, with its header, and
//! synced. So a segment with a bad header is damaged, not unfinished, and a write to its blocks
//! changes no metadata of the file system. The inventory contains a segment while it has its name.

use super::disk::Folder;
use super::error::StorageError;
use super::format::{SEGMENT_DRAFT, StoreId, segment_name};
use super::inventory::Catalog;
use super::segment::{BLOCK, Segment};

/// A piece of work.
pub(super) enum Job {
    /// Prepare the segment, in the file of segment `reuse` if that is given: it has the same size
    /// and is no longer needed.
    Prepare { segment: Segment, reuse: Option<u64> },
    /// Remove a segment that is no longer needed.
    Remove(u64),
}

/// Does one job, and returns the segment that it prepared.
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
            // The rename may be lost in a crash. The file then has the name of a segment before
            // the checkpoint, and no start reads its content.
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
    // This precedes the first round of the segment, so that a start notices if the file is missing.
    catalog.name_segment(segment)?;
    Ok(Some(segment))
}
