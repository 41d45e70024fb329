//! The programs of the client's simple calls.

pub(super) const GET: &str = "get $key;";
pub(super) const PUT: &str = "put $key $value;";
pub(super) const DELETE: &str = "delete $key;";

/// From a value to a value.
pub(super) const REPLACE: &str = "matches = exists $key && get $key == $expected; \
     if matches { put $key $new; } return matches;";
/// From no value to a value.
pub(super) const CREATE: &str =
    "matches = !exists $key; if matches { put $key $new; } return matches;";
/// From a value to no value.
pub(super) const REMOVE: &str = "matches = exists $key && get $key == $expected; \
     if matches { delete $key; } return matches;";
/// From no value to no value.
pub(super) const ABSENT: &str = "return !exists $key;";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::compile;

    #[test]
    fn programs_compile_and_say_truly_whether_they_write() {
        for (program, reads) in [
            (GET, true),
            (PUT, false),
            (DELETE, false),
            (REPLACE, false),
            (CREATE, false),
            (REMOVE, false),
            (ABSENT, true),
        ] {
            let compiled = compile(program).expect("the client's programs are valid");
            assert_eq!(compiled.is_read_only(), reads, "{program}");
        }
    }
}
