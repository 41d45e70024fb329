//! The values of the language and the parameters of a program: what goes between a client and a node.
//!
//! The language itself, which runs on the nodes, is in `lang`.

mod params;
mod value;

pub use params::{Bindable, Params, ValueRef};
pub(crate) use value::write_quoted;
pub use value::{Text, Value, is_invisible};
