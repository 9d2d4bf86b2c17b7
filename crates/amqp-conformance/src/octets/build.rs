//! Writes octets by hand.

/// The octets of the fields of a list, in their order.
pub type Fields<'a> = &'a [&'a [u8]];

/// The octets that these digits are; spaces between them are passed over. What is no digit ends them.
pub fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u32> = digits.chars().filter(|c| !c.is_whitespace()).map_while(|c| c.to_digit(16)).collect();
    digits
        .chunks_exact(2)
        .filter_map(|pair| u8::try_from(pair.iter().fold(0, |octet, digit| octet << 4 | digit)).ok())
        .collect()
}

/// A whole AMQP frame: the header of eight octets, and this body.
pub fn frame(channel: u16, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len().saturating_add(8)).unwrap_or(u32::MAX);
    [&size.to_be_bytes(), &[2, 0][..], &channel.to_be_bytes(), body].concat()
}

/// A described value whose descriptor is a smallulong.
pub fn described(code: u8, value: &[u8]) -> Vec<u8> {
    [&[0x00, 0x53, code], value].concat()
}

/// A list: list8 if it fits, else list32.
pub fn list(fields: Fields<'_>) -> Vec<u8> {
    compound(0xc0, fields.len(), &fields.concat())
}

/// A list32.
pub fn list32(fields: Fields<'_>) -> Vec<u8> {
    wide(0xd0, fields.len(), &fields.concat())
}

/// A map of these keys and values in turn: map8 if it fits, else map32.
pub fn map(items: Fields<'_>) -> Vec<u8> {
    compound(0xc1, items.len(), &items.concat())
}

/// An array of bodies that share a constructor: array8 if it fits, else array32.
pub fn array(constructor: &[u8], bodies: Fields<'_>) -> Vec<u8> {
    compound(0xe0, bodies.len(), &[constructor, &bodies.concat()].concat())
}

/// A string of up to 255 octets, as str8.
pub fn string(text: &str) -> Vec<u8> {
    short(0xa1, text)
}

/// A symbol of up to 255 octets, as sym8.
pub fn symbol(text: &str) -> Vec<u8> {
    short(0xa3, text)
}

fn short(code: u8, text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    [&[code, length], text.as_bytes()].concat()
}

fn compound(code: u8, count: usize, inside: &[u8]) -> Vec<u8> {
    match (u8::try_from(inside.len().saturating_add(1)), u8::try_from(count)) {
        (Ok(size), Ok(count)) => [&[code, size, count], inside].concat(),
        _ => wide(code.saturating_add(0x10), count, inside),
    }
}

fn wide(code: u8, count: usize, inside: &[u8]) -> Vec<u8> {
    let size = u32::try_from(inside.len().saturating_add(4)).unwrap_or(u32::MAX);
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    [&[code][..], &size.to_be_bytes(), &count.to_be_bytes(), inside].concat()
}
