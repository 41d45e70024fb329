//! The client program as a user runs it, against real servers. The described sessions are in
//! `tests/seed.rs`.

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
    // Who does not read it to the end has ended.
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
    let nobody = ["127.0.0.1:1".parse().unwrap()];
    let output = run(&nobody, &["--timeout", "50ms", "--execute", "get \"a\";"], "");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    // The first failure of a session counts, and the session goes on.
    let output = run(&nodes, &[], "abort \"no\";\n\nget \"a\";\n");
    assert_eq!(output.status.code(), Some(4));
    assert!(stdout(&output).ends_with(
        "error: aborted: no\n> get \"a\";\nsending request...\nresult: {\"a\": \"b\"}\n"
    ));
}

#[test]
fn what_ran_is_not_said_to_have_not_run_when_its_answer_cannot_be_printed() {
    let cluster = Cluster::in_memory(1);
    let nodes = [cluster.socket(0)];
    let full = || Stdio::from(File::create("/dev/full").unwrap());
    // Nobody reads what is written there.
    let closed = || Stdio::from(io::pipe().unwrap().1);
    let put = ["--execute", "put \"a\" \"b\";"];
    let json = ["--output", "json"];
    for (arguments, input) in
        [(put.to_vec(), ""), ([put, json].concat(), ""), (json.to_vec(), "put \"a\" \"b\";\n")]
    {
        for stdout in [full(), closed()] {
            let output = run_to(&nodes, &arguments, input, stdout);
            assert_eq!(output.status.code(), Some(5), "{arguments:?}: {}", stderr(&output));
            let said = "error: the output failed after a transaction had run: ";
            assert!(stderr(&output).starts_with(said), "{}", stderr(&output));
        }
    }
    // What failed had no effect, whether that could be said or not.
    let output = run_to(&nodes, &["--execute", "abort 1;", "--output", "json"], "", full());
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    // Here the first line could not be shown, and so the program was not sent.
    let output = run_to(&nodes, &[], "put \"a\" \"b\";\n", full());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

#[test]
fn input_that_is_no_text_ends_a_session_as_wrong_arguments_do() {
    let cluster = Cluster::in_memory(1);
    let nodes = [cluster.socket(0)];
    let input = b"return 1;\n\nput \"\xff\" 1;\n\nreturn 2;\n";
    let output = run(&nodes, &["--output", "json"], input);
    let lines: Vec<&str> = stdout(&output).lines().collect();
    let said = "{\"error\": \"cannot read the input: a line is not UTF-8\"}";
    assert_eq!((lines.len(), lines[1]), (2, said));
    assert_eq!(output.status.code(), Some(2));
    let output = run(&nodes, &[], input);
    let said = "\nerror: cannot read the input: a line is not UTF-8\n";
    assert!(stdout(&output).ends_with(said), "{}", stdout(&output));
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
    let said = "error: failed at line 1, column 10: 1 / 0 divides by zero\n";
    assert!(stderr(&output).starts_with(said), "{}", stderr(&output));
}

#[test]
fn without_follow_a_redirect_is_reported() {
    let cluster = Cluster::in_memory(3);
    // The cluster serves once this is answered.
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
    let input = ".param k key\n.params\n.set single-line on\nput $k \"v\";\nget \"key\";\n.nothing\n.exit\nput\n";
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
fn with_json_all_output_is_objects() {
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
    // What is for people is said elsewhere.
    assert!(stderr(&output).contains(".help") && stderr(&output).contains("timing is on"));
    let nobody = ["127.0.0.1:1".parse().unwrap()];
    let output = run(&nobody, &["--timeout", "50ms", "--status", "--output", "json"], "");
    assert!(stdout(&output).starts_with("{\"error\": "), "{}", stdout(&output));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_status_of_a_node_is_asked_at_the_port_of_the_session() {
    let arguments = ["--timeout", "50ms", "--port", "1"];
    let output = run(&[], &arguments, ".status 127.0.0.1\n.status localhost\n.status a b\n");
    let said: Vec<&str> =
        stdout(&output).lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(said[0].starts_with("error: cannot connect to 127.0.0.1:1: "), "{said:?}");
    assert!(said[1].contains(":1: "), "{said:?}");
    assert!(
        said[2].starts_with("error: `a b` is neither an IP address nor a known name"),
        "{said:?}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_program_that_is_too_large_is_said_to_have_its_own_size() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large");
    let program = |bytes: usize| format!("return \"{}\";", "é".repeat(bytes / 2));
    let large = program(70_000);
    std::fs::write(&path, &large).unwrap();
    // Nobody is asked.
    let nobody = ["127.0.0.1:1".parse().unwrap()];
    let says = |output: &Output, size: &str| {
        let said = format!("the program has {size} bytes; a program may have at most 65536");
        assert!((stdout(output).to_owned() + stderr(output)).contains(&said), "{output:?}");
        assert_eq!(output.status.code(), Some(4));
    };
    says(&run(&nobody, &["--file", path.to_str().unwrap()], ""), &large.len().to_string());
    says(&run(&nobody, &["--file", "-"], &large), "more than 65536");
    let larger = program(2_600_000);
    says(&run(&nobody, &["--output", "json"], &larger), &larger.len().to_string());
}

#[test]
fn a_name_that_is_not_known_and_commas_end_nothing() {
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
fn where_nothing_listens_the_program_soon_says_so() {
    let node = refusing();
    let day = "86400s";
    for (arguments, input) in [
        (&["--execute", "get \"a\";"][..], ""),
        (&["--status"], ""),
        (&[], "get \"a\";\n\nget \"b\";\n"),
    ] {
        // It would wait for a day if it waited.
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
fn flags_outweigh_the_environment() {
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
fn health_is_a_strict_read_now() {
    let mut cluster = Cluster::in_memory(3);
    cluster.client().put("a", "b").unwrap();
    let all = [cluster.socket(0), cluster.socket(1), cluster.socket(2)];
    let output = run(&all, &["health"], "");
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).starts_with("healthy: a strict read took "), "{}", stdout(&output));
    let down = cluster.followers();
    cluster.stop(down[0]);
    // Two of three serve; the line names the third as soon as the leader misses it.
    let name = cluster.addresses[down[0]].to_string();
    support::eventually("the member is missed", || {
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
fn a_verb_stands_behind_several_addresses_and_options_on_both_sides_of_it() {
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
    // What is the value of an option is no verb.
    let output = run(&[cluster.socket(0)], &["--file", "health"], "");
    assert!(stderr(&output).contains("cannot read health: "), "{}", stderr(&output));
}

#[test]
fn nodes_are_found_from_any_and_exit_codes_tell_how_they_are() {
    let mut cluster = Cluster::in_memory(3);
    cluster.client().put("a", "b").unwrap();
    let leader = cluster.leader();
    let code = |arguments: &[&str]| run(&[cluster.socket(leader)], arguments, "").status.code();
    // Just after the election a member may not have been heard yet.
    support::eventually("all members are heard", || {
        ([code(&["--nodes"]), code(&["--status"])] == [Some(0); 2]).then_some(())
    });
    // The first address is dead: the others are found by the second.
    let output = run(&[nowhere(), cluster.socket(1)], &["--nodes"], "");
    let rows = |state: &str| {
        stdout(&output).lines().filter(|line| line.starts_with(&format!("{state} "))).count()
    };
    assert_eq!((rows("up"), rows("down")), (3, 1), "{}", stdout(&output));
    assert_eq!(output.status.code(), Some(7));
    let others: Vec<usize> = (0..3).filter(|node| *node != leader).collect();
    let survivor = [cluster.socket(leader)];
    cluster.stop(others[0]);
    // A member that is down is known from the others.
    assert_eq!(run(&survivor, &["--nodes"], "").status.code(), Some(7));
    support::eventually("the member is missed", || {
        (run(&survivor, &["--status"], "").status.code() == Some(7)).then_some(())
    });
    cluster.stop(others[1]);
    assert_eq!(run(&survivor, &["--nodes"], "").status.code(), Some(6));
    support::eventually("the quorum is missed", || {
        (run(&survivor, &["--status"], "").status.code() == Some(6)).then_some(())
    });
    assert_eq!(run(&[nowhere()], &["--nodes", "--timeout", "1s"], "").status.code(), Some(1));
}

#[test]
fn a_blank_line_sends_no_half_of_a_program() {
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
    // What no further line can mend is sent, so that it does not swallow the programs behind it; and
    // what is not closed at the end is an error.
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
    for said in [
        "> help\nerror: `help` is not a statement and was ignored; .help shows the commands\n",
        "> EXIT;\nerror: `EXIT` is not a statement and was ignored; .exit ends the session\n",
        "> put \"a\" \"1\";\n.\nsending request...\nresult: {}\n",
        "a key gets a value by put \"key\" \"value\";\n",
        "error: compile error at line 1, column 5: 'a' is never set; a text is written \"a\"\n",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert_eq!(output.status.code(), Some(2));
    let output = run(&nodes, &["--execute", "put \"a\" \"1\""], "");
    let said = "error: compile error at line 1, column 12: a ';' is missing here, ";
    assert!(stderr(&output).starts_with(said), "{}", stderr(&output));
}

#[test]
fn a_session_can_stop_at_the_first_error_and_be_quiet() {
    let cluster = Cluster::in_memory(1);
    let nodes = [cluster.socket(0)];
    let input = "put \"a\" \"1\";\n\nabort \"no\";\n\nput \"a\" \"2\";\n\nget \"a\";\n";
    let output = run(&nodes, &["--stop-on-error", "--quiet"], input);
    assert_eq!(stdout(&output), "result: {}\n");
    let said = "error: aborted: no\nstopped: the rest of the input was not read and does not run\n";
    assert_eq!(stderr(&output), said);
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(cluster.client().get("a").unwrap().as_deref(), Some("1"));
    let output = run(&nodes, &["--quiet"], input);
    assert_eq!(stdout(&output), "result: {}\nresult: {}\nresult: {\"a\": \"2\"}\n");
    assert_eq!((stderr(&output), output.status.code()), ("error: aborted: no\n", Some(4)));
}

#[test]
fn what_cannot_be_seen_is_printed_escaped() {
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
fn numbers_beyond_a_float_are_texts_in_json() {
    let cluster = Cluster::in_memory(1);
    let nodes = [cluster.socket(0)];
    let program = ["--execute", "return 9007199254740993;", "--output"];
    let output = run(&nodes, &[&program[..], &["json"]].concat(), "");
    let said = "\"returned\": \"9007199254740993\", \"returned_type\": \"int\", \"slot\": ";
    assert!(stdout(&output).contains(said), "{}", stdout(&output));
    let output = run(&nodes, &[&program[..], &["json-v1"]].concat(), "");
    let said = "\"returned\": 9007199254740993, \"slot\": ";
    assert!(stdout(&output).contains(said), "{}", stdout(&output));
}

#[test]
fn ctrl_c_during_a_request_says_that_it_may_have_run() {
    // It takes connections, and says nothing.
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
        // The request waits for it.
        let _connection = listener.accept().unwrap();
        let pid = Pid::from_raw(i32::try_from(client.id()).unwrap());
        kill(pid, Signal::SIGINT).unwrap();
        client.wait_with_output().unwrap()
    };
    let output = interrupted(&["--execute", "put \"a\" \"1\";"], "");
    let said = "may have run: interrupted before the answer came\n";
    assert_eq!(stderr(&output), format!("error: {said}"));
    assert_eq!(output.status.code(), Some(3));
    let output = interrupted(&[], "put \"a\" \"1\";\n\nput \"a\" \"2\";\n\n");
    assert!(stdout(&output).ends_with(&format!("sending request...\nerror: {said}")));
    assert!(stderr(&output).starts_with("stopped: "), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(3));
    // What cannot write has certainly done no harm.
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
    // Its answer shows that the session has begun.
    let mut line = String::new();
    BufReader::new(client.stdout.take().unwrap()).read_line(&mut line).unwrap();
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
    let mut said = String::new();
    client.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    // It went on until its own end, whatever that was.
    assert!(client.wait().unwrap().code().is_some());
    assert!(!said.contains("interrupted"), "{said}");
}
