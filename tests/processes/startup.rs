//! How a server process ends: by a signal, or because it cannot start. Each end has its exit code,
//! and each error is one line that says what to do.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use crate::fleet::{Ended, Fleet, Process, server};
use crate::support::{PORT, addresses, eventually};

/// Runs a server that must end by itself.
fn run(command: &mut Command) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    Process::start(command, directory.path().join("log")).wait()
}

/// Returns a command for a cluster of one with a data directory.
fn alone(ip: IpAddr, data: &Path) -> Command {
    let mut command = server(ip, &[ip]);
    command.arg("--data-dir").arg(data);
    command
}

#[test]
fn sigterm_and_sigint_stop_a_node_with_exit_code_0() {
    for signal in ["TERM", "INT"] {
        let mut fleet = Fleet::loopback(3);
        fleet.client().put("a", "1").unwrap();
        let leader = fleet.leader();
        let processes: Vec<Process> = (0..fleet.len()).map(|node| fleet.take(node)).collect();
        processes[leader].signal(signal);
        processes.iter().enumerate().filter(|(node, _)| *node != leader).for_each(
            |(_, process)| {
                process.signal(signal);
            },
        );
        for ended in processes.into_iter().map(Process::wait) {
            assert_eq!(ended.code, Some(0), "{}", ended.log);
        }
    }
}

#[test]
fn a_node_that_waits_for_the_others_is_stopped_by_a_signal_too() {
    let directory = tempfile::tempdir().unwrap();
    let ips = addresses(3);
    let mut command = server(ips[0], &ips);
    command.arg("--data-dir").arg(directory.path().join("data"));
    let process = Process::start(&mut command, directory.path().join("log"));
    eventually("the node to listen", || process.log().contains("listens on").then_some(()));
    process.signal("TERM");
    let ended = process.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
}

#[test]
fn wrong_options_are_exit_code_2() {
    let ips = addresses(2);
    let (one, other) = (ips[0].to_string(), ips[1].to_string());
    let cases: [&[&str]; 14] = [
        &[],
        &["--my-ip", &one],
        &["--my-ip", "localhost", "--node-ips", &one],
        &["--my-ip", &one, "--node-ips", &one, "--port", "70000"],
        &["--my-ip", &one, "--node-ips", &one, "--in-memory", "--data-dir", "/nowhere"],
        &["--my-ip", &one, "--node-ips", &one, "--leader", "me"],
        &["--my-ip", &one, "--node-ips", &other, "--in-memory"],
        &["--my-ip", "224.0.0.1", "--node-ips", "224.0.0.1", "--in-memory", "--insecure"],
        &["--my-ip", "0.0.0.0", "--node-ips", "0.0.0.0", "--in-memory", "--insecure"],
        &["--my-ip", "::", "--node-ips", "::", "--in-memory", "--insecure"],
        &["--my-ip", &one, "--node-ips", &one, "255.255.255.255", "--in-memory"],
        &["--my-ip", &one, "--node-ips", &one, "--in-memory", "--port", "0"],
        &["--my-ip", &one, "--node-ips", &one, "--join", &other, "--in-memory"],
        &["--my-ip", &one, "--join", &one, "--in-memory"],
    ];
    for arguments in cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        command.env_remove("LATTISTORE_MY_IP").env_remove("LATTISTORE_NODE_IPS");
        let ended = run(command.args(arguments));
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.log);
        assert!(ended.log.starts_with("error: "), "{arguments:?}: {}", ended.log);
    }
}

