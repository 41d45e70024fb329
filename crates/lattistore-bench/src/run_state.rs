//! The state that the threads of one measured run share.

use std::sync::atomic::AtomicU64;

use super::plan::Plan;
use super::record::Span;

/// A run in progress.
pub(super) struct Run<'a> {
    pub(super) plan: &'a Plan<'a>,
    /// The time that is measured.
    pub(super) span: Span,
    /// The number of operations answered so far, for the progress line.
    pub(super) answered: AtomicU64,
}
