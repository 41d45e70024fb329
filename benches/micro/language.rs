//! Programs compiled. A node compiles each text once and caches the result.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use lattistore::lang::compile;
use lattistore::lang::limits::PROGRAM_BYTES;

/// Returns a program of exactly `bytes` bytes: copies of one branch, then blanks.
fn text(bytes: usize) -> String {
    const BRANCH: &str = "if get $from != \"\" { put $to (get $from) + \"1\"; }\n";
    let mut text = BRANCH.repeat(bytes / BRANCH.len());
    text.extend(std::iter::repeat_n(' ', bytes - text.len()));
    text
}

#[divan::bench(args = [60, 1024, PROGRAM_BYTES])]
fn compile_program(bencher: Bencher<'_, '_>, bytes: usize) {
    let text = text(bytes);
    bencher
        .counter(BytesCount::new(bytes))
        .bench(|| compile(black_box(&text)).expect("the program is valid"));
}