#[test]
fn flags_take_precedence_over_the_environment() {
    let ip = addresses(1)[0].to_string();
    let server = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        // Spaces around an address are ignored.
        command.env("LATTISTORE_MY_IP", &ip).env("LATTISTORE_NODE_IPS", format!("  {ip} "));
        command.env("LATTISTORE_DATA_DIR", "/nonexistent/data").args(arguments);
        command
    };
    for arguments in
        [&["--generate-key"][..], &["--generate-man"], &["--generate-completions", "bash"]]
    {
        let output = server(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    let directory = tempfile::tempdir().unwrap();
    let mut command = server(&["--in-memory"]);
    let process = Process::start(&mut command, directory.path().join("log"));
    eventually("the node to listen", || process.log().contains("listens on").then_some(()));
    process.signal("TERM");
    assert_eq!(process.wait().code, Some(0));
}

#[test]
fn the_program_describes_itself_by_its_name() {
    let output = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_server")).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(output(&["--version"]).starts_with("server "));
    assert!(output(&["--generate-man"]).contains(".TH server 1"));
    let script = output(&["--generate-completions", "bash"]);
    assert!(script.contains("_server") && !script.contains("_lattistore"), "{script}");
}

#[test]
fn an_address_in_use_is_exit_code_3() {
    let directory = tempfile::tempdir().unwrap();
    let fleet = Fleet::loopback(1);
    fleet.client().put("a", "1").unwrap();
    let ended = run(&mut alone(fleet.addresses[0], &directory.path().join("data")));
    assert_eq!(ended.code, Some(3), "{}", ended.log);
    assert!(ended.error().contains(&fleet.addresses[0].to_string()), "{}", ended.log);
    fleet.client().put("a", "2").unwrap();
}

/// Each start fails, with its exit code, before the node listens; the data directory does not
/// exist.
#[test]
fn a_start_that_fails_leaves_no_directory_behind() {
    let fleet = Fleet::loopback(1);
    fleet.client().put("a", "1").unwrap();
    let used = fleet.addresses[0];
    let (ip, other) = (addresses(1)[0].to_string(), "192.0.2.1");
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let (short, none) = (file("short", "secret"), format!("{}/none", directory.path().display()));
    let data = directory.path().join("made/on/the/way");
    let used = used.to_string();
    let one = |ip: &str, more: &[&str]| {
        let words = ["--my-ip", ip, "--node-ips", ip];
        words.iter().chain(more).map(|word| (*word).to_owned()).collect::<Vec<String>>()
    };
    let tls = |cert: &str| {
        let words = ["--tls-cert", cert, "--tls-key", cert, "--tls-ca", cert];
        one(&ip, &words)
    };
    let same = format!("::ffff:{ip}");
    for (arguments, code, said) in [
        (one(&used, &[]), 3, used.as_str()),
        (one(other, &["--insecure"]), 3, other),
        (one(other, &[]), 2, "--insecure"),
        (one(&ip, &["--cluster-key", &none]), 2, &none),
        (one(&ip, &["--cluster-key", &short]), 2, &short),
        (one(&ip, &["--client-tokens", &short]), 2, &short),
        (tls(&none), 2, &none),
        (tls(&short), 2, &short),
        (one(&ip, &["--tls-cert", &short]), 2, "TLS needs all of"),
        (one(&ip, &[&ip]), 2, "twice"),
        (one(&ip, &[&same]), 2, "which are the same address"),
        (one(&ip, &["--config", &none]), 2, &none),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        command.args(&arguments).arg("--port").arg(PORT.to_string()).arg("--data-dir").arg(&data);
        let ended = run(&mut command);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.log);
        assert!(ended.log.contains(said), "{arguments:?}: {}", ended.log);
        assert!(!directory.path().join("made").exists(), "{arguments:?}: it left its directory");
    }
    fleet.client().put("a", "2").unwrap();
}

#[test]
fn an_address_that_is_listed_twice_is_exit_code_2_in_the_environment_too() {
    let ip = addresses(1)[0].to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command.env("LATTISTORE_NODE_IPS", format!("{ip} {ip}")).args(["--my-ip", &ip, "--in-memory"]);
    let ended = run(&mut command);
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    assert!(ended.error().contains(&format!("names {ip} twice")), "{}", ended.log);
}

#[test]
fn an_address_of_another_machine_is_exit_code_3() {
    // This address is reserved for documentation (RFC 5737): no machine has it.
    let ip: IpAddr = "192.0.2.1".parse().unwrap();
    let ended = run(server(ip, &[ip]).args(["--in-memory", "--insecure"]));
    assert_eq!(ended.code, Some(3), "{}", ended.log);
    assert!(ended.error().contains("is it an address of this machine?"), "{}", ended.log);
}

#[test]
fn an_address_that_other_machines_reach_without_insecure_is_exit_code_2() {
    let ip: IpAddr = "192.0.2.1".parse().unwrap();
    let ended = run(server(ip, &[ip]).arg("--in-memory"));
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    assert!(ended.error().contains("--insecure"), "{}", ended.log);
    // With the environment variable instead of the flag the start goes on, and the listen fails.
    let ended = run(server(ip, &[ip]).arg("--in-memory").env("LATTISTORE_INSECURE", "1"));
    assert_eq!(ended.code, Some(3), "{}", ended.log);
}

#[test]
fn different_lists_of_nodes_stop_both_nodes_with_exit_code_5() {
    let directory = tempfile::tempdir().unwrap();
    let ips = addresses(3);
    let start = |node: usize, listed: &[IpAddr]| {
        let log = directory.path().join(node.to_string());
        Process::start(server(ips[node], listed).arg("--in-memory"), log)
    };
    let nodes = [start(0, &ips), start(1, &ips[..2])];
    let difference = format!("{} is listed at {} but not at {}", ips[2], ips[0], ips[1]);
    for ended in nodes.map(Process::wait) {
        assert_eq!(ended.code, Some(5), "{}", ended.log);
        assert!(ended.error().contains(&difference), "{}", ended.log);
    }
}

#[test]
fn an_in_memory_node_that_returns_is_refused_and_the_cluster_goes_on() {
    let mut fleet = Fleet::new(addresses(3), vec![None; 3]);
    (0..3).for_each(|node| fleet.start_with(node, &["--in-memory"]));
    fleet.client().put("a", "1").unwrap();
    fleet.kill(0);
    fleet.start_with(0, &["--in-memory"]);
    let ended = fleet.take(0).wait();
    assert_eq!(ended.code, Some(5), "{}", ended.log);
    assert!(ended.error().contains("cannot come back"), "{}", ended.log);
    fleet.client().put("a", "2").unwrap();
}
