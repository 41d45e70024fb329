//! The machines that a script can use: how their requests are written, and how they are answered.

use std::error::Error;
use std::sync::Arc;

use goldenscript::ArgumentConsumer;
use lattistore::kv::{self, SessionNumber, Store};
use lattistore::lang::{Params, Value, compile};
use lattistore::lpaxos::Machine;
use lattistore_sim::simulator::{Command, Outcome, Register, Registers};

/// The text of a request for the transcript, and its command; `None` if the machine does not know
/// the command.
pub(crate) type ParsedRequest<C> = Result<Option<(String, C)>, Box<dyn Error>>;

/// A machine with requests that a script can contain.
pub(crate) trait Scripted: Machine + Default {
    /// What later requests need of earlier answers.
    type Memory: Default;

    /// Returns the request that a command of the script asks for.
    fn request(
        memory: &Self::Memory,
        command: &str,
        args: &mut ArgumentConsumer<'_>,
    ) -> ParsedRequest<Self::Command>;

    /// Describes an outcome, and notes what later requests need of it.
    fn outcome(memory: &mut Self::Memory, outcome: &Self::Outcome) -> String;
}

/// Returns the register that a letter names.
fn register(letter: &str) -> Result<u8, String> {
    match letter.as_bytes() {
        [letter @ b'a'..=b'z'] => Ok(letter - b'a'),
        _ => Err(format!("a register is a letter from a to z, not {letter}")),
    }
}

/// Requests of registers need nothing of earlier answers.
#[derive(Default)]
pub(crate) struct RegisterMemory;

impl Scripted for Registers {
    type Memory = RegisterMemory;

    fn request(
        _: &RegisterMemory,
        command: &str,
        args: &mut ArgumentConsumer<'_>,
    ) -> ParsedRequest<Command> {
        let command = match command {
            "put" => {
                let (key, value) = args.next_key().ok_or("put what? put n1 a=5")?;
                let command = Command::put(register(key)?, value.parse()?);
                (format!("put {key}={value}"), command)
            }
            "get" => {
                let key = args.next_pos().ok_or("get what? get n1 a")?;
                (format!("get {key}"), Command::get([register(key)?]))
            }
            "delete" => {
                let key = args.next_pos().ok_or("delete what? delete n1 a")?;
                (format!("delete {key}"), Command::delete(register(key)?))
            }
            _ => return Ok(None),
        };
        Ok(Some(command))
    }

    fn outcome(_: &mut RegisterMemory, outcome: &Outcome) -> String {
        let Outcome { read, wrote, position } = outcome;
        let read: Vec<String> = read
            .iter()
            .map(|value| value.map_or("no value".to_owned(), |value| format!("value {value}")))
            .collect();
        let read = read.join(", ");
        match wrote {
            true => format!("done in slot {}; it had {read}", position.slot),
            false => format!("{read}, as of slot {}", position.slot),
        }
    }
}

/// The session that was opened last, if one was.
#[derive(Default)]
pub(crate) struct StoreMemory {
    session: Option<u64>,
}

impl Scripted for Store {
    type Memory = StoreMemory;

    fn request(
        memory: &StoreMemory,
        command: &str,
        args: &mut ArgumentConsumer<'_>,
    ) -> ParsedRequest<kv::Command> {
        let command = match command {
            "open" => ("open a session".to_owned(), kv::Command::OpenSession { window: 4 }),
            "transact" => {
                let number: Option<u64> = args.take_key("number").map(str::parse).transpose()?;
                let text = args.next_pos().ok_or("transact what? transact n1 'get \"k\";'")?;
                let session = match number {
                    None => None,
                    Some(number) => {
                        let session = memory.session.ok_or("no session is open")?;
                        Some(SessionNumber { session, number, answered_below: number })
                    }
                };
                let program = Arc::new(compile(text)?);
                let number = number.map_or(String::new(), |number| format!(" {number}"));
                let params = Params::from_iter::<[(&str, Value); 0]>([]);
                let command = kv::Command::Execute { program, params, session };
                (format!("transaction{number} '{text}'"), command)
            }
            _ => return Ok(None),
        };
        Ok(Some(command))
    }

    fn outcome(memory: &mut StoreMemory, outcome: &kv::Outcome) -> String {
        match outcome {
            kv::Outcome::Read { values, position, .. } => {
                let values: Vec<String> = values
                    .iter()
                    .map(|(key, value)| {
                        let (key, value) =
                            (String::from_utf8_lossy(key), String::from_utf8_lossy(value));
                        format!("{key} = {value}")
                    })
                    .collect();
                format!("ran in slot {}; it read {{{}}}", position.slot, values.join(", "))
            }
            kv::Outcome::SessionOpened { session, position, .. } => {
                memory.session = Some(*session);
                format!("session {session} opened in slot {}", position.slot)
            }
            other => format!("{other:?}"),
        }
    }
}

#[test]
fn registers_are_letters() {
    assert_eq!(register("c").map(|number| Register(number).to_string()), Ok("c".to_owned()));
    assert!(register("A").is_err() && register("ab").is_err());
}
