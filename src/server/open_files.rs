//! The limit of open file descriptors: the storage and the connections to other members have
//! reserved descriptors, and clients get the rest.
//!
//! If clients took the last descriptor, a member that reconnects would get no connection, and the
//! storage could not open its next file. So the start first raises the system's limit as far as
//! allowed, and then lowers the bounds on connections until everything that may be open at the same
//! time fits.

use log::info;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::error::ServerError;
use super::notices::Notices;
use crate::limits::{MEMBER_DESCRIPTORS, MIN_UNGREETED, OWN_DESCRIPTORS};
use crate::transport::Settings;
use crate::wire::Severity;

/// The descriptors that are assumed open at the start where the system does not tell: the standard
/// streams and some more.
const USUALLY_OPEN: usize = 8;

/// The limit of descriptors of a process, and how many it has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenFiles {
    limit: usize,
    open: usize,
}

impl OpenFiles {
    /// Raises the limit of this process as far as the system allows, and returns it.
    pub(super) fn raise() -> OpenFiles {
        let limit = match getrlimit(Resource::RLIMIT_NOFILE) {
            Ok((soft, hard)) if soft < hard => {
                match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
                    Ok(()) => hard,
                    Err(_) => soft,
                }
            }
            Ok((soft, _)) => soft,
            // Without an answer of the system, no limit is assumed.
            Err(_) => u64::MAX,
        };
        let open = std::fs::read_dir("/proc/self/fd").map_or(USUALLY_OPEN, Iterator::count);
        OpenFiles { limit: usize::try_from(limit).unwrap_or(usize::MAX), open }
    }

    /// Returns the settings with as many connections as fit, for a cluster of `nodes` nodes.
    ///
    /// # Errors
    /// If not even one client fits.
    pub(super) fn fit(self, nodes: usize, settings: Settings) -> Result<Settings, ServerError> {
        let OpenFiles { limit, open } = self;
        let kept = open + OWN_DESCRIPTORS + nodes.saturating_sub(1) * MEMBER_DESCRIPTORS;
        let left = limit.saturating_sub(kept);
        let min = MIN_UNGREETED.min(settings.max_ungreeted);
        if left <= min {
            return Err(ServerError::TooFewOpenFiles { limit, min: kept + min + 1 });
        }
        let max_ungreeted = (left / 4).clamp(min, settings.max_ungreeted);
        let max_clients = settings.max_clients.min(left - max_ungreeted);
        let max_ungreeted_per_address =
            settings.max_ungreeted_per_address.min(max_ungreeted.div_ceil(2));
        Ok(Settings { max_clients, max_ungreeted, max_ungreeted_per_address, ..settings })
    }

    /// Logs how many clients fit; `wanted` is their number without the limit. Sets a notice if it
    /// is lower.
    pub(super) fn log(self, notices: &Notices, settings: &Settings, wanted: usize) {
        let (fit, limit) = (settings.max_clients, self.limit);
        if fit < wanted {
            let message = format!(
                "at most {fit} clients fit at a time instead of {wanted}, as the process may have \
                 {limit} open files and connections: raise its limit (ulimit -n, or LimitNOFILE=)"
            );
            notices.set("few_open_files", Severity::Warning, message);
        } else {
            info!("up to {fit} clients fit at a time");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many descriptors may be open at the same time with these settings.
    fn max_open(open: usize, nodes: usize, settings: &Settings) -> usize {
        let members = (nodes - 1) * MEMBER_DESCRIPTORS;
        open + OWN_DESCRIPTORS + members + settings.max_ungreeted + settings.max_clients
    }

    #[test]
    fn all_descriptors_fit_into_every_accepted_limit() {
        for nodes in [1, 3, 5, 9, 64] {
            let mut refused = 0;
            for limit in 0..2_000 {
                let files = OpenFiles { limit, open: 5 };
                match files.fit(nodes, Settings::default()) {
                    Ok(fit) => {
                        assert!(max_open(5, nodes, &fit) <= limit, "{limit}: {fit:?}");
                        assert!(fit.max_clients >= 1 && fit.max_ungreeted >= MIN_UNGREETED);
                        assert!(fit.max_ungreeted_per_address >= 1);
                    }
                    Err(ServerError::TooFewOpenFiles { min, .. }) => {
                        assert!(min > limit);
                        refused = min;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            let files = OpenFiles { limit: refused, open: 5 };
            let fit = files
                .fit(nodes, Settings::default())
                .expect("the smallest limit that the error names");
            assert_eq!(fit.max_clients, 1);
        }
    }

    #[test]
    fn with_the_usual_limit_nine_nodes_have_room_for_all_clients() {
        let settings = Settings::default();
        let files = OpenFiles { limit: 1_024, open: 5 };
        assert_eq!(files.fit(9, settings).expect("it fits"), settings);
        let unbounded = OpenFiles { limit: usize::MAX, open: 5 };
        assert_eq!(unbounded.fit(64, settings).expect("it fits"), settings);
    }

    #[test]
    fn the_limit_of_this_process_is_raised_to_the_hard_limit() {
        let files = OpenFiles::raise();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits");
        assert_eq!(soft, hard);
        assert!(files.open >= 3 && files.open < files.limit, "{files:?}");
    }
}
