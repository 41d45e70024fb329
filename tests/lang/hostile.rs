//! Programs that attack the limits: each compiles and runs within its limits, or fails with an
//! error that names the limit. Threads have a small stack here, so that unbounded recursion fails
//! long before it would fail in the server. Its threads have the default of 2 MiB.

use crate::store::Store;
use lattistore::lang::{Cost, Failure, FailureKind, Limit, Params, compile, limits};

const STACK_BYTES: usize = 512 * 1024;

/// Compiles, runs, prints and drops a program in a thread with a small stack; returns its error.
fn run(text: String) -> Result<(), String> {
    let run = move || {
        let program = compile(&text).map_err(|error| error.to_string())?;
        let printed = program.to_string();
        if printed.len() <= limits::PROGRAM_BYTES {
            let again = compile(&printed).expect("the printed program does not nest deeper");
            assert_eq!(again.to_string(), printed);
        }
        let mut store = Store::of(&[("a", "1")]);
        let ran = store.run(&program, &Params::new());
        ran.map(drop).map_err(|failure| failure.to_string())
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run);
    thread.expect("a thread starts").join().expect("no program crashes")
}

fn fails(text: String, why: &str) {
    let start: String = text.chars().take(40).collect();
    match run(text) {
        Ok(()) => panic!("{start}... should fail: {why}"),
        Err(message) => assert!(message.contains(why), "{start}...: {message}"),
    }
}

fn runs(text: String) {
    let start: String = text.chars().take(40).collect();
    assert_eq!(run(text), Ok(()), "{start}...");
}

/// Sets the variables of the programs below, as a variable that is never set is an error.
const SET: &str = "a = \"\"; b = a; c = a; d = a; e = a; f = a; ";

fn wrap(open: &str, inside: &str, close: &str, times: usize) -> String {
    format!("{}{inside}{}", open.repeat(times), close.repeat(times))
}

/// Returns a program that sets `x` to a text of 2^`doublings` bytes.
fn long_text(doublings: usize) -> String {
    format!("x = \"b\"; {}", "x = x + x; ".repeat(doublings))
}

#[test]
fn long_chains_run() {
    let chain = |sign: &str| format!("x = \"b\"{};", format!(" {sign} \"b\"").repeat(8_000));
    runs(chain("+"));
    runs(chain("&&"));
    runs(chain("||"));
    runs(format!("x = 0{};", " + 1 - 1".repeat(6_000)));
    runs(format!("x = 1{};", " * 1 / 1".repeat(6_000)));
    runs(format!("{SET}if a {{}}{}", " else if a {}".repeat(4_000)));
    runs("get \"a\";".repeat(8_000));
    runs(";".repeat(60_000));
}

#[test]
fn chains_above_the_limit_of_a_program_are_rejected() {
    fails("+ \"b\" ".repeat(8_000), "expected a statement, found '+'");
    fails(format!("x = \"b\"{};", "+ \"b\"".repeat(20_000)), "may have at most 65536");
    fails("(".repeat(100_000), "may have at most 65536");
}

#[test]
fn nesting_above_the_limit_is_rejected() {
    let deep = "nests more than 64 levels deep";
    for (open, inside, close) in [
        ("(", "a", ")"),
        ("!", "a", ""),
        ("- ", "1", ""),
        ("get ", "\"a\"", ""),
        ("!exists (", "\"a\"", ")"),
        ("len(", "a", ")"),
        ("get \"a/\" + ", "b", ""),
        ("(a || b && c == d + - get \"e/\" + ", "f", ")"),
        ("(get a else ", "b", ")"),
        ("get a else (", "b", ") + 1"),
        ("- get a else (", "b", ")"),
    ] {
        fails(format!("{SET}x = {};", wrap(open, inside, close, 1_500)), deep);
        fails(format!("{SET}put \"k\" {};", wrap(open, inside, close, 65)), deep);
    }
    fails(wrap("if a { ", "", "} ", 65), deep);
    fails(wrap("if a { ", "", "} ", 5_000), deep);
    fails(wrap("if a {} else { ", "", "} ", 65), deep);
    fails(wrap("for k, v in scan \"\" { ", "", "} ", 65), deep);
    fails(format!("x = {}", "(".repeat(60_000)), "expected an expression, found the end");
    fails("if a {".repeat(10_000), "found the end of the program");
    runs(format!("{SET}x = {};", wrap("(", "a", ")", 64)));
    runs(format!("{SET}x = {};", wrap("!", "a", "", 64)));
    runs(format!("{SET}x = {};", wrap("-", "1", "", 64)));
    runs(format!("{SET}x = {};", wrap("-(", "get \"b\" else 1", ")", 31)));
    runs(SET.to_owned() + &wrap("if a == \"\" { ", "", "} ", 64));
}

#[test]
fn the_deepest_programs_fit_the_stack() {
    runs(format!("{SET}x = {};", wrap("(0 + 1 * - ", "1", ")", 32)));
    runs(format!("{SET}x = {};", wrap("(a || b && c == \"\" || !", "a", ")", 32)));
    runs(format!("{SET}x = {};", wrap("(\"\" == get \"a/\" + str(", "1", "))", 21)));
    let open = "if 1 == 0 {} else { for k, v in scan \"\" { ".repeat(32);
    runs(format!("put \"a\" get \"a\"; {open}{}", "} } ".repeat(32)));
}

