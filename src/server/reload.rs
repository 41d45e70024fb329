//! Reading the node's files again while it runs: the word to do so, and the thread that does.

use std::convert::Infallible;
use std::io;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded, select};
use log::info;

/// Tells a server to read its files again; may be used from any thread.
#[derive(Clone, Debug)]
pub struct Reloader {
    word: Sender<()>,
}

impl Reloader {
    /// Tells the server to read its files again, and does not wait for it.
    pub fn reload(&self) {
        // Told twice before it began is as good as once.
        let _ = self.word.try_send(());
    }
}

/// Returns the word to read the files again, and where it is heard.
pub(super) fn reloads() -> (Reloader, Receiver<()>) {
    let (word, told) = bounded(1);
    (Reloader { word }, told)
}

/// The thread that reads the files again. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Files {
    /// Dropped to stop.
    stop: Option<Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Files {
    /// Starts the thread, which reads the files whenever it is told to.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(told: Receiver<()>) -> io::Result<Files> {
        let (stop, stopped) = bounded(0);
        let run = move || watch(&told, &stopped);
        let thread = Some(thread::Builder::new().name("files".into()).spawn(run)?);
        Ok(Files { stop: Some(stop), thread })
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was logged; it takes nothing else with it.
            let _ = thread.join();
        }
    }
}

fn watch(told: &Receiver<()>, stopped: &Receiver<Infallible>) {
    loop {
        select! {
            recv(told) -> word => match word {
                Ok(()) => info!("SIGHUP: the files are read again"),
                Err(_) => return,
            },
            recv(stopped) -> _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telling_never_waits() {
        let (reloader, told) = reloads();
        (0..3).for_each(|_| reloader.reload());
        assert_eq!(told.try_iter().count(), 1);
        drop(told);
        reloader.reload();
    }

    #[test]
    fn the_thread_ends_while_the_word_can_still_be_said() {
        let (reloader, told) = reloads();
        let files = Files::start(told).expect("a thread");
        reloader.reload();
        drop(files);
        reloader.reload();
    }
}
