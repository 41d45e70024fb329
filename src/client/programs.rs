//! The programs of `get`, `put`, `delete` and `cas`.

pub(super) const GET: &str = "get $key;";
pub(super) const PUT: &str = "put $key $value;";
pub(super) const DELETE: &str = "delete $key;";

/// `cas` from a value to another value.
pub(super) const REPLACE: &str = "matches = exists $key && get $key == $expected; \
     if matches { put $key $new; } return matches;";
/// `cas` from no value to a value.
pub(super) const CREATE: &str =
    "matches = !exists $key; if matches { put $key $new; } return matches;";
/// `cas` from a value to no value.
pub(super) const REMOVE: &str = "matches = exists $key && get $key == $expected; \
     if matches { delete $key; } return matches;";
/// `cas` from no value to no value.
pub(super) const ABSENT: &str = "return !exists $key;";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::compile;

    #[test]
    fn programs_compile_and_those_for_read_write_nothing() {
        for (program, is_read_only) in [
            (GET, true),
            (PUT, false),
            (DELETE, false),
            (REPLACE, false),
            (CREATE, false),
            (REMOVE, false),
            (ABSENT, true),
        ] {
            let compiled = compile(program).expect("the client's programs are valid");
            assert_eq!(compiled.is_read_only(), is_read_only, "{program}");
        }
    }
}
