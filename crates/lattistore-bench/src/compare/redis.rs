//! The protocol of Redis (RESP), as far as SET, MSET and GET need it.

use std::collections::VecDeque;
use std::io::{self, Write};

use crate::protocol::Protocol;
use crate::workload::{Kind, Operation};

/// The protocol state of a connection. Redis answers in the order of requests.
pub(crate) struct Redis {
    in_flight: VecDeque<u64>,
}

impl Redis {
    pub(crate) fn new() -> Redis {
        Redis { in_flight: VecDeque::new() }
    }
}

impl Protocol for Redis {
    type Stream = std::net::TcpStream;

    fn has_room(&self) -> bool {
        true
    }

    fn encode(&mut self, id: u64, operation: &Operation<'_>, to: &mut Vec<u8>) {
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
        self.in_flight.push_back(id);
    }

    fn decode(
        &mut self,
        received: &[u8],
        done: &mut Vec<(u64, Result<(), String>)>,
        _to: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let mut used = 0;
        while let Some((result, length)) = answer(&received[used..])? {
            used += length;
            let id = self.in_flight.pop_front().ok_or("Redis sent an answer without a request")?;
            done.push((id, result));
        }
        Ok(used)
    }
}

/// Encodes an MSET of all of an operation's keys.
fn set_all(operation: &Operation<'_>, to: &mut Vec<u8>) -> io::Result<()> {
    write!(to, "*{}\r\n$4\r\nMSET\r\n", 3 + 2 * operation.more.len())?;
    for (key, value) in operation.pairs() {
        let (k, v) = (key.len(), value.len());
        write!(to, "${k}\r\n{key}\r\n${v}\r\n{value}\r\n")?;
    }
    Ok(())
}

/// An answer, and its length in bytes.
type RedisReply = (Result<(), String>, usize);

/// Decodes the next answer, if it has arrived completely.
fn answer(received: &[u8]) -> Result<Option<RedisReply>, String> {
    let Some(line) = received.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(&received[1..line]);
    match received[0] {
        b'+' => Ok(Some((Ok(()), line + 2))),
        b'-' => Ok(Some((Err(text.into_owned()), line + 2))),
        b'$' => match text.parse::<i64>() {
            Ok(-1) => Ok(Some((Ok(()), line + 2))),
            Ok(length) => {
                let end = line + 2 + usize::try_from(length).map_err(|e| e.to_string())? + 2;
                Ok((received.len() >= end).then_some((Ok(()), end)))
            }
            Err(error) => Err(error.to_string()),
        },
        other => Err(format!("Redis sent an answer of the unknown kind {other}")),
    }
}
