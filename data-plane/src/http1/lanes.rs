//! Sixteen bytes of a head at once.

use wide::u8x16;

/// Bytes that are looked at together.
pub(super) const LANES: usize = 16;

/// So many bytes.
pub(super) type Lanes = [u8; LANES];

/// The number of each lane.
const NUMBERS: Lanes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// How many bytes come before the first control character.
pub(super) fn until_control(bytes: &Lanes) -> usize {
    let bytes = u8x16::new(*bytes);
    // Only what is below the space is not the greater of the two.
    let fits = bytes.max(u8x16::splat(b' ')).simd_eq(bytes);
    let is_delete = bytes.simd_eq(u8x16::splat(0x7F));
    first(!fits.to_bitmask() | is_delete.to_bitmask())
}

/// Makes the letters, digits and `-` lower case with which the bytes begin. How
/// many there are.
pub(super) fn lower_plain(bytes: &mut Lanes) -> usize {
    let all = u8x16::new(*bytes);
    let case = u8x16::splat(b' ');
    let letter = within(all | case, b'a', b'z');
    let digit = within(all, b'0', b'9');
    let dash = all.simd_eq(u8x16::splat(b'-'));
    let count = first(!(letter | digit | dash).to_bitmask());
    let number = u8::try_from(count).unwrap_or_default();
    let counted = u8x16::new(NUMBERS).simd_lt(u8x16::splat(number));
    *bytes = (all | (letter & counted & case)).to_array();
    count
}

/// Which lanes are from one byte to another.
fn within(lanes: u8x16, from: u8, to: u8) -> u8x16 {
    let above = lanes - u8x16::splat(from);
    above.min(u8x16::splat(to - from)).simd_eq(above)
}

/// The first lane that is in a mask, or how many there are.
fn first(mask: u32) -> usize {
    (mask | 1 << LANES).trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_together_what_each_is_alone() {
        for byte in 0..=u8::MAX {
            for place in 0..LANES {
                let mut lanes = *b"aB3-zY0Q9Zz-A5mX";
                lanes[place] = byte;
                let given = lanes;
                let control = given.iter().position(u8::is_ascii_control);
                assert_eq!(until_control(&lanes), control.unwrap_or(LANES));
                let is_plain = byte.is_ascii_alphanumeric() || byte == b'-';
                let plain = if is_plain { LANES } else { place };
                assert_eq!(lower_plain(&mut lanes), plain, "{byte} at {place}");
                let mut lower = given;
                lower[..plain].make_ascii_lowercase();
                assert_eq!(lanes, lower, "{byte} at {place}");
            }
        }
    }
}