#[test]
fn texts_and_keys_above_their_limits_fail() {
    let doubling = format!("x = \"{}\"; {}", "b".repeat(50), "x = x + x; ".repeat(40));
    fails(doubling, "a text may have at most 1048576 bytes");
    fails(long_text(20) + "y = x + \"b\";", "a text may have at most 1048576 bytes");
    fails(long_text(20) + &"y = x < x; ".repeat(1_000), "at most 250000 steps");
    fails(long_text(20) + &"y = len(x); ".repeat(1_000), "at most 250000 steps");
    fails(long_text(19) + &"y = x + \"\"; ".repeat(1_000), "at most 250000 steps");
    fails(long_text(13) + "get x;", "a key may have at most 4096 bytes");
    fails(long_text(13) + "put x \"\";", "a key may have at most 4096 bytes");
    let puts = "put \"a\" x; put \"b\" x; put \"c\" x; put \"d\" x;";
    fails(long_text(20) + puts, "may write at most 4194304 bytes");
}

#[test]
fn nested_loops_exceed_the_limit_of_steps() {
    let mut store = Store::default();
    for number in 0..1_000 {
        store.0.insert(format!("{number}").as_str().into(), "v".into());
    }
    let limit = |store: &mut Store, text: &str| {
        let program = compile(text).expect("it compiles");
        match store.run(&program, &Params::new()) {
            Err(Failure::Runtime { kind: FailureKind::Limit(limit), .. }) => limit,
            other => panic!("{text}: {other:?}"),
        }
    };
    let nested = "for a, b in scan \"\" { for c, d in scan \"\" {} }";
    assert_eq!(limit(&mut store, nested), Limit::Steps);
    let writing = "for a, b in scan \"\" { for c, d in scan \"\" limit 20 { put a + c d; } }";
    assert_eq!(limit(&mut store, writing), Limit::WrittenKeys);
}

#[test]
fn reads_above_their_limits_fail() {
    let mut store = Store::default();
    for number in 0..60_000 {
        store.0.insert(format!("few/{number}").as_str().into(), "".into());
    }
    for number in 0..5 {
        store
            .0
            .insert(format!("big/{number}").as_str().into(), "b".repeat(1 << 20).as_str().into());
    }
    let message = |text: &str| {
        let program = compile(text).expect("it compiles");
        program.execute(&Params::new(), &store).expect_err(text).to_string()
    };
    let keys = message("for k, v in scan \"few/\" {}");
    assert!(keys.contains("may read at most 50000 keys"), "{keys}");
    let bytes = "may read at most 4194304 bytes";
    let scanned = message("for k, v in scan \"big/\" {}");
    assert!(scanned.contains(bytes), "{scanned}");
    let deleted = "for k, v in scan \"big/0\" { delete k; }".repeat(20);
    assert!(message(&deleted).contains("at most 250000 steps"), "deleted entries cost steps too");
    let gets = (0..5).map(|number| format!("get \"big/{number}\";")).collect::<String>();
    assert!(message(&gets).contains(bytes));
}

#[test]
fn every_search_costs_steps() {
    let mut store = Store::default();
    for number in 0..1_000 {
        store.0.insert(format!("{number}").as_str().into(), "v".into());
    }
    let cost = |text: &str| {
        let (program, mut cost) = (compile(text).expect("it compiles"), Cost::default());
        let ran = program.execute_counted(&Params::new(), &store, &mut cost);
        (ran.map(drop).map_err(|failure| failure.to_string()), cost)
    };
    let cases = [
        ("get \"1\";", 1),
        ("get \"none\"; get \"none\";", 1),
        ("x = \"1\"; get x; get x;", 1),
        ("x = \"none\"; get x; get x;", 2),
        ("exists \"1\"; exists \"1\";", 2),
        ("for k, v in scan \"1\" limit 100 {}", 101),
        ("put \"a\" \"b\"; delete \"c\"; exists \"a\";", 0),
    ];
    for (text, searches) in cases {
        let (ran, cost) = cost(text);
        assert_eq!((ran, cost.searches), (Ok(()), searches), "{text}");
        assert!(cost.steps > 9 * cost.searches.min(2), "{text}: {cost:?}");
    }
    // The cost of a run that failed counts.
    let (failed, spent) = cost("get \"1\"; x = \"none\"; exists x; x = 1 / 0;");
    assert!(failed.is_err());
    assert_eq!(spent.searches, 2);
    // Constant keys, which are read before the first statement, cost searches too.
    let unread: String = (0..5_000).map(|number| format!("get\"n{number}\";")).collect();
    let (_, spent) = cost(&format!("abort \"\"; {unread}"));
    assert_eq!((spent.searches, spent.steps > 50_000), (5_000, true));
    for search in ["exists (k + \"x\");", "get (k + \"x\");", "for a, b in scan k limit 1 {}"] {
        let program = format!("for k, v in scan \"\" limit 160 {{ {} }}", search.repeat(160));
        assert_eq!(cost(&program).0.expect_err(search).matches("250000 steps").count(), 1);
    }
}

#[test]
fn a_bound_of_a_scan_is_at_most_as_long_as_a_key() {
    for scan in ["x", "from x", "to x", "\"a\" from x"] {
        let scan = format!("for k, v in scan {scan} {{}}");
        runs(long_text(12) + &scan);
        fails(long_text(12) + "x = x + \"b\";" + &scan, "a key may have at most 4096 bytes");
    }
}
