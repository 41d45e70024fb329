//! What a measured system has to offer: a [`Duplex`] for bytes, and a [`Wire`] that reads them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::workload::Operation;

/// What bytes go over. Two threads may use it, one to read and one to write.
pub(crate) trait Duplex: Send + Sync {
    /// Reads once; zero bytes at the end.
    fn read(&self, to: &mut [u8]) -> io::Result<usize>;

    /// Writes all.
    fn write_all(&self, bytes: &[u8]) -> io::Result<()>;

    /// How long one read may wait.
    fn set_read_timeout(&self, time: Duration) -> io::Result<()>;

    /// Ends both directions.
    fn close(&self);
}

impl Duplex for TcpStream {
    fn read(&self, to: &mut [u8]) -> io::Result<usize> {
        let mut this = self;
        Read::read(&mut this, to)
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        let mut this = self;
        Write::write_all(&mut this, bytes)
    }

    fn set_read_timeout(&self, time: Duration) -> io::Result<()> {
        TcpStream::set_read_timeout(self, Some(time))
    }

    fn close(&self) {
        // The only error is that it is closed already.
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// One connection's protocol: bytes out, bytes in.
pub(crate) trait Wire: Send {
    /// What it goes over.
    type Duplex: Duplex;

    /// Whether another operation may be asked now, beside the depth.
    fn has_room(&self) -> bool;

    /// Appends what asks for an operation.
    fn ask(&mut self, id: u64, operation: &Operation<'_>, to: &mut Vec<u8>);

    /// Takes what came and gives how much of it was used; appends what is to be sent now.
    ///
    /// # Errors
    /// When the connection is of no more use.
    fn take(
        &mut self,
        came: &[u8],
        done: &mut Vec<(u64, Result<(), String>)>,
        to: &mut Vec<u8>,
    ) -> Result<usize, String>;
}

/// Makes connections.
pub(crate) type Connect<'a, W> = dyn Fn() -> Result<(<W as Wire>::Duplex, W), String> + Sync + 'a;
