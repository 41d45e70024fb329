//! A standard error that blocks, is full or closed: a node neither stops serving nor hangs when it
//! stops.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::os::fd::AsFd;
use std::process::Command;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::fleet::{Process, server};
use crate::support::{PORT, addresses, client_of};

/// A byte that no log contains.
const FILLING: u8 = 0;

/// Makes a descriptor blocking or non-blocking.
fn set_blocking(of: impl AsFd, blocking: bool) {
    let flags = if blocking { OFlag::empty() } else { OFlag::O_NONBLOCK };
    fcntl(of, FcntlArg::F_SETFL(flags)).unwrap();
}

/// Returns a pipe with a full buffer.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    set_blocking(&writer, false);
    loop {
        match writer.write(&[FILLING; 4096]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    set_blocking(&writer, true);
    (reader, writer)
}

/// Returns a command for an in-memory server with the most verbose log.
fn verbose(ip: IpAddr, ips: &[IpAddr]) -> Command {
    let mut command = server(ip, ips);
    command.args(["--in-memory", "--log", "trace"]);
    command
}

#[test]
fn a_cluster_whose_logs_are_not_read_elects_serves_and_stops() {
    let ips = addresses(3);
    let (readers, nodes): (Vec<_>, Vec<_>) = ips
        .iter()
        .map(|ip| {
            let (reader, writer) = full_pipe();
            (reader, Process::unread(&mut verbose(*ip, &ips), writer))
        })
        .unzip();
    let client = client_of(&ips);
    for number in 0..100 {
        client.put("a", &number.to_string()).unwrap();
    }
    for node in nodes {
        node.signal("TERM");
        let ended = node.wait();
        assert_eq!(ended.code, Some(0));
    }
    drop(readers);
}

#[test]
fn a_process_with_an_error_that_is_not_read_ends() {
    let (_reader, writer) = full_pipe();
    let ips = addresses(2);
    // Its own address is not in the list of nodes.
    let mut command = server(ips[0], &ips[1..]);
    let ended = Process::unread(command.arg("--in-memory"), writer).wait();
    assert_eq!(ended.code, Some(2));
}

#[test]
fn lines_that_were_dropped_are_counted_once_the_log_is_read_again() {
    let ips = addresses(1);
    let (mut reader, writer) = full_pipe();
    let node = Process::unread(&mut verbose(ips[0], &ips), writer);
    let client = client_of(&ips);
    client.put("a", "1").unwrap();
    // Each connection is a line of the log. These are more lines than the queue of the log holds.
    for _ in 0..3_000 {
        TcpStream::connect((ips[0], PORT)).unwrap();
    }
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes.retain(|byte| *byte != FILLING);
        String::from_utf8(bytes).unwrap()
    });
    client.put("a", "2").unwrap();
    node.signal("TERM");
    assert_eq!(node.wait().code, Some(0));
    let log = reading.join().unwrap();
    assert!(log.contains("listens on"), "the first lines are missing:\n{log}");
    assert!(log.contains("lines of the log were dropped"), "{log}");
}

#[test]
fn a_log_on_a_full_disk_stops_nothing() {
    let ips = addresses(1);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let node = Process::unread(&mut verbose(ips[0], &ips), full);
    client_of(&ips).put("a", "1").unwrap();
    node.signal("TERM");
    assert_eq!(node.wait().code, Some(0));
}

#[test]
fn a_log_that_its_reader_closed_stops_nothing() {
    let ips = addresses(1);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let node = Process::unread(&mut verbose(ips[0], &ips), writer);
    client_of(&ips).put("a", "1").unwrap();
    node.signal("TERM");
    assert_eq!(node.wait().code, Some(0));
}

/// Other programs share the descriptor, such as the shell, and expect it to block.
#[test]
fn standard_error_is_not_made_non_blocking() {
    let ips = addresses(1);
    let (reader, writer) = std::io::pipe().unwrap();
    let flags = |of: &std::io::PipeWriter| fcntl(of, FcntlArg::F_GETFL).unwrap();
    let before = flags(&writer);
    let ours = writer.try_clone().unwrap();
    let node = Process::unread(&mut verbose(ips[0], &ips), writer);
    client_of(&ips).put("a", "1").unwrap();
    assert_eq!(flags(&ours), before);
    node.signal("TERM");
    assert_eq!(node.wait().code, Some(0));
    drop(reader);
}
