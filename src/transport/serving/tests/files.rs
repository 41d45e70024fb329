//! Security files that change while the node runs, and certificates that end. The effects on a
//! whole node are tested with server processes (`tests/security`).

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::authority::Authority;
use super::loopback;
use crate::security::{Files, Keeper, NodeTls, Part, TlsFiles, Validity, wall_clock};

const DAY: u64 = 24 * 60 * 60;

fn here() -> IpAddr {
    loopback().ip()
}

fn validity(files: &TlsFiles, at: u64) -> Validity {
    let tls = NodeTls::read(files).expect("files");
    tls.validity(here(), Duration::from_secs(at))
}

#[test]
fn the_validity_of_a_certificate_is_known_at_any_time() {
    let authority = Authority::new();
    let files = authority.between(here(), 1_000 * DAY, 2_000 * DAY);
    let seconds = Duration::from_secs;
    for (at, expected) in [
        (0, Validity::NotBefore(seconds(1_000 * DAY))),
        (1_000 * DAY - 1, Validity::NotBefore(seconds(1_000 * DAY))),
        (1_000 * DAY, Validity::Until(seconds(2_000 * DAY))),
        (2_000 * DAY, Validity::Until(seconds(2_000 * DAY))),
        (2_000 * DAY + 1, Validity::Ended(seconds(2_000 * DAY))),
        (u64::MAX, Validity::Ended(seconds(2_000 * DAY))),
    ] {
        assert_eq!(validity(&files, at), expected, "at {at}");
    }
    let other = Authority::new();
    let strange = TlsFiles { ca: other.ca(), ..files };
    assert!(matches!(validity(&strange, 1_500 * DAY), Validity::Refused(_)));
}

#[test]
fn a_certificate_ends_with_the_first_certificate_of_its_chain() {
    let authority = Authority::new();
    for (own, between) in [(2_000, 3_000), (3_000, 2_000), (2_000, 2_000)] {
        let files = authority.chained(here(), own * DAY, between * DAY);
        let end = Duration::from_secs(2_000 * DAY);
        assert_eq!(validity(&files, 1_000 * DAY), Validity::Until(end));
        assert!(!validity(&files, 2_000 * DAY + 1).is_in_force());
    }
}

/// The security files of a node, in a directory of their own.
struct SecretsDir {
    directory: tempfile::TempDir,
    files: Files,
}

impl SecretsDir {
    fn new(authority: &Authority) -> SecretsDir {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let tls = TlsFiles { cert: path("cert"), key: path("key"), ca: path("ca") };
        let files =
            Files { cluster_key: Some(path("cluster")), tls: Some(tls), client_tokens: None };
        let place = SecretsDir { directory, files };
        place.write("cluster", &[b'1'; 32]);
        place.copy("ca", &authority.ca());
        place.give(&authority.node(here()));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("a file");
    }

    fn copy(&self, name: &str, from: &Path) {
        fs::copy(from, self.path(name)).expect("a file");
    }

    fn give(&self, own: &TlsFiles) {
        self.copy("cert", &own.cert);
        self.copy("key", &own.key);
    }

    fn open(&self) -> Keeper {
        Keeper::open(self.files.clone(), here()).expect("files")
    }
}

/// Takes the one part that changed; returns the error if it cannot be used.
fn take(keeper: &mut Keeper) -> Result<Part, String> {
    let mut changed = keeper.look();
    let (part, loaded) = changed.pop().expect("a change");
    assert!(changed.is_empty(), "only one part changed: {part}");
    keeper.take(part, &loaded).map(|()| part).map_err(|error| {
        keeper.leave(part, &loaded);
        error.to_string()
    })
}

fn end(keeper: &Keeper) -> Validity {
    keeper.security().tls.as_ref().expect("TLS").validity(here(), wall_clock())
}

#[test]
fn a_certificate_and_its_key_change_as_a_pair() {
    let authority = Authority::new();
    let place = SecretsDir::new(&authority);
    let mut keeper = place.open();
    assert!(keeper.look().is_empty(), "nothing changed");
    let (before, until) = (end(&keeper), wall_clock().as_secs() + 5 * DAY);
    let next = authority.between(here(), 0, until);
    place.copy("cert", &next.cert);
    let error = take(&mut keeper).expect_err("the key does not belong to the certificate");
    assert!(error.contains("cert"), "{error}");
    assert_eq!(end(&keeper), before);
    assert!(keeper.look().is_empty(), "the error is reported once");
    place.copy("key", &next.key);
    assert_eq!(take(&mut keeper), Ok(Part::Tls));
    assert_eq!(end(&keeper), Validity::Until(Duration::from_secs(until)));
    // A certificate that other nodes would refuse is not taken, nor is a missing file.
    for bad in [authority.expired(here()), authority.node(IpAddr::from([127, 0, 0, 9]))] {
        place.give(&bad);
        take(&mut keeper).expect_err("not taken");
    }
    fs::remove_file(place.path("cert")).expect("a file");
    take(&mut keeper).expect_err("it is gone");
    assert_eq!(end(&keeper), Validity::Until(Duration::from_secs(until)));
    // The other parts can still change.
    place.write("cluster", &[b'2'; 32]);
    assert_eq!(take(&mut keeper), Ok(Part::ClusterKey));
}

/// As secrets are mounted in containers: a symbolic link leads to a directory, and later to
/// another.
#[test]
fn changed_contents_count_and_changed_links_or_times_do_not() {
    let authority = Authority::new();
    let place = SecretsDir::new(&authority);
    for (directory, byte) in [("one", b'1'), ("two", b'2'), ("same", b'1')] {
        fs::create_dir(place.path(directory)).expect("a directory");
        place.write(&format!("{directory}/cluster"), &[byte; 32]);
    }
    let lead = |to: &str| {
        let _ = fs::remove_file(place.path("now"));
        std::os::unix::fs::symlink(to, place.path("now")).expect("a link");
    };
    lead("one");
    fs::remove_file(place.path("cluster")).expect("a file");
    std::os::unix::fs::symlink("now/cluster", place.path("cluster")).expect("a link");
    let mut keeper = place.open();
    lead("same");
    assert!(keeper.look().is_empty(), "another file with the same contents");
    lead("two");
    assert_eq!(take(&mut keeper), Ok(Part::ClusterKey));
    lead("nowhere");
    take(&mut keeper).expect_err("the file is missing");
    lead("two");
    assert_eq!(take(&mut keeper), Ok(Part::ClusterKey), "the file is correct again");
}

#[test]
fn a_pipe_is_not_read_again() {
    let authority = Authority::new();
    let place = SecretsDir::new(&authority);
    let keeper = place.open();
    fs::remove_file(place.path("cluster")).expect("a file");
    let made = std::process::Command::new("mkfifo").arg(place.path("cluster")).status();
    assert!(made.expect("mkfifo").success());
    assert!(keeper.look().is_empty());
}
