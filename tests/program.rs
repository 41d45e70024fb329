//! The client program as a user runs it, with pipes instead of a terminal, against real servers:
//! exit codes, output formats, commands of a session and Ctrl-C. Whole sessions are in
//! `tests/transcripts.rs`, the terminal in `tests/terminal.rs`.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::Cluster;

/// Runs the program with these arguments and this standard input.
fn run(nodes: &[SocketAddr], arguments: &[&str], input: impl AsRef<[u8]>) -> Output {
    run_to(nodes, arguments, input, Stdio::piped())
}

/// The same with another standard output.
fn run_to(
    nodes: &[SocketAddr],
    arguments: &[&str],
    input: impl AsRef<[u8]>,
    stdout: Stdio,
) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_client"));
    program.env_remove("LATTISTORE_SERVER_IP").env_remove("LATTISTORE_PORT");
    program.env("LATTISTORE_TIMEOUT", "60s");
    for node in nodes {
        program.args(["--server-ip", &node.to_string()]);
    }
    program.args(arguments);
    let streams = program.stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::piped());
    let mut child = streams.spawn().unwrap();
    // Writing fails if the program ends before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input.as_ref());
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn exit_codes_tell_what_happened() {
    let cluster = Cluster::in_memory(1);
    let nodes = [cluster.socket(0)];
    let code = |arguments: &[&str]| run(&nodes, arguments, "").status.code();
    assert_eq!(code(&["--execute", "put \"a\" \"b\";"]), Some(0));
    assert_eq!(code(&["--execute", "put"]), Some(4));
    assert_eq!(code(&["--execute", "x = 1 / 0;"]), Some(4));
    assert_eq!(code(&["--execute", "put \"a\" \"c\"; abort \"no\";"]), Some(4));
    assert_eq!(code(&["--execute", "get \"a\";", "--file", "x"]), Some(2));
    assert_eq!(code(&["--file", "/nonexistent/program"]), Some(2));
    assert_eq!(code(&["--status"]), Some(0));
    let nowhere = ["127.0.0.1:1".parse().unwrap()];
    let output = run(&nowhere, &["--timeout", "50ms", "--execute", "get \"a\";"], "");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    // The first failure of a session decides the exit code, and the session goes on.
    let output = run(&nodes, &[], "abort \"no\";\n\nget \"a\";\n");
    assert_eq!(output.status.code(), Some(4));
    assert!(stdout(&output).ends_with(
        "error: aborted: no\n> get \"a\";\nsending request...\nresult: {\"a\": \"b\"}\n"
    ));
}

