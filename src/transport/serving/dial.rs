//! Opens connections to a peer although packets may be lost.
//!
//! A system that gets no answer to its first packet of a connection repeats it after a second, then
//! after two, so a link that is whole again would stay unused for that long. Therefore a new try begins
//! beside those that wait, a bounded number of them, and the first that is answered is taken.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, connect, socket,
};

use crate::limits::MAX_TRIES;

/// How long a thread that dials looks away from whether dialing is over.
const STOP_STEP: Duration = Duration::from_millis(250);

/// How dialing ended.
pub(super) enum Dialed {
    /// The peer's system answered; `tries` were begun before it did.
    Connected { stream: TcpStream, tries: u32 },
    /// The connection that is watched meanwhile has something to read, or ended.
    Heard,
}

/// What dialing keeps to.
pub(super) struct DialTimes {
    /// Between two tries.
    pub(super) space: Duration,
    /// How long one try waits for its answer.
    pub(super) time: Duration,
}

/// One try.
struct Try {
    stream: TcpStream,
    end: Instant,
}

impl Try {
    fn begin(address: SocketAddr, time: Duration) -> io::Result<Try> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::Inet,
            SocketAddr::V6(_) => AddressFamily::Inet6,
        };
        let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        let stream = TcpStream::from(fd);
        stream.set_nonblocking(true)?;
        let begun = match address {
            SocketAddr::V4(address) => connect(stream.as_raw_fd(), &SockaddrIn::from(address)),
            SocketAddr::V6(address) => connect(stream.as_raw_fd(), &SockaddrIn6::from(address)),
        };
        match begun {
            Ok(()) | Err(Errno::EINPROGRESS | Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Try { stream, end: Instant::now() + time })
    }

    /// The connection, now that its socket says that the try is over.
    fn connected(self) -> io::Result<TcpStream> {
        match self.stream.take_error()? {
            Some(error) => Err(error),
            None => {
                self.stream.set_nonblocking(false)?;
                Ok(self.stream)
            }
        }
    }
}

/// Connects to `address`, by more tries as long as none is answered, until `until` where that is given.
/// Meanwhile it watches the connection `beside`, where there is one, and asks now and then whether
/// dialing is over.
///
/// # Errors
/// When all tries that wait were refused, none could begin, the time is over, or dialing is.
pub(super) fn dial(
    address: SocketAddr,
    times: &DialTimes,
    until: Option<Instant>,
    beside: Option<BorrowedFd<'_>>,
    is_over: &dyn Fn() -> bool,
) -> io::Result<Dialed> {
    let mut waiting: VecDeque<Try> = VecDeque::new();
    let mut tries = 0;
    let mut next = Instant::now();
    loop {
        if is_over() {
            return Err(io::Error::other("it is not wanted any more"));
        }
        let now = Instant::now();
        if until.is_some_and(|until| now >= until) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        waiting.retain(|a_try| now < a_try.end);
        if now >= next && waiting.len() < MAX_TRIES {
            match Try::begin(address, times.time) {
                Ok(begun) => waiting.push_back(begun),
                Err(error) if waiting.is_empty() => return Err(error),
                // For instance no descriptor is left: those that wait may still be answered.
                Err(_) => {}
            }
            tries += 1;
            next = now + times.space;
        }
        let ends = waiting.iter().map(|a_try| a_try.end);
        let time = time_to_wait(now, next, ends, until);
        let ready = look(&waiting, beside, time)?;
        if ready.beside {
            return Ok(Dialed::Heard);
        }
        // The last first, so that the other indices stay right.
        for index in ready.tries.into_iter().rev() {
            let Some(over) = waiting.remove(index) else { continue };
            match over.connected() {
                Ok(stream) => return Ok(Dialed::Connected { stream, tries }),
                Err(error) if waiting.is_empty() => return Err(error),
                Err(_) => {}
            }
        }
    }
}

/// Returns how long to wait until there is something to do, where the tries that wait have these
/// `ends` and the next one is due at `next`. Where as many wait as may, it begins once one ends.
fn time_to_wait(
    now: Instant,
    next: Instant,
    ends: impl ExactSizeIterator<Item = Instant>,
    until: Option<Instant>,
) -> Duration {
    let next = (ends.len() < MAX_TRIES).then_some(next);
    let times = ends.chain(until).chain(next).map(|time| time.saturating_duration_since(now));
    times.fold(STOP_STEP, Duration::min)
}

/// Which tries are over, and whether there is something to read beside them.
struct Looked {
    tries: Vec<usize>,
    beside: bool,
}

