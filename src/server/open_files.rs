//! How many descriptors the process may have open, and what they are kept for: the storage and the
//! other members come first, clients get the rest.
//!
//! Clients that take the last descriptor would keep a member away that comes back, and the storage
//! from its next file. So the bounds on connections are lowered at the start until all that may be
//! open at once fits into the limit of the system, which is raised first as far as it goes.

use log::info;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::error::ServerError;
use super::notices::Notices;
use crate::limits::{LEAST_UNGREETED, MEMBER_DESCRIPTORS, OWN_DESCRIPTORS};
use crate::transport::Settings;
use crate::wire::Severity;

/// What is open at the start where the system does not tell: the standard streams and some more.
const USUALLY_OPEN: usize = 8;

/// What a process may have open, and has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenFiles {
    limit: usize,
    open: usize,
}

impl OpenFiles {
    /// Raises the limit of this process as far as the system lets it, and returns it.
    pub(super) fn raise() -> OpenFiles {
        let limit = match getrlimit(Resource::RLIMIT_NOFILE) {
            Ok((soft, hard)) if soft < hard => {
                match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
                    Ok(()) => hard,
                    Err(_) => soft,
                }
            }
            Ok((soft, _)) => soft,
            // It says nothing, so there is nothing to keep to.
            Err(_) => u64::MAX,
        };
        let open = std::fs::read_dir("/proc/self/fd").map_or(USUALLY_OPEN, Iterator::count);
        OpenFiles { limit: usize::try_from(limit).unwrap_or(usize::MAX), open }
    }

    /// Returns the settings with as many connections as fit, in a cluster of `nodes` nodes.
    ///
    /// # Errors
    /// When not a single client fits.
    pub(super) fn fit(self, nodes: usize, settings: Settings) -> Result<Settings, ServerError> {
        let OpenFiles { limit, open } = self;
        let kept = open + OWN_DESCRIPTORS + nodes.saturating_sub(1) * MEMBER_DESCRIPTORS;
        let left = limit.saturating_sub(kept);
        let least = LEAST_UNGREETED.min(settings.max_ungreeted);
        if left <= least {
            return Err(ServerError::TooFewOpenFiles { limit, least: kept + least + 1 });
        }
        let max_ungreeted = (left / 4).clamp(least, settings.max_ungreeted);
        let max_clients = settings.max_clients.min(left - max_ungreeted);
        let max_ungreeted_per_address =
            settings.max_ungreeted_per_address.min(max_ungreeted.div_ceil(2));
        Ok(Settings { max_clients, max_ungreeted, max_ungreeted_per_address, ..settings })
    }

    /// Says how many clients fit; `wanted` is how many would without the limit.
    pub(super) fn tell(self, notices: &Notices, settings: &Settings, wanted: usize) {
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

    /// All that may be open at once with these settings.
    fn most(open: usize, nodes: usize, settings: &Settings) -> usize {
        let members = (nodes - 1) * MEMBER_DESCRIPTORS;
        open + OWN_DESCRIPTORS + members + settings.max_ungreeted + settings.max_clients
    }

    #[test]
    fn what_may_be_open_fits_into_every_limit_that_is_not_refused() {
        for nodes in [1, 3, 5, 9, 64] {
            let mut refused = 0;
            for limit in 0..2_000 {
                let files = OpenFiles { limit, open: 5 };
                match files.fit(nodes, Settings::default()) {
                    Ok(fit) => {
                        assert!(most(5, nodes, &fit) <= limit, "{limit}: {fit:?}");
                        assert!(fit.max_clients >= 1 && fit.max_ungreeted >= LEAST_UNGREETED);
                        assert!(fit.max_ungreeted_per_address >= 1);
                    }
                    Err(ServerError::TooFewOpenFiles { least, .. }) => {
                        assert!(least > limit);
                        refused = least;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            let files = OpenFiles { limit: refused, open: 5 };
            let fit = files.fit(nodes, Settings::default()).expect("the least that is named");
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
    fn the_limit_of_this_process_is_raised_to_what_it_may_be() {
        let files = OpenFiles::raise();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits");
        assert_eq!(soft, hard);
        assert!(files.open >= 3 && files.open < files.limit, "{files:?}");
    }
}
