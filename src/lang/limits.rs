//! Every bound of the language, with its reason.
//!
//! Programs come from clients and run on the one thread that owns the store, so whatever a program
//! costs, everybody pays. A bound that is hit ends the transaction with no effect and an error that
//! names the bound; docs/language.md has the same table for users.

/// A program's text, in bytes. A program is a page of code; data belongs in parameters.
pub const PROGRAM_BYTES: usize = 64 * 1024;

/// How deep parentheses, blocks, prefix operators and keys within keys may nest. Evaluation recurses
/// once per level (and a constant number of operators in it), so this bounds the stack.
pub const NESTING: u8 = 64;

/// Steps of one run: one for each statement, each part of an expression and each row of a scan,
/// [`STEPS_PER_SEARCH`] for each search, and one for every [`BYTES_PER_STEP`] bytes handled. A step is
/// some tens of nanoseconds, a whole budget therefore some milliseconds of the node's time.
pub const STEPS: u32 = 250_000;

/// What it costs to look for a key in the store, found or not: in a store of millions of keys most of
/// what it looks at is in no cache.
pub const STEPS_PER_SEARCH: u32 = 10;

/// Bytes copied, compared or searched for the price of one step. It makes long texts pay for the
/// work they are, and bounds the memory of all texts that a run makes; its parameters, which are
/// copied once, are bounded by the request's size.
pub const BYTES_PER_STEP: usize = 64;

/// A key, in bytes. Keys are names: they are kept in memory, compared often and sent whole.
pub const KEY_BYTES: usize = 4 * 1024;

/// A text, in bytes: every value of a key, parameter, variable or expression.
pub const TEXT_BYTES: usize = 1024 * 1024;

/// Keys and values that a run reads from the store, in bytes; each key counts once. They are sent
/// to the client in one answer.
pub const READ_BYTES: usize = 4 * 1024 * 1024;

/// Keys that a run reads and that have a value; each counts once. They are kept until the answer
/// is sent.
pub const READ_KEYS: usize = 50_000;

/// Keys and values that a run leaves to be written, in bytes. They are replicated in one decree.
pub const WRITTEN_BYTES: usize = 4 * 1024 * 1024;

/// Keys that a run leaves to be written or deleted.
pub const WRITTEN_KEYS: usize = 10_000;

// A key is a text; the longest text can be read and written under the longest key.
const _: () = assert!(KEY_BYTES <= TEXT_BYTES);
const _: () = assert!(TEXT_BYTES + KEY_BYTES <= READ_BYTES);
const _: () = assert!(TEXT_BYTES + KEY_BYTES <= WRITTEN_BYTES);
// One text can be handled several times, and all texts made by a run fit in 16 MiB.
const _: () = assert!(8 * (TEXT_BYTES / BYTES_PER_STEP) <= STEPS as usize);
const _: () = assert!(STEPS as usize * BYTES_PER_STEP <= 16 * 1024 * 1024);
// Every key that may be read by scans, or looked for and written, can be paid for.
const _: () = assert!(READ_KEYS * 4 <= STEPS as usize);
const _: () = assert!(WRITTEN_KEYS * (STEPS_PER_SEARCH as usize + 10) <= STEPS as usize);
const _: () = assert!(WRITTEN_KEYS * 4 <= STEPS as usize);
// Offsets into a program are kept as `u32`, depths as `u8` that may overshoot by one.
const _: () = assert!(PROGRAM_BYTES < u32::MAX as usize);
const _: () = assert!(NESTING < u8::MAX);
