//! The values of the language and the parameters of a program, which clients and nodes exchange.
//!
//! The language itself is in `lang`; only nodes run programs.

mod params;
mod value;

pub use params::{Bindable, Params, ValueRef};
pub(crate) use value::write_quoted;
pub use value::{Text, Value, is_invisible};
