//! Runs the examples of the section "Members" of `docs/operations.md`, in their order, while a
//! client that knows the first address only goes on writing.
//!
//! An example is a line that begins with `$ `. The lines after it are what it prints, with other
//! ids, slots and times.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lattistore::Client;

use crate::fleet::{Process, joining, server};
use crate::support::{addresses, client_of, eventually};

const DOCUMENT: &str = include_str!("../../docs/operations.md");

/// The section of the replacement, before which the disk of its node is lost.
const REPLACEMENT: &str = "### Replace a node that lost its disk";

/// The node whose disk is lost.
const LOST: usize = 3;

/// The number of nodes in the examples, and of the addresses `10.0.0.1` and so on.
const NODES: u8 = 5;

/// The processes of the examples.
struct Story {
    ips: Vec<IpAddr>,
    directory: tempfile::TempDir,
    /// The processes that run, by the last number of their address.
    running: BTreeMap<usize, Process>,
    started: usize,
}

impl Story {
    fn ip(&self, node: usize) -> IpAddr {
        self.ips[node - 1]
    }

    /// Returns the text with the addresses of this test.
    fn here(&self, text: &str) -> String {
        let texts = (1..=usize::from(NODES)).map(|node| (format!("10.0.0.{node}"), self.ip(node)));
        texts.fold(text.to_owned(), |text, (there, here)| text.replace(&there, &here.to_string()))
    }

    /// Returns the text with the addresses of the examples, and without what differs in each run.
    fn there(&self, text: &str) -> String {
        let texts = (1..=usize::from(NODES)).map(|node| (format!("10.0.0.{node}"), self.ip(node)));
        let text = texts
            .fold(text.to_owned(), |text, (there, here)| text.replace(&here.to_string(), &there));
        text.lines().map(normal).collect()
    }

    fn data(&self, node: usize) -> PathBuf {
        self.directory.path().join(node.to_string())
    }

    fn start(&mut self, node: usize, mut command: Command) {
        self.started += 1;
        let log = self.directory.path().join(format!("{}.log", self.started));
        command.arg("--data-dir").arg(self.data(node));
        self.running.insert(node, Process::start(&mut command, log));
    }

    /// Starts a node by a command of the examples.
    fn join(&mut self, options: &str) {
        let words: Vec<&str> = options.split(' ').collect();
        let ["--my-ip", ip, "--join", of, "..."] = words[..] else { panic!("{options}") };
        let node = |ip: &str| ip.rsplit('.').next().unwrap().parse::<usize>().unwrap();
        let command = joining(self.ip(node(ip)), &[self.ip(node(of))]);
        self.start(node(ip), command);
    }

    /// Runs the client, and returns all that it prints.
    fn run(&self, arguments: &str) -> String {
        self.run_to_end(arguments).0
    }

    /// Runs the client, and returns all that it prints, and its exit code.
    fn run_to_end(&self, arguments: &str) -> (String, Option<i32>) {
        let mut program = Command::new(env!("CARGO_BIN_EXE_client"));
        program.env_remove("LATTISTORE_SERVER_IP").env_remove("LATTISTORE_PORT");
        program.env_remove("LATTISTORE_TIMEOUT");
        let here = self.here(arguments);
        let output = program.args(here.split(' ')).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        // The program may have to wait for the node, and says so.
        let errors = errors.lines().filter(|line| !line.starts_with("waits for a node at "));
        let errors: String = errors.map(|line| line.to_owned() + "\n").collect();
        (String::from_utf8(output.stdout).unwrap() + &errors, output.status.code())
    }

    /// Runs the client, and expects what the example shows. A list is repeated until then.
    fn expect(&self, arguments: &str, shown: &str, place: &str) {
        let expected = self.there(shown);
        let mut printed = String::new();
        if arguments.ends_with("member list") {
            eventually(format_args!("{place} to print:\n{expected}"), || {
                printed = self.run(arguments);
                (self.there(&printed) == expected).then_some(())
            });
        } else {
            printed = self.run(arguments);
            assert_eq!(self.there(&printed), expected, "{place}:\n{printed}");
        }
    }
}