#[test]
fn the_exit_code_says_that_a_transaction_ran_if_its_answer_cannot_be_printed() {
    let cluster = Cluster::in_memory(1);
    let nodes = [cluster.socket(0)];
    let full = || Stdio::from(File::create("/dev/full").unwrap());
    // A pipe with a closed reader.
    let closed = || Stdio::from(io::pipe().unwrap().1);
    let put = ["--execute", "put \"a\" \"b\";"];
    let json = ["--output", "json"];
    for (arguments, input) in
        [(put.to_vec(), ""), ([put, json].concat(), ""), (json.to_vec(), "put \"a\" \"b\";\n")]
    {
        for stdout in [full(), closed()] {
            let output = run_to(&nodes, &arguments, input, stdout);
            assert_eq!(output.status.code(), Some(5), "{arguments:?}: {}", stderr(&output));
            let expected = "error: the output failed after a transaction had run: ";
            assert!(stderr(&output).starts_with(expected), "{}", stderr(&output));
        }
    }
    // A program that failed had no effect, whether that could be printed or not.
    let output = run_to(&nodes, &["--execute", "abort 1;", "--output", "json"], "", full());
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    // The first line could not be printed, so the program was not sent.
    let output = run_to(&nodes, &[], "put \"a\" \"b\";\n", full());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

#[test]
fn input_that_is_not_utf8_ends_a_session_with_exit_code_2() {
    let cluster = Cluster::in_memory(1);
    let nodes = [cluster.socket(0)];
    let input = b"return 1;\n\nput \"\xff\" 1;\n\nreturn 2;\n";
    let output = run(&nodes, &["--output", "json"], input);
    let lines: Vec<&str> = stdout(&output).lines().collect();
    let expected = "{\"error\": \"cannot read the input: a line is not UTF-8\"}";
    assert_eq!((lines.len(), lines[1]), (2, expected));
    assert_eq!(output.status.code(), Some(2));
    let output = run(&nodes, &[], input);
    let expected = "\nerror: cannot read the input: a line is not UTF-8\n";
    assert!(stdout(&output).ends_with(expected), "{}", stdout(&output));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn parameters_hold_anything_and_results_are_one_line() {
    let cluster = Cluster::in_memory(1);
    let nodes = [cluster.socket(0)];
    let value = "\"; abort \"x\nline\\";
    let bound = format!("value={value}");
    let put = ["--execute", "put \"k\" $value; return $n + 1;"];
    let parameters = ["--param", bound.as_str(), "--param", "n:int=41"];
    let output = run(
        &nodes,
        &[put, [parameters[0], parameters[1]], [parameters[2], parameters[3]]].concat(),
        "",
    );
    assert_eq!(stdout(&output), "result: {}\nreturned: 42\n", "{}", stderr(&output));
    assert_eq!(cluster.client().get("k").unwrap().as_deref(), Some(value));
    let output = run(&nodes, &["--file", "-"], "get \"k\";");
    assert_eq!(stdout(&output), "result: {\"k\": \"\\\"; abort \\\"x\\nline\\\\\"}\n");
    let output = run(&nodes, &["--output", "json"], "get \"k\";\n\nreturn true;\n");
    let lines: Vec<&str> = stdout(&output).lines().collect();
    assert_eq!(lines.len(), 2);
    let expected =
        r#"{"outcome": "ran", "values": {"k": "\"; abort \"x\nline\\"}, "returned": null, "#;
    assert!(lines[0].starts_with(expected), "{}", lines[0]);
    assert!(lines[1].contains("\"returned\": true"), "{}", lines[1]);
}

#[test]
fn errors_show_the_place_in_the_program() {
    let cluster = Cluster::in_memory(1);
    let output = run(&[cluster.socket(0)], &["--execute", "get \"a\";\nput \"b\" ;"], "");
    assert!(stderr(&output).starts_with("error: compile error at line 2, column 9: "));
    assert!(stderr(&output).ends_with("\n2 | put \"b\" ;\n  |         ^\n"), "{}", stderr(&output));
    let output = run(&[cluster.socket(0)], &["--execute", "return 1 / 0;"], "");
    let expected = "error: failed at line 1, column 10: 1 / 0 divides by zero\n";
    assert!(stderr(&output).starts_with(expected), "{}", stderr(&output));
}

#[test]
fn without_follow_a_redirect_is_reported() {
    let cluster = Cluster::in_memory(3);
    // An answer means that the cluster serves.
    cluster.client().put("a", "b").unwrap();
    let follower = cluster.socket(cluster.followers()[0]);
    let output = run(&[follower], &["--no-follow"], "put \"a\" \"c\";\n");
    let leads = format!("error: did not run: {follower} does not lead; node ");
    assert!(stdout(&output).contains(&leads), "{}", stdout(&output));
    assert_eq!(output.status.code(), Some(1));
    let output = run(&[follower], &[], "put \"a\" \"c\";\n");
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}

#[test]
fn nodes_and_status_are_tables() {
    let cluster = Cluster::in_memory(3);
    cluster.client().put("a", "b").unwrap();
    let nodes = [cluster.socket(1)];
    let output = run(&nodes, &["--nodes"], "");
    let text = stdout(&output);
    assert!(text.starts_with("state "), "{text}");
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    assert_eq!(text.matches(" leader ").count(), 1, "{text}");
    let output = run(&nodes, &["--status"], "");
    let text = stdout(&output);
    for fact in ["node", "cluster", "leader", "ballot", "slot", "complete", "entries", "uptime"] {
        assert!(text.lines().any(|line| line.starts_with(fact)), "{fact}: {text}");
    }
    assert_eq!(text.lines().skip_while(|line| !line.starts_with("member")).count(), 4, "{text}");
}

#[test]
fn commands_work_in_a_pipe_too() {
    let cluster = Cluster::in_memory(1);
    let input = ".param k key\n.params\n.set single-line on\nput $k \"v\";\nget \"key\";\n\
                 .nothing\n.exit\nput\n";
    let output = run(&[cluster.socket(0)], &[], input);
    let expected = "\
> .param k key
> .params
$k = \"key\"
> .set single-line on
single-line is on
> put $k \"v\";
sending request...
result: {}
> get \"key\";
sending request...
result: {\"key\": \"v\"}
> .nothing
error: `.nothing` is not a command; .help shows all commands
> .exit
";
    assert_eq!(stdout(&output), expected);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn commands_work_while_a_program_is_written_but_not_within_a_text() {
    let cluster = Cluster::in_memory(1);
    let nodes = [cluster.socket(0)];
    let output = run(&nodes, &[], "put \"a\" 1;\n.params\n.nothing\n\n");
    let expected = "\
> put \"a\" 1;
. .params
no parameter is bound
. .nothing
error: `.nothing` is not a command; .help shows all commands
.
sending request...
result: {}
";
    assert_eq!(stdout(&output), expected);
    let output = run(&nodes, &["--output", "json"], "put \"a\" \"one\n.exit\n\";\n");
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert_eq!(cluster.client().get("a").unwrap().as_deref(), Some("one\n.exit\n"));
    let output = run(&nodes, &[], "put \"a\" 2;\n.exit\n");
    assert!(stdout(&output).ends_with("error: the program before .exit was not sent\n"));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn with_json_every_line_of_output_is_an_object() {
    let cluster = Cluster::in_memory(1);
    let nodes = [cluster.socket(0)];
    let input = ".param n:int 5\n.params\n.help\n.nodes\n.status\n.nothing\n.timing\nreturn $n;\n";
    let output = run(&nodes, &["--output", "json"], input);
    let lines: Vec<&str> = stdout(&output).lines().collect();
    let begins = [
        "{\"params\": {\"n\": 5}, \"types\": {\"n\": \"int\"}}",
        "{\"address\": ",
        "{\"node\": ",
        "{\"error\": \"`.nothing` is not a command",
        "{\"outcome\": \"ran\", ",
    ];
    assert_eq!(lines.len(), begins.len(), "{lines:?}");
    for (line, begin) in lines.iter().zip(begins) {
        assert!(line.starts_with(begin) && line.ends_with('}'), "{line}");
    }
    assert!(lines[4].contains("\"taken_us\": "), "{}", lines[4]);
    // Text for people goes to standard error.
    assert!(stderr(&output).contains(".help") && stderr(&output).contains("timing is on"));
    let nowhere = ["127.0.0.1:1".parse().unwrap()];
    let output = run(&nowhere, &["--timeout", "50ms", "--status", "--output", "json"], "");
    assert!(stdout(&output).starts_with("{\"error\": "), "{}", stdout(&output));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn status_uses_the_port_of_the_session() {
    let arguments = ["--timeout", "50ms", "--port", "1"];
    let output = run(&[], &arguments, ".status 127.0.0.1\n.status localhost\n.status a b\n");
    let expected: Vec<&str> =
        stdout(&output).lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(expected[0].starts_with("error: cannot connect to 127.0.0.1:1: "), "{expected:?}");
    assert!(expected[1].contains(":1: "), "{expected:?}");
    assert!(
        expected[2].starts_with("error: `a b` is neither an IP address nor a known name"),
        "{expected:?}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_error_of_a_too_large_program_has_its_size() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large");
    let program = |bytes: usize| format!("return \"{}\";", "é".repeat(bytes / 2));
    let large = program(70_000);
    std::fs::write(&path, &large).unwrap();
    // No node is asked.
    let nowhere = ["127.0.0.1:1".parse().unwrap()];
    let says = |output: &Output, size: &str| {
        let expected = format!("the program has {size} bytes; a program may have at most 65536");
        assert!((stdout(output).to_owned() + stderr(output)).contains(&expected), "{output:?}");
        assert_eq!(output.status.code(), Some(4));
    };
    says(&run(&nowhere, &["--file", path.to_str().unwrap()], ""), &large.len().to_string());
    says(&run(&nowhere, &["--file", "-"], &large), "more than 65536");
    let larger = program(2_600_000);
    says(&run(&nowhere, &["--output", "json"], &larger), &larger.len().to_string());
}

#[test]
fn an_unknown_name_among_several_is_only_a_warning() {
    let cluster = Cluster::in_memory(1);
    let node = cluster.socket(0);
    let list = format!("no:such:node,{node}");
    let output = run(&[], &["--server-ip", &list, "--execute", "put \"a\" \"b\";"], "");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).starts_with("warning: `no:such:node` "), "{}", stderr(&output));
    let output = run(&[], &["--server-ip", "no:such:node", "--execute", "get \"a\";"], "");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

/// An address at which nothing listens.
fn refusing() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn without_wait_the_program_fails_at_once_if_nothing_listens() {
    let node = refusing();
    let day = "86400s";
    for (arguments, input) in [
        (&["--execute", "get \"a\";"][..], ""),
        (&["--status"], ""),
        (&[], "get \"a\";\n\nget \"b\";\n"),
    ] {
        // If the program waited, it would wait for a day.
        let arguments = [arguments, &["--timeout", day, "--output", "json"]].concat();
        let output = run(&[node], &arguments, input);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let cause = format!("\"cause\": {{\"kind\": \"unreachable\", \"node\": \"{node}\"");
        assert!(stdout(&output).contains(&cause), "{}", stdout(&output));
    }
}

#[test]
fn with_wait_the_program_tries_until_a_node_is_started() {
    let mut cluster = Cluster::in_memory(1);
    let node = cluster.socket(0);
    cluster.stop(0);
    thread::scope(|scope| {
        let waiting =
            scope.spawn(|| run(&[node], &["--wait", "--execute", "put \"a\" \"b\";"], ""));
        cluster.start(0);
        let output = waiting.join().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    });
}

#[test]
fn flags_take_precedence_over_the_environment() {
    for arguments in [&["--generate-man"][..], &["--generate-completions", "bash"]] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_client"));
        program.env("LATTISTORE_SERVER_IP", "127.0.0.1  127.0.0.2").args(arguments);
        assert!(program.output().unwrap().status.success());
    }
}

#[test]
fn the_program_describes_itself() {
    let output = run(&[], &["--help"], "");
    assert!(stdout(&output).contains("Examples:") && stdout(&output).contains("Exit codes:"));
    let describe = |argument: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_client")).args(argument).output().unwrap()
    };
    assert!(stdout(&describe(&["--generate-man"])).contains(".TH client 1"));
    for shell in ["bash", "zsh", "fish"] {
        let output = describe(&["--generate-completions", shell]);
        assert!(stdout(&output).contains("server-ip"), "{shell}");
    }
}

/// An address where nothing listens.
fn nowhere() -> SocketAddr {
    "127.0.0.1:1".parse().unwrap()
}

#[test]
fn health_runs_a_strict_read() {
    let mut cluster = Cluster::in_memory(3);
    cluster.client().put("a", "b").unwrap();
    let all = [cluster.socket(0), cluster.socket(1), cluster.socket(2)];
    let output = run(&all, &["health"], "");
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).starts_with("healthy: a strict read took "), "{}", stdout(&output));
    let down = cluster.followers();
    cluster.stop(down[0]);
    // Two of three nodes serve; the line names the third when the leader no longer hears it.
    let name = cluster.addresses[down[0]].to_string();
    support::eventually("the missing member to be reported", || {
        let output = run(&all, &["health"], "");
        assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
        stdout(&output).contains(&format!("1 of 3 members is not heard: {name}")).then_some(())
    });
    cluster.stop(down[1]);
    let output = run(&all, &["--timeout", "500ms", "health"], "");
    assert_eq!(output.status.code(), Some(6), "{}", stdout(&output));
    let line = stdout(&output);
    assert!(line.starts_with("not healthy: ") && line.lines().count() == 1, "{line}");
    assert!(line.contains("no status from 2 of 3 known nodes: "), "{line}");
    let output = run(&all, &["--timeout", "500ms", "health", "--output", "json"], "");
    assert!(stdout(&output).starts_with("{\"healthy\": false, \"message\": \"not healthy: "));
    assert_eq!(output.status.code(), Some(6));
    let output = run(&[nowhere()], &["--timeout", "50ms", "health"], "");
    assert_eq!(output.status.code(), Some(6), "{}", stdout(&output));
    assert!(stdout(&output).starts_with("not healthy: cannot connect to 127.0.0.1:1: "));
}

#[test]
fn a_verb_may_follow_several_addresses_and_have_options_on_both_sides() {
    let cluster = Cluster::in_memory(1);
    let node = cluster.socket(0).to_string();
    let nowhere = nowhere().to_string();
    let node = node.as_str();
    for arguments in [
        &["--server-ip", &nowhere, node, "health"][..],
        &["--server-ip", &nowhere, node, "health", "--output", "json"],
        &["health", "--server-ip", &nowhere, node],
        &["--output", "json", "health", "--server-ip", node],
        &["--server-ip", &nowhere, "health", "--server-ip", node],
    ] {
        let output = run(&[], arguments, "");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        let is_json = arguments.contains(&"json");
        assert_eq!(stdout(&output).starts_with("{\"healthy\": true"), is_json, "{output:?}");
    }
    for arguments in [
        &["--execute", "get \"a\";", "health"][..],
        &["--status", "health"],
        &["health", "--execute", "get \"a\";"],
        &["heath"],
        &["health", "much"],
    ] {
        let output = run(&[], arguments, "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    }
    // A value of an option is not a verb.
    let output = run(&[cluster.socket(0)], &["--file", "health"], "");
    assert!(stderr(&output).contains("cannot read health: "), "{}", stderr(&output));
}

#[test]
fn all_nodes_are_found_from_one_and_exit_codes_report_their_state() {
    let mut cluster = Cluster::in_memory(3);
    cluster.client().put("a", "b").unwrap();
    let leader = cluster.leader();
    let code = |arguments: &[&str]| run(&[cluster.socket(leader)], arguments, "").status.code();
    // Just after the election a member may not be heard yet.
    support::eventually("all members to be heard", || {
        ([code(&["--nodes"]), code(&["--status"])] == [Some(0); 2]).then_some(())
    });
    // Nothing listens at the first address: the nodes are found through the second.
    let output = run(&[nowhere(), cluster.socket(1)], &["--nodes"], "");
    let rows = |state: &str| {
        stdout(&output).lines().filter(|line| line.starts_with(&format!("{state} "))).count()
    };
    assert_eq!((rows("up"), rows("down")), (3, 1), "{}", stdout(&output));
    assert_eq!(output.status.code(), Some(7));
    let others: Vec<usize> = (0..3).filter(|node| *node != leader).collect();
    let survivor = [cluster.socket(leader)];
    cluster.stop(others[0]);
    // The others know the member that is down.
    assert_eq!(run(&survivor, &["--nodes"], "").status.code(), Some(7));
    support::eventually("the missing member to be reported", || {
        (run(&survivor, &["--status"], "").status.code() == Some(7)).then_some(())
    });
    cluster.stop(others[1]);
    assert_eq!(run(&survivor, &["--nodes"], "").status.code(), Some(6));
    support::eventually("the missing quorum to be reported", || {
        (run(&survivor, &["--status"], "").status.code() == Some(6)).then_some(())
    });
    assert_eq!(run(&[nowhere()], &["--nodes", "--timeout", "1s"], "").status.code(), Some(1));
}

#[test]
fn a_blank_line_does_not_send_an_incomplete_program() {
    let cluster = Cluster::in_memory(1);
    let nodes = [cluster.socket(0)];
    let input = "if true {\n\nput \"a\" \"1\n\n2\";\n\n}\n\nget\n(\n\n\"a\"\n\n);\n\n";
    let output = run(&nodes, &[], input);
    let expected = "\
> if true {
.
. put \"a\" \"1
.
. 2\";
.
. }
.
sending request...
result: {}
> get
. (
.
. \"a\"
.
. );
.
sending request...
result: {\"a\": \"1\\n\\n2\"}
";
    assert_eq!(stdout(&output), expected);
    assert_eq!(output.status.code(), Some(0));
    // A program that no further line can complete is sent, so that it does not include the programs
    // after it. A program that is not complete at the end of the input is an error.
    let input = "put \"a\" (1;\n\nput \"b\" \"2\";\n\nif true {\n\nput \"b\" \"3\";\n";
    let output = run(&nodes, &["--output", "json"], input);
    let outcomes: Vec<_> = stdout(&output).lines().map(|line| &line[..25]).collect();
    let [ran, wrong] = ["{\"outcome\": \"ran\", \"value", "{\"outcome\": \"compile_erro"];
    assert_eq!(outcomes, [wrong, ran, wrong]);
    assert_eq!(cluster.client().get("b").unwrap().as_deref(), Some("2"));
}

#[test]
fn words_of_other_prompts_get_a_hint() {
    let cluster = Cluster::in_memory(1);
    let nodes = [cluster.socket(0)];
    let output = run(&nodes, &[], "help\nEXIT;\nput \"a\" \"1\";\n\nSET a 1;\n\nput a \"1\";\n");
    let text = stdout(&output);
    for expected in [
        "> help\nerror: `help` is not a statement and was ignored; .help shows the commands\n",
        "> EXIT;\nerror: `EXIT` is not a statement and was ignored; .exit ends the session\n",
        "> put \"a\" \"1\";\n.\nsending request...\nresult: {}\n",
        "a key gets a value by put \"key\" \"value\";\n",
        "error: compile error at line 1, column 5: 'a' is never set; a text is written \"a\"\n",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert_eq!(output.status.code(), Some(2));
    let output = run(&nodes, &["--execute", "put \"a\" \"1\""], "");
    let expected = "error: compile error at line 1, column 12: a ';' is missing here, ";
    assert!(stderr(&output).starts_with(expected), "{}", stderr(&output));
}

#[test]
fn a_session_can_stop_at_the_first_error_and_be_quiet() {
    let cluster = Cluster::in_memory(1);
    let nodes = [cluster.socket(0)];
    let input = "put \"a\" \"1\";\n\nabort \"no\";\n\nput \"a\" \"2\";\n\nget \"a\";\n";
    let output = run(&nodes, &["--stop-on-error", "--quiet"], input);
    assert_eq!(stdout(&output), "result: {}\n");
    let expected =
        "error: aborted: no\nstopped: the rest of the input was not read and does not run\n";
    assert_eq!(stderr(&output), expected);
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(cluster.client().get("a").unwrap().as_deref(), Some("1"));
    let output = run(&nodes, &["--quiet"], input);
    assert_eq!(stdout(&output), "result: {}\nresult: {}\nresult: {\"a\": \"2\"}\n");
    assert_eq!((stderr(&output), output.status.code()), ("error: aborted: no\n", Some(4)));
}

#[test]
fn invisible_characters_are_printed_escaped() {
    let cluster = Cluster::in_memory(1);
    let nodes = [cluster.socket(0)];
    let hidden = "a\u{202e}b\u{200b}c\u{1b}[2J";
    let bound = format!("v={hidden}");
    let program = "put \"k\" $v; return get \"k\" + \"\";";
    let output = run(&nodes, &["--execute", program, "--param", &bound], "");
    assert_eq!(stdout(&output), "result: {}\nreturned: \"a\\u{202e}b\\u{200b}c\\u{1b}[2J\"\n");
    let output = run(&nodes, &["--execute", "get \"k\";"], "");
    assert_eq!(stdout(&output), "result: {\"k\": \"a\\u202eb\\u200bc\\u001b[2J\"}\n");
    let output = run(&nodes, &["--execute", "abort $v;", "--param", &bound], "");
    assert_eq!(stderr(&output), "error: aborted: a\\u{202e}b\\u{200b}c\\u{1b}[2J\n");
}

#[test]
fn numbers_that_a_double_cannot_hold_are_texts_in_json() {
    let cluster = Cluster::in_memory(1);
    let nodes = [cluster.socket(0)];
    let program = ["--execute", "return 9007199254740993;", "--output"];
    let output = run(&nodes, &[&program[..], &["json"]].concat(), "");
    let expected = "\"returned\": \"9007199254740993\", \"returned_type\": \"int\", \"slot\": ";
    assert!(stdout(&output).contains(expected), "{}", stdout(&output));
    let output = run(&nodes, &[&program[..], &["json-v1"]].concat(), "");
    let expected = "\"returned\": 9007199254740993, \"slot\": ";
    assert!(stdout(&output).contains(expected), "{}", stdout(&output));
}

#[test]
fn ctrl_c_during_a_request_says_that_it_may_have_run() {
    // A node that accepts connections and sends nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let node = listener.local_addr().unwrap().to_string();
    let interrupted = |arguments: &[&str], input: &str| {
        let mut client = Command::new(env!("CARGO_BIN_EXE_client"))
            .args(["--server-ip", &node, "--timeout", "60s"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        client.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        // The request has begun when the client has connected.
        let _connection = listener.accept().unwrap();
        let pid = Pid::from_raw(i32::try_from(client.id()).unwrap());
        kill(pid, Signal::SIGINT).unwrap();
        client.wait_with_output().unwrap()
    };
    let output = interrupted(&["--execute", "put \"a\" \"1\";"], "");
    let expected = "may have run: interrupted before the answer came\n";
    assert_eq!(stderr(&output), format!("error: {expected}"));
    assert_eq!(output.status.code(), Some(3));
    let output = interrupted(&[], "put \"a\" \"1\";\n\nput \"a\" \"2\";\n\n");
    assert!(stdout(&output).ends_with(&format!("sending request...\nerror: {expected}")));
    assert!(stderr(&output).starts_with("stopped: "), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(3));
    // A read did not change anything, so it counts as not run.
    let output = interrupted(&["--execute", "get \"a\";"], "");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

#[test]
fn ctrl_c_without_a_request_ends_the_program_by_the_signal() {
    let mut client = Command::new(env!("CARGO_BIN_EXE_client"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut typed = client.stdin.take().unwrap();
    typed.write_all(b".params\n").unwrap();
    // The echo shows that the session has begun.
    let mut line = String::new();
    // The reader stays open: otherwise the program could end because of its broken pipe.
    let mut output = BufReader::new(client.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "> .params\n");
    kill(Pid::from_raw(i32::try_from(client.id()).unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(client.wait().unwrap().signal(), Some(Signal::SIGINT as i32));
}

#[test]
fn ctrl_c_that_was_ignored_stays_ignored() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let node = listener.local_addr().unwrap().to_string();
    let mut client = Command::new("sh")
        .args(["-c", "trap '' INT; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_client")])
        .args(["--server-ip", &node, "--timeout", "1s", "--execute", "put \"a\" \"1\";"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _connection = listener.accept().unwrap();
    kill(Pid::from_raw(i32::try_from(client.id()).unwrap()), Signal::SIGINT).unwrap();
    let mut expected = String::new();
    client.stderr.take().unwrap().read_to_string(&mut expected).unwrap();
    // The program went on until its own end.
    assert!(client.wait().unwrap().code().is_some());
    assert!(!expected.contains("interrupted"), "{expected}");
}

#[test]
fn member_commands_have_exit_codes_of_their_own() {
    let cluster = Cluster::in_memory(1);
    let nodes = [cluster.socket(0)];
    let ip = cluster.addresses[0].to_string();
    cluster.leader();
    let output = run(&nodes, &["member", "list"], "");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let last = "no more node may fail: 1 of 1 voter must run, 1 is reachable\n";
    assert!(stdout(&output).ends_with(last), "{}", stdout(&output));
    // It is a member already, so nothing is to be done.
    let output = run(&nodes, &["member", "add", &ip], "");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains(&format!(" at {ip} is a voter\n")), "{}", stdout(&output));
    for (arguments, error) in [
        (vec!["member", "remove", &ip], "is the last voter: add another node first"),
        (vec!["member", "cancel", &ip], "is a voter, so there is nothing to cancel"),
        (vec!["member", "replace", "127.0.0.1"], "127.0.0.1 is not a member; the members are"),
    ] {
        let output = run(&nodes, &arguments, "");
        assert_eq!(output.status.code(), Some(8), "{arguments:?}: {}", stderr(&output));
        let line = stderr(&output).lines().last().unwrap();
        assert!(line.starts_with("error: ") && line.contains(error), "{line}");
        let output = run(&nodes, &[&arguments[..], &["--output", "json"]].concat(), "");
        assert_eq!(output.status.code(), Some(8), "{arguments:?}: {}", stderr(&output));
        let expected = "{\"outcome\": \"refused\", \"reason\": \"";
        assert!(stdout(&output).starts_with(expected), "{}", stdout(&output));
    }
    // On a slow machine, the answer may come after the timeout.
    support::eventually("the refusal of a node that does not wait", || {
        let output = run(&nodes, &["--timeout", "1s", "member", "add", "127.0.0.1"], "");
        assert!([Some(3), Some(8)].contains(&output.status.code()), "{}", stderr(&output));
        stderr(&output).contains("error: no node waits at 127.0.0.1: start one there").then_some(())
    });
    let output = run(&nodes, &["member", "add", "127.0.0.1:1"], "");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let output = run(&[nowhere()], &["member", "remove", &ip], "");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let output = run(&nodes, &["--quiet"], ".members\n");
    assert!(stdout(&output).ends_with(last), "{}", stdout(&output));
}
