//! What is chosen, in every way in which it comes about, and the checks of what nodes write.

use super::super::model::Model;
use super::super::register::Registers;
use super::fingerprint::{Fingerprint, QuickMap};
use super::live::{Disk, Write};
use lattistore::lpaxos::{Record, Slot};

/// All states of votes and decrees that were seen.
#[derive(Debug)]
pub(super) struct Ledgers {
    known: Vec<Model<Registers>>,
    places: QuickMap<u128, u32>,
    steps: QuickMap<(u32, u32), Result<u32, String>>,
}

impl Ledgers {
    /// The first of them, number 0, in which nobody voted.
    pub(super) fn new(nodes: usize) -> Ledgers {
        let mut ledgers =
            Ledgers { known: Vec::new(), places: QuickMap::default(), steps: QuickMap::default() };
        ledgers.number(Model::new(nodes, nodes));
        ledgers
    }

    fn number(&mut self, model: Model<Registers>) -> u32 {
        let place = self.places.entry(Fingerprint::of(&model));
        *place.or_insert_with(|| {
            self.known.push(model);
            u32::try_from(self.known.len() - 1).expect("there are fewer than four billion")
        })
    }

    /// The last slot chosen.
    pub(super) fn last(&self, ledger: u32) -> Slot {
        self.known[ledger as usize].last()
    }

    /// Checks a proposal that leaves a node.
    ///
    /// # Errors
    /// When the slot before is not chosen.
    pub(super) fn proposed(&self, ledger: u32, slot: Slot) -> Result<(), String> {
        self.known[ledger as usize].proposed(slot)
    }

    /// Checks a write, by its number, and counts its votes; gives the ledger after it.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub(super) fn write(&mut self, ledger: u32, number: u32, write: &Write) -> Result<u32, String> {
        if let Some(known) = self.steps.get(&(ledger, number)) {
            return known.clone();
        }
        let mut model = self.known[ledger as usize].clone();
        let done = checked(&mut model, write).map(|()| self.number(model));
        self.steps.insert((ledger, number), done.clone());
        done
    }
}

fn checked(model: &mut Model<Registers>, write: &Write) -> Result<(), String> {
    let Write { place, records, before, state } = write;
    model.restarted(*place, before);
    model.check(*place, state)?;
    model.accepted(state, records)?;
    model.applied(before, records)?;
    for record in records {
        if let Record::Accept(proposal) = record {
            model.voted(*place, proposal)?;
        }
    }
    // What never goes down was compared; it is no part of what is chosen.
    model.restarted(*place, &Disk::default());
    Ok(())
}
