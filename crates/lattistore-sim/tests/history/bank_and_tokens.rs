//! The judges of the bank and of tokens report each anomaly.

use lattistore_sim::history::bank::{self, Balances, BankOperation, Request, check_bank};
use lattistore_sim::history::tokens::{self, TokenOperation, check_tokens};
use lattistore_sim::history::{Operation, Outcome};

fn read(balances: &[(u64, i64)]) -> BankOperation {
    let outcome = Outcome::Ran(balances.iter().copied().collect());
    let request = Request::ReadAll;
    Operation { process: 0, invoked: 0, completed: 1, request, outcome, position: None }
}

#[test]
fn every_read_of_the_bank_has_the_same_sum() {
    let initial: Balances = [(1, 50), (2, 50)].into();
    assert_eq!(check_bank(&[read(&[(1, 20), (2, 80)])], &initial), []);
    assert_eq!(
        check_bank(&[read(&[(1, 20), (2, 50)])], &initial),
        [bank::Anomaly::WrongSum { operation: 0, sum: 70, expected: 100 }]
    );
    assert_eq!(
        check_bank(&[read(&[(1, 100)])], &initial),
        [bank::Anomaly::WrongAccounts { operation: 0 }]
    );
    assert_eq!(
        check_bank(&[read(&[(1, -10), (2, 110)])], &initial),
        [bank::Anomaly::Overdrawn { operation: 0, account: 1, balance: -10 }]
    );
    // The balances that a transfer returns are not those of all accounts.
    let mut transfer = read(&[(1, 20)]);
    transfer.request = Request::Transfer { from: 1, to: 2, amount: 5 };
    assert_eq!(check_bank(&[transfer], &initial), []);
}

fn append(token: u64, outcome: Outcome<()>) -> TokenOperation<()> {
    let (process, invoked, completed) = (0, 0, 1);
    Operation { process, invoked, completed, request: token, outcome, position: None }
}

#[test]
fn acknowledged_tokens_are_present_once_unknown_ones_at_most_once_refused_ones_never() {
    let history = [
        append(1, Outcome::Ran(())),
        append(2, Outcome::RanUnseen),
        append(3, Outcome::MayHaveRun),
        append(4, Outcome::MayHaveRun),
        append(5, Outcome::DidNotRun),
    ];
    assert_eq!(check_tokens(&history, &[2, 1, 3]), []);
    assert_eq!(check_tokens(&history, &[1, 3]), [tokens::Anomaly::Lost { operation: 1, token: 2 }]);
    let again = |operation, token| tokens::Anomaly::Repeated { operation, token, times: 2 };
    assert_eq!(check_tokens(&history, &[1, 2, 3, 1, 3]), [again(0, 1), again(2, 3)]);
    assert_eq!(
        check_tokens(&history, &[1, 2, 5, 9, 7]),
        [
            tokens::Anomaly::Refused { operation: 4, token: 5 },
            tokens::Anomaly::OutOfThinAir { token: 7 },
            tokens::Anomaly::OutOfThinAir { token: 9 }
        ]
    );
    let twice = [append(1, Outcome::Ran(())), append(1, Outcome::Ran(()))];
    assert_eq!(check_tokens(&twice, &[1]), [tokens::Anomaly::NotUnique { operation: 1, token: 1 }]);
}
