//! The votes and chosen decrees of every state, and the checks of what nodes write.

use super::super::model::Model;
use super::super::register::Registers;
use super::fingerprint::{Fingerprint, NumberMap};
use super::running_node::{Disk, Write};
use lattistore::lpaxos::{Record, Slot};

/// Every state of votes and chosen decrees that was reached. A ledger is named by its number.
#[derive(Debug)]
pub(super) struct Ledgers {
    known: Vec<Model<Registers>>,
    places: NumberMap<u128, u32>,
    steps: NumberMap<(u32, u32), Result<u32, String>>,
}

impl Ledgers {
    /// Returns the ledgers with the first one, number 0, in which no node voted.
    pub(super) fn new(nodes: usize) -> Ledgers {
        let mut ledgers = Ledgers {
            known: Vec::new(),
            places: NumberMap::default(),
            steps: NumberMap::default(),
        };
        ledgers.number(Model::new(nodes));
        ledgers
    }

    fn number(&mut self, model: Model<Registers>) -> u32 {
        let place = self.places.entry(Fingerprint::of(&model));
        *place.or_insert_with(|| {
            self.known.push(model);
            u32::try_from(self.known.len() - 1).expect("there are fewer than 2^32")
        })
    }

    /// Returns the last slot that is chosen.
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

    /// Checks a write, given with its number, and counts its votes; returns the ledger after it.
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
    // The numbers that never decrease were compared above; they are reset because they are not a
    // part of what is chosen.
    model.restarted(*place, &Disk::default());
    Ok(())
}
