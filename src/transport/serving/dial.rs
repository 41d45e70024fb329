//! Opens connections to a peer although packets may be lost.
//!
//! If the first packet of a connection gets no answer, the system repeats it after a second, then
//! after two more. A network that works again would stay unused for that time. Therefore further
//! attempts begin while earlier ones wait, up to [`MAX_CONNECT_ATTEMPTS`], and the first that is
//! answered is used.

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

use crate::limits::MAX_CONNECT_ATTEMPTS;

/// The longest time between two checks of whether dialing is no longer wanted.
const STOP_STEP: Duration = Duration::from_millis(250);

/// The result of dialing.
pub(super) enum Dialed {
    /// The peer's system answered, after `tries` attempts had begun.
    Connected { stream: TcpStream, tries: u32 },
    /// The watched connection has input, or ended.
    Heard,
}

/// The times of dialing.
pub(super) struct DialTimes {
    /// The time between the beginnings of two attempts.
    pub(super) interval: Duration,
    /// How long one attempt waits for its answer.
    pub(super) timeout: Duration,
}

/// One attempt.
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

    /// Returns the connection, or the error, after the socket reported the end of the attempt.
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

/// Connects to `address`: begins further attempts while none is answered, until `until` if that is
/// set. Meanwhile it watches the connection `watched`, if there is one, and checks at least every
/// [`STOP_STEP`] whether dialing is over.
///
/// # Errors
/// If all attempts under way were refused, none could begin, the time is over, or dialing is no
/// longer wanted.
pub(super) fn dial(
    address: SocketAddr,
    times: &DialTimes,
    until: Option<Instant>,
    watched: Option<BorrowedFd<'_>>,
    is_over: &dyn Fn() -> bool,
) -> io::Result<Dialed> {
    let mut waiting: VecDeque<Try> = VecDeque::new();
    let mut tries = 0;
    let mut next = Instant::now();
    loop {
        if is_over() {
            return Err(io::Error::other("the connection is no longer wanted"));
        }
        let now = Instant::now();
        if until.is_some_and(|until| now >= until) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        waiting.retain(|a_try| now < a_try.end);
        if now >= next && waiting.len() < MAX_CONNECT_ATTEMPTS {
            match Try::begin(address, times.timeout) {
                Ok(begun) => waiting.push_back(begun),
                Err(error) if waiting.is_empty() => return Err(error),
                // For instance no descriptor is free: an earlier attempt may still be answered.
                Err(_) => {}
            }
            tries += 1;
            next = now + times.interval;
        }
        let ends = waiting.iter().map(|a_try| a_try.end);
        let time = time_to_wait(now, next, ends, until);
        let ready = wait(&waiting, watched, time)?;
        if ready.watched {
            return Ok(Dialed::Heard);
        }
        // Backwards, so that the other indices stay valid.
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

/// Returns how long to wait until there is something to do. The attempts under way have these
/// `ends`, and the next attempt is due at `next`. With [`MAX_CONNECT_ATTEMPTS`] attempts under way,
/// the next one begins after one of them ends.
fn time_to_wait(
    now: Instant,
    next: Instant,
    ends: impl ExactSizeIterator<Item = Instant>,
    until: Option<Instant>,
) -> Duration {
    let next = (ends.len() < MAX_CONNECT_ATTEMPTS).then_some(next);
    let times = ends.chain(until).chain(next).map(|time| time.saturating_duration_since(now));
    times.fold(STOP_STEP, Duration::min)
}

/// The attempts that are over, and whether the watched connection has input.
struct Ready {
    tries: Vec<usize>,
    watched: bool,
}

/// Waits until something is ready or the time is over.
fn wait(
    waiting: &VecDeque<Try>,
    watched: Option<BorrowedFd<'_>>,
    time: Duration,
) -> io::Result<Ready> {
    let tries = waiting.iter().map(|a_try| PollFd::new(a_try.stream.as_fd(), PollFlags::POLLOUT));
    let watched = watched.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    let mut fds: Vec<PollFd<'_>> = tries.chain(watched).collect();
    // Rounded up, so that the next action is due after the wait.
    let ms = time.as_micros().div_ceil(1_000).min(60_000);
    let timeout = PollTimeout::from(u16::try_from(ms).unwrap_or(u16::MAX));
    match poll(&mut fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
    let (tries, watched) = fds.split_at(waiting.len());
    let tries = tries.iter().enumerate().filter(|(_, fd)| is_ready(fd)).map(|(index, _)| index);
    Ok(Ready { tries: tries.collect(), watched: watched.iter().any(is_ready) })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicBool, Ordering};

    use crossbeam_channel::bounded;

    use super::*;

    const FOREVER: Duration = Duration::from_secs(60);

    const NEVER: &(dyn Fn() -> bool + Sync) = &|| false;

    fn times(interval: Duration) -> DialTimes {
        DialTimes { interval, timeout: FOREVER }
    }

    #[test]
    fn a_listening_peer_is_connected_by_the_first_attempt() {
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

    /// Returns an address that does not answer: its queue of unaccepted connections is
    /// full.
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
    fn further_attempts_begin_while_none_is_answered_and_are_bounded() {
        let (listener, address, queued) = full();
        let (done, is_done) = bounded(1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let dialed = dial(address, &times(Duration::from_millis(1)), None, None, NEVER);
                done.send(dialed).expect("waited for");
            });
            // The system repeats the first attempt only after a second; another attempt is
            // answered.
            for _ in &queued {
                listener.accept().expect("the waiting connection");
            }
            let dialed = is_done.recv_timeout(FOREVER).expect("in time").expect("connected");
            let Dialed::Connected { tries, .. } = dialed else { panic!("nothing else is heard") };
            assert!(
                (1..=MAX_CONNECT_ATTEMPTS).contains(&usize::try_from(tries).expect("few")),
                "{tries}"
            );
        });
    }

    #[test]
    fn with_max_connect_attempts_under_way_no_further_one_begins() {
        let now = Instant::now() + FOREVER;
        let ms = Duration::from_millis;
        let wait =
            |tries| time_to_wait(now, now - ms(1), vec![now + ms(20); tries].into_iter(), None);
        assert_eq!(wait(MAX_CONNECT_ATTEMPTS - 1), Duration::ZERO, "the next one is due");
        assert_eq!(wait(MAX_CONNECT_ATTEMPTS), ms(20), "until one ends");
        let none = std::iter::empty();
        assert_eq!(time_to_wait(now, now + FOREVER, none, Some(now + ms(7))), ms(7));
    }

    #[test]
    fn input_on_the_watched_connection_ends_dialing() {
        let (_listener, address, _queued) = full();
        let old = TcpListener::bind(("127.0.0.1", 0)).expect("bound");
        let watched = TcpStream::connect(old.local_addr().expect("an address")).expect("connected");
        let (mut other, _) = old.accept().expect("accepted");
        io::Write::write_all(&mut other, &[0]).expect("written");
        let dialed = dial(address, &times(FOREVER), None, Some(watched.as_fd()), NEVER);
        assert!(matches!(dialed, Ok(Dialed::Heard)));
    }

    #[test]
    fn dialing_ends_when_it_is_no_longer_wanted_or_the_time_is_over() {
        let is_over = AtomicBool::new(false);
        let stop = || is_over.load(Ordering::SeqCst);
        let (_listener, address, _queued) = full();
        let until = Instant::now() + Duration::from_millis(5);
        assert!(dial(address, &times(FOREVER), Some(until), None, &stop).is_err());
        is_over.store(true, Ordering::SeqCst);
        assert!(dial(address, &times(FOREVER), None, None, &stop).is_err());
    }
}
