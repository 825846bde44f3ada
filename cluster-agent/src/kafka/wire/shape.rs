//! Walks an answer by its layout before the codec reads it.
//!
//! The codec reserves memory for as many elements as an array says it has. A garbled or hostile
//! answer could say two billion. The walk takes no memory, and an array that says more than its
//! frame holds ends it.

/// One field's layout.
#[derive(Debug, Clone, Copy)]
pub(in crate::kafka) enum Field {
    /// A fixed number of bytes.
    Fixed(usize),
    /// Two bytes of length, then text; -1 for none.
    Text,
    /// A varint of length plus one, then text or bytes; 0 for none.
    Compact,
    /// Four bytes of length, then elements; -1 for none.
    Array(&'static [Field]),
    /// A varint of length plus one, then elements; 0 for none.
    CompactArray(&'static [Field]),
    /// Tagged fields; those listed are read by the codec, others are only bytes to it.
    Tags(&'static [(u32, &'static [Field])]),
}

/// Tagged fields of which none is known.
pub(in crate::kafka) const NO_TAGS: Field = Field::Tags(&[]);

/// What a length or a field contradicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::kafka) enum ShapeError {
    /// It ends too early.
    #[error("it ends in the middle of a field")]
    Short,
    /// A negative length other than -1.
    #[error("a length is negative")]
    Negative,
    /// A varint of more than 32 bits.
    #[error("a length is not a number of 32 bits")]
    Varint,
    /// A tagged field is longer or shorter than it says.
    #[error("a tagged field does not have the length it says")]
    Tag,
    /// Bytes after the last field.
    #[error("{0} bytes are left over")]
    Rest(usize),
}

/// Checks that `bytes` are exactly one message of this layout.
pub(in crate::kafka) fn check(bytes: &[u8], fields: &[Field]) -> Result<(), ShapeError> {
    let rest = walk(bytes, fields)?;
    if rest.is_empty() { Ok(()) } else { Err(ShapeError::Rest(rest.len())) }
}

/// Passes `fields`; returns what follows. Depth is that of the layout, never of the message.
pub(in crate::kafka) fn walk<'a>(
    mut bytes: &'a [u8],
    fields: &[Field],
) -> Result<&'a [u8], ShapeError> {
    for field in fields {
        bytes = match field {
            Field::Fixed(size) => skip(bytes, *size)?,
            Field::Text => {
                let (length, rest) = take::<2>(bytes)?;
                skip(rest, length_or_none(i64::from(i16::from_be_bytes(length)))?)?
            }
            Field::Compact => {
                let (length, rest) = varint(bytes)?;
                skip(rest, size(length.saturating_sub(1))?)?
            }
            Field::Array(element) => {
                let (length, rest) = take::<4>(bytes)?;
                let length = length_or_none(i64::from(i32::from_be_bytes(length)))?;
                elements(rest, length, element)?
            }
            Field::CompactArray(element) => {
                let (length, rest) = varint(bytes)?;
                elements(rest, size(length.saturating_sub(1))?, element)?
            }
            Field::Tags(known) => tags(bytes, known)?,
        };
    }
    Ok(bytes)
}

fn elements<'a>(
    mut bytes: &'a [u8],
    count: usize,
    element: &[Field],
) -> Result<&'a [u8], ShapeError> {
    // Every element has at least one byte, so this ends when the frame does.
    for _ in 0..count {
        bytes = walk(bytes, element)?;
    }
    Ok(bytes)
}

fn tags<'a>(bytes: &'a [u8], known: &[(u32, &'static [Field])]) -> Result<&'a [u8], ShapeError> {
    let (count, mut bytes) = varint(bytes)?;
    for _ in 0..count {
        let (tag, rest) = varint(bytes)?;
        let (length, rest) = varint(rest)?;
        let (content, rest) = rest.split_at_checked(size(length)?).ok_or(ShapeError::Short)?;
        if let Some((_, layout)) = known.iter().find(|(number, _)| *number == tag)
            && !walk(content, layout)?.is_empty()
        {
            return Err(ShapeError::Tag);
        }
        bytes = rest;
    }
    Ok(bytes)
}

fn take<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), ShapeError> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or(ShapeError::Short)?;
    Ok((*head, rest))
}

fn skip(bytes: &[u8], size: usize) -> Result<&[u8], ShapeError> {
    bytes.get(size..).ok_or(ShapeError::Short)
}

fn length_or_none(length: i64) -> Result<usize, ShapeError> {
    match length {
        -1 => Ok(0),
        length => usize::try_from(length).map_err(|_| ShapeError::Negative),
    }
}

fn size(length: u32) -> Result<usize, ShapeError> {
    usize::try_from(length).map_err(|_| ShapeError::Short)
}

/// An unsigned varint of at most 32 bits.
fn varint(mut bytes: &[u8]) -> Result<(u32, &[u8]), ShapeError> {
    let mut value: u64 = 0;
    for shift in [0_u32, 7, 14, 21, 28] {
        let ([byte], rest) = take::<1>(bytes)?;
        bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            let value = u32::try_from(value).map_err(|_| ShapeError::Varint)?;
            return Ok((value, bytes));
        }
    }
    Err(ShapeError::Varint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_that_says_more_than_its_frame_holds_is_refused_without_memory() {
        let two_billion = [0x7F, 0xFF, 0xFF, 0xFF, 1, 2, 3];
        let layout = [Field::Array(&[Field::Fixed(1)])];
        assert_eq!(check(&two_billion, &layout), Err(ShapeError::Short));
        let compact = [0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 1];
        assert_eq!(
            check(&compact, &[Field::CompactArray(&[Field::Fixed(1)])]),
            Err(ShapeError::Short)
        );
    }

    #[test]
    fn a_known_tagged_field_must_fill_its_length() {
        let layout = [Field::Tags(&[(0, &[Field::Fixed(2)])])];
        assert_eq!(check(&[1, 0, 2, 9, 9], &layout), Ok(()));
        assert_eq!(check(&[1, 0, 3, 9, 9, 9], &layout), Err(ShapeError::Tag));
        assert_eq!(check(&[1, 7, 3, 9, 9, 9], &layout), Ok(()), "an unknown one is only bytes");
    }

    #[test]
    fn lengths_of_none_and_below_are_told_apart() {
        assert_eq!(check(&[0xFF, 0xFF], &[Field::Text]), Ok(()));
        assert_eq!(check(&[0xFF, 0xFE], &[Field::Text]), Err(ShapeError::Negative));
        assert_eq!(check(&[0, 1, b'a', b'b'], &[Field::Text]), Err(ShapeError::Rest(1)));
        assert_eq!(check(&[0x80; 6], &[Field::Compact]), Err(ShapeError::Varint));
    }
}
