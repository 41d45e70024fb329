//! The client's half of HTTP/2 (RFC 9113) and of gRPC on it, for calls with one small message in
//! each direction, many of them concurrently on one connection. All that is ready is sent in one
//! write, and all that arrived is taken from one read.
//!
//! Headers are sent without the dynamic table, so they are encoded once for each method. The
//! server's headers are not decoded: an answer with a message is a success, one without is an
//! error, which is enough for calls with one message.

use std::collections::HashMap;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

const HEADER_TABLE_SIZE: u16 = 1;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// What the server may send before the window is extended: for a stream, and for the connection.
const STREAM_WINDOW: u32 = 16 << 20;
const WINDOW: u32 = 1 << 30;
/// The initial window of a connection.
const FIRST_WINDOW: u32 = 65_535;
/// The size of data frames, which every server accepts.
const FRAME_BYTES: usize = 16_384;

/// A method of the server, with its headers encoded.
pub(crate) struct Method(Vec<u8>);

impl Method {
    pub(crate) fn new(path: &str) -> Method {
        // :method POST and :scheme http are entries 3 and 6 of the static table.
        let mut headers = vec![0x83, 0x86];
        // The static table has these names: :path 4, :authority 1, content-type 31.
        for (name, value) in [(4, path), (1, "localhost"), (31, "application/grpc")] {
            put_literal(&mut headers, name, value);
        }
        headers.push(0);
        for text in ["te", "trailers"] {
            put_text(&mut headers, text);
        }
        Method(headers)
    }
}

/// Encodes a header whose name is in the static table, and whose value is not indexed.
fn put_literal(to: &mut Vec<u8>, name: u8, value: &str) {
    match name {
        0..15 => to.push(name),
        _ => to.extend([15, name - 15]),
    }
    put_text(to, value);
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    to.push(u8::try_from(text.len()).unwrap_or(126).min(126));
    to.extend(text.bytes().take(126));
}

/// The result of a call: the message, or `None` if there was none.
pub(crate) type GrpcReply = Option<Vec<u8>>;

struct Stream {
    message: Vec<u8>,
    /// What the server accepts on this stream.
    window: i64,
    /// What is not yet sent.
    unsent: Vec<u8>,
}

/// The state of a connection.
pub(crate) struct Grpc {
    begun: bool,
    next_stream: u32,
    streams: HashMap<u32, Stream>,
    /// What the server accepts on the connection.
    window: i64,
    stream_window: i64,
    /// What arrived since the window was last extended.
    received: u32,
    /// Streams with unsent data, in order.
    stalled: Vec<u32>,
}

impl Grpc {
    pub(crate) fn new() -> Grpc {
        Grpc {
            begun: false,
            next_stream: 1,
            streams: HashMap::new(),
            window: i64::from(FIRST_WINDOW),
            stream_window: i64::from(FIRST_WINDOW),
            received: 0,
            stalled: Vec::new(),
        }
    }

    /// Begins a call; returns its stream.
    pub(crate) fn call(&mut self, method: &Method, message: &[u8], to: &mut Vec<u8>) -> u32 {
        if !self.begun {
            self.begun = true;
            to.extend_from_slice(PREFACE);
            let mut settings = Vec::new();
            for (name, value) in [(HEADER_TABLE_SIZE, 0), (INITIAL_WINDOW_SIZE, STREAM_WINDOW)] {
                settings.extend(name.to_be_bytes());
                settings.extend(value.to_be_bytes());
            }
            put_frame(to, SETTINGS, 0, 0, &settings);
            put_frame(to, WINDOW_UPDATE, 0, 0, &(WINDOW - FIRST_WINDOW).to_be_bytes());
        }
        let stream = self.next_stream;
        self.next_stream += 2;
        put_frame(to, HEADERS, END_HEADERS, stream, &method.0);
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let mut unsent = Vec::with_capacity(5 + message.len());
        unsent.push(0);
        unsent.extend(length.to_be_bytes());
        unsent.extend_from_slice(message);
        let (message, window) = (Vec::new(), self.stream_window);
        self.streams.insert(stream, Stream { message, window, unsent });
        if !self.stalled.is_empty() || !self.send(stream, to) {
            self.stalled.push(stream);
        }
        stream
    }

