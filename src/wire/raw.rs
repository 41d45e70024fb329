//! Protobuf as it is on the wire: fields, one after the other, without a message to put them into.

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    Number(u64),
    /// Bytes, text, or a message.
    Bytes(&'a [u8]),
    /// What nothing here asks for: numbers of a fixed size.
    Other,
}

/// The bytes end within a field, or it is of no known type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// The fields of a message with their numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| self.field())
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Field<'a>), Broken> {
        let tag = self.number()?;
        let field = match tag & 7 {
            0 => Field::Number(self.number()?),
            1 => self.take(8).map(|_| Field::Other)?,
            2 => {
                let length = usize::try_from(self.number()?).map_err(|_| Broken)?;
                Field::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Field::Other)?,
            // Groups, which proto3 has not: nothing of this project sends them.
            _ => return Err(Broken),
        };
        Ok((tag >> 3, field))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Broken)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Takes a number of at most ten bytes from the front.
    fn number(&mut self) -> Result<u64, Broken> {
        let mut number = 0;
        for shift in (0..70).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Broken)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Broken)
    }
}

/// The size of a field of bytes whose number is below 16.
pub(super) fn size_of_bytes(length: usize) -> usize {
    1 + size_of_number(length as u64) + length
}

/// The size of a field with a number whose own number is below 16.
pub(super) fn size_of_number_field(number: u64) -> usize {
    1 + size_of_number(number)
}

fn size_of_number(number: u64) -> usize {
    let bits = u64::BITS - (number | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Appends a field of bytes whose number is below 16.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    put_head(out, number, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends the beginning of a field of so many bytes, which have to follow.
pub(super) fn put_head(out: &mut Vec<u8>, number: u8, length: usize) {
    out.push(number << 3 | 2);
    put(out, length as u64);
}

/// Appends a field with a number whose own number is below 16.
pub(super) fn put_number(out: &mut Vec<u8>, number: u8, value: u64) {
    out.push(number << 3);
    put(out, value);
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}
