//! The encoding of protobuf. A message is a sequence of fields, which this module reads without
//! allocating, and appends to a buffer.
//!
//! A field is a tag, `number << 3 | type`, and its content: type 0 is a number as a varint (7 bits
//! in each byte, the lowest first), type 2 a length and that many bytes, types 1 and 5 numbers of 8
//! and 4 bytes.

/// The content of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    /// A varint.
    Number(u64),
    /// Bytes, a text, or a message.
    Bytes(&'a [u8]),
    /// A number of fixed size, which no message that is decoded by hand has.
    Other,
}

/// The bytes end within a field, or its number or type is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// Iterates over the fields of a message with their numbers. It ends after the first [`Broken`]
/// field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        let field = (!self.0.is_empty()).then(|| self.field());
        if let Some(Err(Broken)) = field {
            self.0 = &[];
        }
        field
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Field<'a>), Broken> {
        let tag = self.number()?;
        if tag >> 3 == 0 || tag > u32::MAX.into() {
            return Err(Broken);
        }
        let field = match tag & 7 {
            0 => Field::Number(self.number()?),
            1 => self.take(8).map(|_| Field::Other)?,
            2 => {
                let length = usize::try_from(self.number()?).map_err(|_| Broken)?;
                Field::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Field::Other)?,
            // Groups, which proto3 does not have, and unknown types.
            _ => return Err(Broken),
        };
        Ok((tag >> 3, field))
    }

    /// Takes `length` bytes from the front.
    fn take(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Broken)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Takes a varint from the front: at most 64 bits, in at most ten bytes.
    fn number(&mut self) -> Result<u64, Broken> {
        let mut number = 0;
        for shift in (0..=63).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Broken)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Broken);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Broken)
    }
}

/// Returns the size of a field with `length` bytes of content, tag and length included.
pub(super) fn size_of_bytes(field: u64, length: usize) -> usize {
    size_of(field << 3) + size_of(length as u64) + length
}

/// Returns the size of a field with a number.
pub(super) fn size_of_number(field: u64, number: u64) -> usize {
    size_of(field << 3) + size_of(number)
}

/// Returns the size of a varint.
fn size_of(number: u64) -> usize {
    let bits = u64::BITS - (number | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Appends a field of bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_head(out, field, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends the tag and the length of a field with `length` bytes, which the caller appends next.
pub(super) fn put_head(out: &mut Vec<u8>, field: u64, length: usize) {
    put(out, field << 3 | 2);
    put(out, length as u64);
}

/// Appends a field with a number.
pub(super) fn put_number(out: &mut Vec<u8>, field: u64, number: u64) {
    put(out, field << 3);
    put(out, number);
}

/// Appends a varint.
fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(bytes: &[u8]) -> Result<(u64, Field<'_>), Broken> {
        let mut fields = Fields(bytes);
        let field = fields.next().expect("a field");
        assert!(fields.next().is_none());
        field
    }

    #[test]
    fn numbers_survive_a_round_trip_and_have_the_computed_size() {
        let powers = (0..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit]);
        for number in powers.chain([u64::MAX]) {
            let mut out = Vec::new();
            put_number(&mut out, 3, number);
            assert_eq!(out.len(), size_of_number(3, number));
            assert_eq!(only(&out), Ok((3, Field::Number(number))));
        }
    }

    #[test]
    fn bytes_survive_a_round_trip_and_have_the_computed_size() {
        for (field, length) in [(15, 0), (15, 1), (15, 127), (16, 128), (300, 20_000)] {
            let mut out = Vec::new();
            put_bytes(&mut out, field, &vec![7; length]);
            assert_eq!(out.len(), size_of_bytes(field, length));
            assert_eq!(only(&out), Ok((field, Field::Bytes(&vec![7; length]))));
        }
    }

    #[test]
    fn fields_that_are_cut_off_or_not_valid_are_broken() {
        let of_65_bits = [&[0x08][..], &[0xff; 9], &[0x02]].concat();
        let of_eleven_bytes = [&[0x08][..], &[0x80; 10], &[0x01]].concat();
        let number_of_33_bits = [0x80, 0x80, 0x80, 0x80, 0x10, 0];
        let group = [0x0b, 0x0c];
        for bytes in [
            &of_65_bits[..],
            &of_eleven_bytes,
            &number_of_33_bits,
            &group,
            &[0x00, 0],
            &[0x08],
            &[0x08, 0x80],
            &[0x0a, 2, 1],
            &[0x09, 1, 2, 3, 4, 5, 6, 7],
            &[0x0d, 1, 2, 3],
        ] {
            assert_eq!(only(bytes), Err(Broken), "{bytes:?}");
        }
        assert_eq!(only(&[0x0d, 1, 2, 3, 4]), Ok((1, Field::Other)));
    }
}