    /// Sends what the server accepts; returns whether that was all.
    fn send(&mut self, id: u32, to: &mut Vec<u8>) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else { return true };
        let mut sent = 0;
        while sent < stream.unsent.len() {
            let room = usize::try_from(self.window.min(stream.window)).unwrap_or(0);
            let length = (stream.unsent.len() - sent).min(room).min(FRAME_BYTES);
            if length == 0 {
                break;
            }
            let end = sent + length;
            let flags = if end == stream.unsent.len() { END_STREAM } else { 0 };
            put_frame(to, DATA, flags, id, &stream.unsent[sent..end]);
            let taken = i64::try_from(length).unwrap_or(i64::MAX);
            self.window -= taken;
            stream.window -= taken;
            sent = end;
        }
        stream.unsent.drain(..sent);
        stream.unsent.is_empty()
    }

    fn send_stalled(&mut self, to: &mut Vec<u8>) {
        for stream in std::mem::take(&mut self.stalled) {
            if !self.send(stream, to) {
                self.stalled.push(stream);
            }
        }
    }

    /// Decodes what arrived; returns how much of it was used, and adds the calls that ended.
    pub(crate) fn decode(
        &mut self,
        received: &[u8],
        ended: &mut Vec<(u32, GrpcReply)>,
        to: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let mut used = 0;
        while let Some(head) = received.get(used..used + 9) {
            let length =
                usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let (kind, flags, stream) = (head[3], head[4], number(&head[5..]) & 0x7fff_ffff);
            let Some(payload) = received.get(used + 9..used + 9 + length) else { break };
            used += 9 + length;
            self.frame(kind, flags, stream, payload, ended, to)?;
        }
        if self.received > WINDOW / 2 {
            put_frame(to, WINDOW_UPDATE, 0, 0, &self.received.to_be_bytes());
            self.received = 0;
        }
        Ok(used)
    }

    fn frame(
        &mut self,
        kind: u8,
        flags: u8,
        id: u32,
        payload: &[u8],
        ended: &mut Vec<(u32, GrpcReply)>,
        to: &mut Vec<u8>,
    ) -> Result<(), String> {
        match kind {
            DATA => {
                self.received += u32::try_from(payload.len()).unwrap_or(0);
                if flags & PADDED != 0 {
                    return Err("the server sent a padded frame, which is not supported".to_owned());
                }
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.message.extend_from_slice(payload);
                }
            }
            SETTINGS if flags & ACK == 0 => {
                for setting in payload.chunks_exact(6) {
                    if u16::from_be_bytes([setting[0], setting[1]]) == INITIAL_WINDOW_SIZE {
                        let window = i64::from(number(&setting[2..]));
                        let more = window - self.stream_window;
                        self.stream_window = window;
                        self.streams.values_mut().for_each(|stream| stream.window += more);
                    }
                }
                put_frame(to, SETTINGS, ACK, 0, &[]);
                self.send_stalled(to);
            }
            PING if flags & ACK == 0 => put_frame(to, PING, ACK, 0, payload),
            GOAWAY => {
                return Err(format!(
                    "the server closes the connection: {}",
                    String::from_utf8_lossy(payload)
                ));
            }
            RST_STREAM => {
                self.streams.remove(&id);
                ended.push((id, None));
            }
            WINDOW_UPDATE => {
                let more = i64::from(number(payload));
                match self.streams.get_mut(&id) {
                    Some(stream) => stream.window += more,
                    None if id == 0 => self.window += more,
                    None => {}
                }
                self.send_stalled(to);
            }
            _ => {}
        }
        if matches!(kind, DATA | HEADERS)
            && flags & END_STREAM != 0
            && let Some(stream) = self.streams.remove(&id)
        {
            // Five bytes precede the message: a flag that it is not compressed, and its length.
            ended.push((id, stream.message.get(5..).map(<[u8]>::to_vec)));
        }
        Ok(())
    }
}

fn put_frame(to: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    to.extend_from_slice(&length[1..]);
    to.extend([kind, flags]);
    to.extend(stream.to_be_bytes());
    to.extend_from_slice(payload);
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}
