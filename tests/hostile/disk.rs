//! Fuzz target: a damaged data directory. It opens with a state that the node once had, or it does
//! not open.

use std::sync::LazyLock;

use lattistore_sim::disk::SimDisk;

use crate::chance::Chance;
use crate::workload::{State, open, run};

/// A directory with a checkpoint and with segments that are prepared, in use and no longer needed.
struct Undamaged {
    disk: SimDisk,
    names: Vec<String>,
    /// Every state that the node had.
    states: Vec<State>,
}

static UNDAMAGED: LazyLock<Undamaged> = LazyLock::new(|| {
    let disk = SimDisk::new(9);
    let run = run(disk.process(), 20, 60);
    assert!(run.error.is_none(), "{:?}", run.error);
    drop(run.storage);
    disk.kill();
    let mut names = disk.process().list().unwrap();
    names.sort();
    Undamaged { disk, names, states: run.states }
});

/// Damages a copy of the directory by the choices of `bytes`, and opens it. One damage changes a
/// byte, truncates or loses a file, or overwrites a part of it with a part of another file or with
/// zeros.
pub(crate) fn disk(bytes: &[u8]) {
    let Undamaged { disk, names, states } = &*UNDAMAGED;
    let copy = disk.copy(1);
    let mut chance = Chance::new(bytes);
    while chance.is_left() {
        let name = &names[chance.below(names.len())];
        let Some(mut content) = copy.content(name) else { continue };
        let place = |chance: &mut Chance<'_>, length: usize| {
            (usize::from(chance.byte()) << 8 | usize::from(chance.byte())) % (length + 1)
        };
        let at = place(&mut chance, content.len());
        match chance.below(5) {
            0 if at < content.len() => content[at] ^= chance.byte(),
            1 => content.truncate(at),
            2 => {
                copy.lose(name);
                continue;
            }
            3 => {
                let other = &names[chance.below(names.len())];
                let Some(other) = copy.content(other) else { continue };
                let from = place(&mut chance, other.len());
                let count = usize::from(chance.byte()) * 64;
                for (to, byte) in content[at..].iter_mut().zip(&other[from..]).take(count) {
                    *to = *byte;
                }
            }
            _ => content[at..].iter_mut().take(4_096).for_each(|byte| *byte = 0),
        }
        copy.set_content(name, content);
    }
    if let Ok(opened) = open(copy.process()) {
        assert!(states.contains(&opened.durable), "a state that the node never had");
        // Dropping the storage must not write to this disk, which is not used again.
        copy.kill();
    }
}
