//! The language of transactions.
