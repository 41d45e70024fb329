//! The judge of a bank: transfers move money, so every read of all accounts has the same sum.
//!
//! A read that is not a snapshot almost surely has another sum, and so has every read after a
//! transfer of which half was lost. The judge does not look at real time:
//! [`positions`](super::positions) and [`lists`](super::lists) do. Time: linear.

use std::collections::BTreeMap;
use std::fmt;

use super::operation::{Model, Operation, Ran};

/// A request to the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Moves `amount` if `from` has it; the answer contains the balances of both accounts before.
    Transfer {
        /// The account that pays.
        from: u64,
        /// The account that is paid.
        to: u64,
        /// The amount.
        amount: i64,
    },
    /// Reads all accounts.
    ReadAll,
}

/// Balances by account.
pub type Balances = BTreeMap<u64, i64>;

/// An operation on the bank.
pub type BankOperation = Operation<Request, Balances>;

/// An anomaly of the bank. Operations are named by their index in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// A read of all accounts has another sum.
    WrongSum {
        /// The read.
        operation: usize,
        /// Its sum.
        sum: i64,
        /// The expected sum.
        expected: i64,
    },
    /// A read of all accounts has other accounts than the bank.
    WrongAccounts {
        /// The read.
        operation: usize,
    },
    /// A balance is below zero, although no transfer takes more than the account has.
    Overdrawn {
        /// The operation that read it.
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
                write!(f, "operation {operation} read other accounts than the bank has")
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
    for (index, operation) in history.iter().enumerate() {
        let Some(balances) = operation.response() else { continue };
        for (&account, &balance) in balances {
            if balance < 0 {
                anomalies.push(Anomaly::Overdrawn { operation: index, account, balance });
            }
        }
        if operation.request == Request::ReadAll {
            let sum = balances.values().sum();
            if !balances.keys().eq(initial.keys()) {
                anomalies.push(Anomaly::WrongAccounts { operation: index });
            } else if sum != expected {
                anomalies.push(Anomaly::WrongSum { operation: index, sum, expected });
            }
        }
    }
    anomalies
}

/// The bank as a model for the replay by position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankModel {
    /// The balance of every account.
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
