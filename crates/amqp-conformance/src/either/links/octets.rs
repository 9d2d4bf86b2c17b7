//! Frames that are written octet by octet.

pub(crate) const NULL: &[u8] = b"\x40";
pub(crate) const TRUE: &[u8] = b"\x41";
pub(crate) const FALSE: &[u8] = b"\x42";
/// The uint 0.
pub(crate) const ZERO: &[u8] = b"\x43";

/// A data section of the text `hello` (§3.2.6).
pub(crate) const HELLO: &[u8] = b"\0\x53\x75\xa0\x05hello";

/// A frame with this body.
pub(crate) fn frame(channel: u16, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len().saturating_add(8)).unwrap_or(u32::MAX);
    [&size.to_be_bytes()[..], &[2, 0], &channel.to_be_bytes(), body].concat()
}

/// A described list with this descriptor and these encoded fields.
pub(crate) fn list(code: u8, fields: &[&[u8]]) -> Vec<u8> {
    let encoded = fields.concat();
    let count = u32::try_from(fields.len()).unwrap_or(u32::MAX);
    let size = u32::try_from(encoded.len().saturating_add(4)).unwrap_or(u32::MAX);
    [&[0, 0x53, code, 0xd0][..], &size.to_be_bytes(), &count.to_be_bytes(), &encoded].concat()
}

/// A uint in its longest form.
pub(crate) fn uint(number: u32) -> [u8; 5] {
    let [a, b, c, d] = number.to_be_bytes();
    [0x70, a, b, c, d]
}