/// Waits until something is ready or the time is over.
fn look(
    waiting: &VecDeque<Try>,
    beside: Option<BorrowedFd<'_>>,
    time: Duration,
) -> io::Result<Looked> {
    let tries = waiting.iter().map(|a_try| PollFd::new(a_try.stream.as_fd(), PollFlags::POLLOUT));
    let beside = beside.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    let mut fds: Vec<PollFd<'_>> = tries.chain(beside).collect();
    // Rounded up, so that what is waited for is due then.
    let ms = time.as_micros().div_ceil(1_000).min(60_000);
    let timeout = PollTimeout::from(u16::try_from(ms).unwrap_or(u16::MAX));
    match poll(&mut fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
    let (tries, beside) = fds.split_at(waiting.len());
    let tries = tries.iter().enumerate().filter(|(_, fd)| is_ready(fd)).map(|(index, _)| index);
    Ok(Looked { tries: tries.collect(), beside: beside.iter().any(is_ready) })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicBool, Ordering};

    use crossbeam_channel::bounded;

    use super::*;

    const FOREVER: Duration = Duration::from_secs(60);

    const NEVER: &(dyn Fn() -> bool + Sync) = &|| false;

    fn times(space: Duration) -> DialTimes {
        DialTimes { space, time: FOREVER }
    }

    #[test]
    fn who_listens_is_connected_to_by_the_first_try() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bound");
        let address = listener.local_addr().expect("an address");
        let dialed = dial(address, &times(FOREVER), None, None, NEVER).expect("connected");
        let Dialed::Connected { stream, tries } = dialed else { panic!("nothing else is heard") };
        assert_eq!((stream.peer_addr().expect("the other end"), tries), (address, 1));
    }

    #[test]
    fn a_refusal_is_an_error_at_once() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bound");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        assert!(dial(address, &times(FOREVER), None, None, NEVER).is_err());
    }

    /// An address whose system answers nothing: the queue of those that were not accepted is full.
    fn full() -> (TcpListener, SocketAddr, Vec<TcpStream>) {
        let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
        let fd = fd.expect("a socket");
        let any = SockaddrIn::new(127, 0, 0, 1, 0);
        nix::sys::socket::bind(fd.as_raw_fd(), &any).expect("bound");
        let backlog = nix::sys::socket::Backlog::new(0).expect("a length");
        nix::sys::socket::listen(&fd, backlog).expect("listening");
        let listener = TcpListener::from(fd);
        let address = listener.local_addr().expect("an address");
        let mut queued = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
            queued.push(stream);
        }
        (listener, address, queued)
    }

    #[test]
    fn more_tries_begin_while_none_is_answered_and_they_are_bounded() {
        let (listener, address, queued) = full();
        let (done, is_done) = bounded(1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let dialed = dial(address, &times(Duration::from_millis(1)), None, None, NEVER);
                done.send(dialed).expect("waited for");
            });
            // The first try is repeated by the system after a second only; another one is answered.
            for _ in &queued {
                listener.accept().expect("the one that waits");
            }
            let dialed = is_done.recv_timeout(FOREVER).expect("in time").expect("connected");
            let Dialed::Connected { tries, .. } = dialed else { panic!("nothing else is heard") };
            assert!((1..=MAX_TRIES).contains(&usize::try_from(tries).expect("few")), "{tries}");
        });
    }

    #[test]
    fn while_as_many_tries_wait_as_may_there_is_nothing_to_do() {
        let now = Instant::now() + FOREVER;
        let ms = Duration::from_millis;
        let wait =
            |tries| time_to_wait(now, now - ms(1), vec![now + ms(20); tries].into_iter(), None);
        assert_eq!(wait(MAX_TRIES - 1), Duration::ZERO, "the next one is due");
        assert_eq!(wait(MAX_TRIES), ms(20), "until one ends");
        let none = std::iter::empty();
        assert_eq!(time_to_wait(now, now + FOREVER, none, Some(now + ms(7))), ms(7));
    }

    #[test]
    fn what_comes_on_the_connection_beside_it_ends_the_dialing() {
        let (_listener, address, _queued) = full();
        let old = TcpListener::bind(("127.0.0.1", 0)).expect("bound");
        let watched = TcpStream::connect(old.local_addr().expect("an address")).expect("connected");
        let (mut other, _) = old.accept().expect("accepted");
        io::Write::write_all(&mut other, &[0]).expect("written");
        let dialed = dial(address, &times(FOREVER), None, Some(watched.as_fd()), NEVER);
        assert!(matches!(dialed, Ok(Dialed::Heard)));
    }

    #[test]
    fn dialing_ends_when_it_is_not_wanted_any_more_or_the_time_is_over() {
        let is_over = AtomicBool::new(false);
        let stop = || is_over.load(Ordering::SeqCst);
        let (_listener, address, _queued) = full();
        let until = Instant::now() + Duration::from_millis(5);
        assert!(dial(address, &times(FOREVER), Some(until), None, &stop).is_err());
        is_over.store(true, Ordering::SeqCst);
        assert!(dial(address, &times(FOREVER), None, None, &stop).is_err());
    }
}