/// Returns a line of output without ids, slots, and what a slow machine changes: lags, the leader,
/// and how many nodes are heard at this moment.
fn normal(line: &str) -> String {
    if let Some((_, needed)) = line.split_once(" may fail: ") {
        return needed.split(',').next().unwrap_or_default().to_owned() + "\n";
    }
    let word = |word: &str| {
        let is_id = word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id { "ID".to_owned() } else { word.to_owned() }
    };
    let mut words: Vec<String> = line.split_whitespace().map(word).collect();
    match words.first().map(String::as_str) {
        Some("since") => "since".clone_into(&mut words[2]),
        Some("leader" | "seen") => words.truncate(1),
        Some(first) if first.ends_with(":50051") => {
            let role = words[2].replace("leader", "voter");
            (words[2], words[3]) = (role, "lag".to_owned());
        }
        _ => {}
    }
    words.join(" ") + "\n"
}

/// Writes with a client until `over` is set; returns how many writes were answered.
fn write(client: &Client, over: &AtomicBool) -> u64 {
    let mut count = 0;
    while !over.load(Ordering::Relaxed) {
        count += 1;
        client.put("count", &count.to_string()).unwrap();
    }
    count
}

#[test]
fn the_examples_of_the_section_on_members_print_what_they_show() {
    let ips = addresses(NODES);
    let directory = tempfile::tempdir().unwrap();
    let mut story = Story { ips, directory, running: BTreeMap::new(), started: 0 };
    let first = story.ip(1);
    story.start(1, server(first, &[first]));
    let writer = client_of(&[first]);
    writer.put("count", "0").unwrap();
    let over = AtomicBool::new(false);
    let count = thread::scope(|scope| {
        let _end = EndOnDrop(&over);
        let writing = scope.spawn(|| write(&writer, &over));
        let examples = run_examples(&mut story);
        assert!(examples > 12, "only {examples} examples found");
        over.store(true, Ordering::Relaxed);
        writing.join().unwrap()
    });
    assert!(count > 0);
    // The node that the client was started with is gone.
    assert!(story.running.remove(&1).is_some_and(|node| node.wait().code == Some(7)));
    assert_eq!(writer.get("count").unwrap(), Some(count.to_string()));
    let known: Vec<_> = writer.nodes().into_iter().filter(|(_, status)| status.is_ok()).collect();
    assert_eq!(known.len(), 3, "{known:?}");
    // A node that stops before it is level stays a learner.
    story.join("--my-ip 10.0.0.1 --join 10.0.0.2 ...");
    eventually("the removed node to be refused", || {
        story.running.get_mut(&1).is_some_and(Process::has_ended).then_some(())
    });
    fs::remove_dir_all(story.data(1)).unwrap();
    story.join("--my-ip 10.0.0.1 --join 10.0.0.2 ...");
    let waits = "waits at 10.0.0.1 to be added: member add 10.0.0.1";
    let list = "--server-ip 10.0.0.3 member list";
    eventually("the node to wait", || story.there(&story.run(list)).contains(waits).then_some(()));
    story.running[&1].signal("STOP");
    let add = "--server-ip 10.0.0.2 --timeout 2s member add 10.0.0.1";
    let (pending, code) = story.run_to_end(add);
    assert!(pending.starts_with("pending, goes on by itself: "), "{pending}");
    assert_eq!(code, Some(9));
    let cancelled = story.there(&story.run("--server-ip 10.0.0.2 member cancel 10.0.0.1"));
    assert!(cancelled.starts_with("node ID at 10.0.0.1 is no longer a member"), "{cancelled}");
}

/// Ends the writer, also if the test fails.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs the examples, and returns their number.
fn run_examples(story: &mut Story) -> usize {
    let mut examples = 0;
    let mut lines = DOCUMENT.lines().enumerate().peekable();
    let mut in_example = false;
    while let Some((number, line)) = lines.next() {
        if line == REPLACEMENT {
            story.running.remove(&LOST).unwrap().kill();
            fs::remove_dir_all(story.data(LOST)).unwrap();
        }
        in_example = line == "```console" || (in_example && line != "```");
        let Some(command) = line.strip_prefix("$ ").filter(|_| in_example) else { continue };
        examples += 1;
        let mut shown = String::new();
        let is_shown = |line: &str| line != "```" && !line.starts_with("$ ");
        while let Some((_, line)) = lines.next_if(|(_, line)| is_shown(line)) {
            shown = shown + line + "\n";
        }
        let place = format!("docs/operations.md:{}", number + 1);
        if let Some(options) = command.strip_prefix("lattistore-server ") {
            story.join(options);
            assert_eq!(shown, "", "{place}");
        } else {
            let arguments = command.strip_prefix("lattistore ").unwrap();
            story.expect(arguments, &shown, &place);
        }
    }
    examples
}
