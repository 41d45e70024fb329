//! Every bound of the language, with its reason.
//!
//! Programs come from clients and run on the one thread that owns the store, so each program delays
//! all others. A program that exceeds a bound ends without effect and with an error that names the
//! bound; docs/language.md has the same table for users.

/// The most bytes of a program's text. A program is a page of code; data belongs in parameters.
pub const PROGRAM_BYTES: usize = 64 * 1024;

/// The most levels that parentheses, blocks, prefix operators and keys within keys may nest.
///
/// Evaluation recurses once per level (and through a constant number of operators in it), so this
/// bounds the stack.
pub const NESTING: u8 = 64;

/// The most steps of one run.
///
/// A run pays one step for each statement, each part of an expression and each row of a scan,
/// [`STEPS_PER_SEARCH`] for each search, and one for every [`BYTES_PER_STEP`] bytes that it
/// processes. A step takes some tens of nanoseconds, so all steps of a run take some milliseconds.
pub const STEPS: u32 = 250_000;

/// The steps for a search for a key in the store, whether it is found or not. In a store of
/// millions of keys, a search mostly reads memory that is in no cache.
pub const STEPS_PER_SEARCH: u32 = 10;

/// The bytes that a run copies, compares or searches for one step.
///
/// So the cost of a long text is proportional to the work that it causes, and the memory of all
/// texts that a run creates is bounded. Parameters are copied once; the size of the request bounds
/// them.
pub const BYTES_PER_STEP: usize = 64;

/// The most bytes of a key. Keys are names: they are kept in memory, often compared and always sent
/// as a whole.
pub const KEY_BYTES: usize = 4 * 1024;

/// The most bytes of a text: of the value of a key, parameter, variable or expression.
pub const TEXT_BYTES: usize = 1024 * 1024;

/// The most bytes of the keys and values that a run reads from the store; each key counts once.
/// They are sent to the client in one answer.
pub const READ_BYTES: usize = 4 * 1024 * 1024;

/// The most keys with a value that a run reads; each counts once. They are kept until the answer is
/// sent.
pub const READ_KEYS: usize = 50_000;

/// The most bytes of the keys and values that a run writes. They are replicated in one decree.
pub const WRITTEN_BYTES: usize = 4 * 1024 * 1024;

/// The most keys that a run writes or deletes.
pub const WRITTEN_KEYS: usize = 10_000;

// A key is a text; the longest text can be read and written under the longest key.
const _: () = assert!(KEY_BYTES <= TEXT_BYTES);
const _: () = assert!(TEXT_BYTES + KEY_BYTES <= READ_BYTES);
const _: () = assert!(TEXT_BYTES + KEY_BYTES <= WRITTEN_BYTES);
// A run can process the longest text several times, and all texts that it creates fit in 16 MiB.
const _: () = assert!(8 * (TEXT_BYTES / BYTES_PER_STEP) <= STEPS as usize);
const _: () = assert!(STEPS as usize * BYTES_PER_STEP <= 16 * 1024 * 1024);
// The steps suffice for a scan of `READ_KEYS` keys, and for a search and a write of `WRITTEN_KEYS`.
const _: () = assert!(READ_KEYS * 4 <= STEPS as usize);
const _: () = assert!(WRITTEN_KEYS * (STEPS_PER_SEARCH as usize + 10) <= STEPS as usize);
const _: () = assert!(WRITTEN_KEYS * 4 <= STEPS as usize);
// Offsets into a program are stored as `u32`, depths as `u8` that may exceed the limit by one.
const _: () = assert!(PROGRAM_BYTES < u32::MAX as usize);
const _: () = assert!(NESTING < u8::MAX);
