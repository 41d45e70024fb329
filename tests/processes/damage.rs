//! Starts on a data directory that belongs to another node, cluster or program, or is damaged,
//! read-only, full, in use, or missing.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lattistore::Client;
use lattistore::client::Certainty;

use crate::fleet::{Ended, Fleet, Process, server};

/// Starts a node that must fail; returns how it ended.
fn start_and_fail(fleet: &mut Fleet, node: usize) -> Ended {
    fleet.start(node);
    fleet.take(node).wait()
}

fn expect_storage_error(ended: &Ended, words: &str) {
    assert_eq!(ended.code, Some(4), "{}", ended.log);
    assert!(ended.error().contains(words), "{words:?} is not in {}", ended.error());
}

/// Returns a cluster with five values and node 0 stopped. Each value waited for node 0, so that its
/// journal has at least one round for each: a node that lags may write several in one round.
fn with_one_stopped() -> Fleet {
    let mut fleet = Fleet::loopback(3);
    for number in 0..5 {
        fleet.client().put("a", &number.to_string()).unwrap();
        fleet.wait_until_caught_up(0);
    }
    fleet.stop(0);
    fleet
}

#[test]
fn a_directory_of_another_program_is_refused_and_left_unchanged() {
    let mut fleet = Fleet::new(crate::support::addresses(1), vec![None]);
    let file = fleet.data(0).join("thesis.txt");
    fs::create_dir(fleet.data(0)).unwrap();
    fs::write(&file, "years of work").unwrap();
    expect_storage_error(&start_and_fail(&mut fleet, 0), "not a lattistore data directory");
    assert_eq!(fs::read_to_string(&file).unwrap(), "years of work");
    assert_eq!(fs::read_dir(fleet.data(0)).unwrap().count(), 1);
}

#[test]
fn a_directory_of_another_node_is_refused() {
    let mut fleet = with_one_stopped();
    fleet.stop(1);
    fs::rename(fleet.data(0), fleet.data(9)).unwrap();
    fs::rename(fleet.data(1), fleet.data(0)).unwrap();
    let ended = start_and_fail(&mut fleet, 0);
    assert_eq!(ended.code, Some(5), "{}", ended.log);
    let was = format!("--my-ip {}", fleet.addresses[1]);
    assert!(ended.error().contains(&was), "{}", ended.log);
}

#[test]
fn a_directory_in_use_is_refused_and_its_server_goes_on() {
    let fleet = Fleet::loopback(1);
    fleet.client().put("a", "1").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let ip = crate::support::addresses(1)[0];
    let mut command = server(ip, &[ip]);
    command.arg("--data-dir").arg(fleet.data(0));
    let ended = Process::start(&mut command, directory.path().join("log")).wait();
    expect_storage_error(&ended, "in use by another server");
    fleet.client().put("a", "2").unwrap();
}

/// Returns the journal segments of a directory, oldest first.
fn journals(data: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let mut journals: Vec<PathBuf> =
        names.filter(|path| path.to_string_lossy().contains("journal-")).collect();
    journals.sort();
    journals
}

#[test]
fn every_missing_file_is_an_error_that_names_it() {
    let mut fleet = Fleet::loopback(3);
    let large = "x".repeat(1 << 20);
    // These fill two segments and begin the next one, which holds the latest accepted proposal.
    (0..36).for_each(|number| fleet.client().put(&format!("{}", number % 4), &large).unwrap());
    fleet.wait_until_caught_up(0);
    fleet.kill(0);
    let journals = journals(&fleet.data(0));
    assert!(journals.len() >= 3, "{journals:?}");
    let mut lost: Vec<Vec<PathBuf>> = journals.iter().map(|path| vec![path.clone()]).collect();
    // Without the newest two: an interrupted copy of the directory is like this.
    lost.push(journals[journals.len() - 2..].to_vec());
    lost.push(vec![fleet.data(0).join("identity")]);
    lost.push(vec![fleet.data(0).join("FORMAT")]);
    let away = tempfile::tempdir_in(fleet.directory()).unwrap();
    for lost in lost {
        let aside = |path: &Path| away.path().join(path.file_name().unwrap());
        lost.iter().for_each(|path| fs::rename(path, aside(path)).unwrap());
        let ended = start_and_fail(&mut fleet, 0);
        expect_storage_error(&ended, "missing");
        expect_storage_error(&ended, &lost[0].display().to_string());
        lost.iter().for_each(|path| fs::rename(aside(path), path).unwrap());
    }
    fleet.start(0);
    fleet.wait_until_caught_up(0);
}

/// Returns the first journal segment of a directory.
fn journal(data: &Path) -> PathBuf {
    journals(data).remove(0)
}

