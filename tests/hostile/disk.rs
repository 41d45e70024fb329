//! A data directory with whatever bytes in whatever places: it opens with a state that the node once
//! had, or it does not open.

use std::sync::LazyLock;

use lattistore_sim::disk::SimDisk;

use crate::chance::Chance;
use crate::workload::{State, open, run};

/// A directory with a checkpoint and segments before, in and after use.
struct Whole {
    disk: SimDisk,
    names: Vec<String>,
    /// All states that the node ever had.
    states: Vec<State>,
}

static WHOLE: LazyLock<Whole> = LazyLock::new(|| {
    let disk = SimDisk::new(9);
    let run = run(disk.process(), 20, 60);
    assert!(run.error.is_none(), "{:?}", run.error);
    drop(run.storage);
    disk.kill();
    let mut names = disk.process().list().unwrap();
    names.sort();
    Whole { disk, names, states: run.states }
});

/// Each four bytes and what they ask for are one damage: a byte changed, a file cut, lost, or filled
/// with a piece of another one.
pub(crate) fn disk(bytes: &[u8]) {
    let Whole { disk, names, states } = &*WHOLE;
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
        assert!(states.contains(&opened.durable), "a state that never was");
        // Nothing is written to a disk that is thrown away.
        copy.kill();
    }
}
