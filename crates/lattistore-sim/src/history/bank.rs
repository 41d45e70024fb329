//! The black-box judge of a bank: transfers move money, so every full read has the same sum.
//!
//! The sum of a read that is not a snapshot is almost surely wrong; so is that after a transfer that
//! was lost by half. It tells nothing of real time: replay or [`lists`](super::lists) do.

use std::collections::BTreeMap;
use std::fmt;

use super::operation::{Model, Operation, Ran};

/// What is done at the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Moves `amount` if `from` has it; answered the balances of the two before.
    Transfer {
        /// Pays.
        from: u64,
        /// Is paid.
        to: u64,
        /// How much.
        amount: i64,
    },
    /// Reads all accounts.
    ReadAll,
}

/// Balances by account.
pub type Balances = BTreeMap<u64, i64>;

/// An operation on the bank.
pub type BankOperation = Operation<Request, Balances>;

/// What is wrong with a history of the bank. Operations are named by their index in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// A full read has another sum.
    WrongSum {
        /// The read.
        operation: usize,
        /// Its sum.
        sum: i64,
        /// What it should be.
        expected: i64,
    },
    /// A full read has other accounts than the bank.
    WrongAccounts {
        /// The read.
        operation: usize,
    },
    /// A balance below zero, though no transfer takes more than is there.
    Overdrawn {
        /// Who read it.
        operation: usize,
        /// The account.
        account: u64,
        /// Its balance.
        balance: i64,
    },
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Anomaly::WrongSum { operation, sum, expected } => {
                write!(f, "operation {operation} read a sum of {sum} instead of {expected}")
            }
            Anomaly::WrongAccounts { operation } => {
                write!(f, "operation {operation} read other accounts than there are")
            }
            Anomaly::Overdrawn { operation, account, balance } => {
                write!(f, "operation {operation} read {balance} in account {account}")
            }
        }
    }
}

/// Judges all answers of a history that began with the balances `initial`.
pub fn check_bank(history: &[BankOperation], initial: &Balances) -> Vec<Anomaly> {
    let expected: i64 = initial.values().sum();
    let mut anomalies = Vec::new();
    for (operation, asked) in history.iter().enumerate() {
        let Some(balances) = asked.response() else { continue };
        for (&account, &balance) in balances {
            if balance < 0 {
                anomalies.push(Anomaly::Overdrawn { operation, account, balance });
            }
        }
        if asked.request == Request::ReadAll {
            let sum = balances.values().sum();
            if !balances.keys().eq(initial.keys()) {
                anomalies.push(Anomaly::WrongAccounts { operation });
            } else if sum != expected {
                anomalies.push(Anomaly::WrongSum { operation, sum, expected });
            }
        }
    }
    anomalies
}

/// The bank as a model for replay by position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankModel {
    /// What every account has.
    pub balances: Balances,
}

impl Model for BankModel {
    type Request = Request;
    type Response = Balances;

    fn run(&mut self, request: &Request) -> Ran<Balances> {
        match *request {
            Request::ReadAll => Ran { response: self.balances.clone(), wrote: false },
            Request::Transfer { from, to, amount } => {
                let balance = |account| self.balances.get(&account).copied().unwrap_or_default();
                let (payer, payee) = (balance(from), balance(to));
                let response = Balances::from([(from, payer), (to, payee)]);
                let wrote = payer >= amount && from != to;
                if wrote {
                    self.balances.insert(from, payer - amount);
                    self.balances.insert(to, payee + amount);
                }
                Ran { response, wrote }
            }
        }
    }
}