/// Flips one bit.
fn flip(file: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

#[test]
fn a_flipped_bit_is_an_error_that_names_the_file() {
    let mut fleet = with_one_stopped();
    let journal = journal(&fleet.data(0));
    let identity = fleet.data(0).join("identity");
    let format = fleet.data(0).join("FORMAT");
    // In the journal: its header, and the head and the records of its first round. A later round
    // may hold no records and only seal the previous one, so a flipped bit after its head changes
    // nothing.
    for (file, at) in
        [(&identity, 40), (&format, 26), (&journal, 30), (&journal, 4_104), (&journal, 4_134)]
    {
        flip(file, at);
        let ended = start_and_fail(&mut fleet, 0);
        expect_storage_error(&ended, "corrupted");
        let name = file.file_name().unwrap().to_string_lossy();
        assert!(ended.error().contains(&*name), "{}", ended.error());
        fleet.client().put("b", "the others go on").unwrap();
        flip(file, at);
    }
    fleet.start(0);
    fleet.wait_until_caught_up(0);
}

#[test]
fn a_read_only_directory_is_an_error_that_says_so() {
    let mut fleet = with_one_stopped();
    let data = fleet.data(0);
    let log = tempfile::tempdir().unwrap();
    let mut plain = server(fleet.addresses[0], &fleet.addresses);
    plain.arg("--data-dir").arg(&data);
    // Root ignores permissions, so for root the file system itself must be read-only.
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let ended = if is_root {
        let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", mount]).arg(&data);
        command.arg(plain.get_program()).args(plain.get_args());
        Process::start(&mut command, log.path().join("log")).wait()
    } else {
        fs::set_permissions(&data, fs::Permissions::from_mode(0o555)).unwrap();
        let ended = Process::start(&mut plain, log.path().join("log")).wait();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
        ended
    };
    if is_root && !ended.log.contains("error: ") {
        println!("skipped: root cannot mount here, and permissions do not stop it:\n{}", ended.log);
        return;
    }
    let words = if is_root { "Read-only file system" } else { "Permission denied" };
    expect_storage_error(&ended, words);
    fleet.start(0);
    fleet.wait_until_caught_up(0);
}

/// A small file system, which is unmounted when this is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts it at `at`; `None` if that is not allowed.
    fn mount(at: PathBuf, options: &str) -> Option<SmallDisk> {
        fs::create_dir(&at).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "none"]).arg(&at);
        let mounted = command.output().is_ok_and(|output| output.status.success());
        mounted.then_some(SmallDisk(at))
    }

    fn resize(&self, options: &str) {
        let mut command = Command::new("mount");
        command.args(["-o", &format!("remount,{options}")]).arg(&self.0);
        assert!(command.status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(unmounted.unwrap().success());
    }
}

#[test]
fn a_full_disk_stops_a_node_that_returns_when_there_is_space() {
    let mut fleet = Fleet::new(crate::support::addresses(3), vec![None; 3]);
    // It holds two segments of the journal, and not a third.
    let Some(disk) = SmallDisk::mount(fleet.data(0), "size=40m") else {
        return println!("skipped: a small disk cannot be mounted without being root");
    };
    fleet.start_all();
    let client = fleet.client();
    let value = "v".repeat(100_000);
    let mut acknowledged = 0;
    while !fleet.has_ended(0) {
        client.put(&format!("key/{acknowledged}"), &value).unwrap();
        acknowledged += 1;
        assert!(acknowledged < 1_000, "the disk was never full");
    }
    expect_storage_error(&fleet.take(0).wait(), "no space left");
    client.put("others", "go on").unwrap();
    // While there is no space, each start fails in the same way.
    expect_storage_error(&start_and_fail(&mut fleet, 0), "no space left");
    disk.resize("size=400m");
    fleet.start(0);
    fleet.wait_until_caught_up(0);
    // With only one other node, a read needs this one: everything that it lacked must be there.
    fleet.stop(1);
    for key in 0..acknowledged {
        assert_eq!(client.get(&format!("key/{key}")).unwrap().as_deref(), Some(&*value));
    }
    fleet.stop(0);
}

#[test]
fn a_node_whose_directory_is_missing_does_not_vote() {
    let mut fleet = with_one_stopped();
    fs::remove_dir_all(fleet.data(0)).unwrap();
    let ended = start_and_fail(&mut fleet, 0);
    assert_eq!(ended.code, Some(5), "{}", ended.log);
    assert!(ended.error().contains("cannot come back"), "{}", ended.log);
    let client = fleet.client();
    client.put("a", "the others go on").unwrap();
    // It must not form a majority with one of the two others.
    fleet.stop(1);
    fs::remove_dir_all(fleet.data(0)).unwrap();
    let ended = start_and_fail(&mut fleet, 0);
    assert_eq!(ended.code, Some(5), "{}", ended.log);
    let impatient =
        Client::builder().address(fleet.socket(2)).timeout(Duration::from_secs(1)).build();
    let error = impatient.put("a", "a node without its directory does not vote").unwrap_err();
    assert!(error.certainty() != Certainty::Ran, "{error}");
    fleet.start(1);
    client.put("a", "two members are a majority").unwrap();
}

#[test]
fn a_directory_of_another_cluster_is_refused_and_does_not_vote() {
    let mut fleet = with_one_stopped();
    fs::rename(fleet.data(0), fleet.data(9)).unwrap();
    // A second cluster at the same addresses makes another directory for the same node.
    let mut other = Fleet::new(fleet.addresses.clone(), vec![None; 3]);
    fleet.stop(1);
    fleet.stop(2);
    other.start_all();
    other.client().put("a", "of the other cluster").unwrap();
    (0..3).for_each(|node| other.stop(node));
    fs::rename(other.data(0), fleet.data(0)).unwrap();
    fleet.start(1);
    fleet.start(2);
    fleet.client().put("a", "of the first cluster").unwrap();
    let ended = start_and_fail(&mut fleet, 0);
    assert_eq!(ended.code, Some(5), "{}", ended.log);
    assert!(
        ended.error().contains("data director"),
        "the error does not say what to do: {}",
        ended.log
    );
    let read = fleet.client().get("a").unwrap();
    assert_eq!(read.as_deref(), Some("of the first cluster"));
}
