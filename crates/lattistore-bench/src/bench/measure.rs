//! Fills and measures a lattistore cluster.

use std::net::SocketAddr;

use ::lattistore::client::Builder;

use super::lattistore::Lattistore;
use super::options::Work;
use crate::plan::{Loop, Plan};
use crate::record::Report;
use crate::workload::KeySpace;
use crate::{fill, run};

/// The number of puts in flight while the keys are written.
const FILL_DEPTH: usize = 128;
/// The most keys of such a put.
const FILL_WRITES: usize = 64;
/// The approximate most bytes of such a put, unless one key has more.
const FILL_BYTES: usize = 16 << 10;

/// The nodes that are measured.
pub(crate) struct MeasuredNodes<'a> {
    pub(crate) addresses: &'a [SocketAddr],
    pub(crate) clients: &'a Builder,
    /// The nodes' processes that run on this machine.
    pub(crate) processes: &'a [u32],
}

impl MeasuredNodes<'_> {
    fn connect(
        &self,
        work: &Work,
    ) -> Result<(::lattistore::transport::Stream, Lattistore), String> {
        Lattistore::connect(self.addresses, !work.no_session, self.clients)
    }

    /// Writes all keys once.
    ///
    /// # Errors
    /// When keys cannot be written.
    pub(crate) fn fill(&self, work: &Work) -> Result<(), String> {
        let writes = (FILL_BYTES / work.put_bytes(1)).clamp(1, FILL_WRITES);
        fill::fill(&space(work), FILL_DEPTH, writes, &|| self.connect(work))
    }

    /// Runs the operations, and measures them after the warm-up.
    ///
    /// # Errors
    /// When a connection cannot be made.
    pub(crate) fn measure(&self, work: &Work, how: Loop) -> Result<Report, String> {
        let space = space(work);
        let plan = Plan {
            workload: work.workload,
            writes: usize::from(work.writes),
            space: &space,
            connections: usize::from(work.connections),
            depth: usize::from(work.depth),
            how,
            warm_up: work.warm_up,
            duration: work.duration,
        };
        run::measure("lattistore", &plan, self.processes, true, &|| self.connect(work))
    }
}

fn space(work: &Work) -> KeySpace {
    let (key_bytes, value_bytes) = (usize::from(work.key_bytes), work.value_bytes as usize);
    KeySpace::new(work.keys, key_bytes, value_bytes, work.distribution)
}
