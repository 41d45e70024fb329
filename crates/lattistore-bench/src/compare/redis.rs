//! Redis' protocol (RESP), as far as SET, MSET and GET need it.

use std::collections::VecDeque;
use std::io::{self, Write};

use crate::wire::Wire;
use crate::workload::{Kind, Operation};

/// A connection. Redis answers in the order in which it was asked.
pub(crate) struct Redis {
    asked: VecDeque<u64>,
}

impl Redis {
    pub(crate) fn new() -> Redis {
        Redis { asked: VecDeque::new() }
    }
}

impl Wire for Redis {
    type Duplex = std::net::TcpStream;

    fn has_room(&self) -> bool {
        true
    }

    fn ask(&mut self, id: u64, operation: &Operation<'_>, to: &mut Vec<u8>) {
        let Operation { kind, key, value, more } = *operation;
        // Writing to memory does not fail.
        let _ = match kind {
            Kind::Get => write!(to, "*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len()),
            _ if more.is_empty() => {
                let (k, v) = (key.len(), value.len());
                write!(to, "*3\r\n$3\r\nSET\r\n${k}\r\n{key}\r\n${v}\r\n{value}\r\n")
            }
            _ => set_all(operation, to),
        };
        self.asked.push_back(id);
    }

    fn take(
        &mut self,
        came: &[u8],
        done: &mut Vec<(u64, Result<(), String>)>,
        _to: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let mut used = 0;
        while let Some((result, length)) = answer(&came[used..])? {
            used += length;
            let id = self.asked.pop_front().ok_or("an answer that nobody asked for")?;
            done.push((id, result));
        }
        Ok(used)
    }
}

/// Sets all of an operation's keys at once.
fn set_all(operation: &Operation<'_>, to: &mut Vec<u8>) -> io::Result<()> {
    write!(to, "*{}\r\n$4\r\nMSET\r\n", 3 + 2 * operation.more.len())?;
    for (key, value) in operation.pairs() {
        let (k, v) = (key.len(), value.len());
        write!(to, "${k}\r\n{key}\r\n${v}\r\n{value}\r\n")?;
    }
    Ok(())
}

/// An answer, and how many bytes it has.
type RedisReply = (Result<(), String>, usize);

/// The next answer, if it is there whole.
fn answer(came: &[u8]) -> Result<Option<RedisReply>, String> {
    let Some(line) = came.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(&came[1..line]);
    match came[0] {
        b'+' => Ok(Some((Ok(()), line + 2))),
        b'-' => Ok(Some((Err(text.into_owned()), line + 2))),
        b'$' => match text.parse::<i64>() {
            Ok(-1) => Ok(Some((Ok(()), line + 2))),
            Ok(length) => {
                let whole = line + 2 + usize::try_from(length).map_err(|e| e.to_string())? + 2;
                Ok((came.len() >= whole).then_some((Ok(()), whole)))
            }
            Err(error) => Err(error.to_string()),
        },
        other => Err(format!("an answer of kind {other}")),
    }
}
