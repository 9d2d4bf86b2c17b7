//! Octets from hexadecimal digits.

/// A line that is not hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {number} is not hexadecimal: {text:?}")]
pub struct HexError {
    /// The number of the line, from 1.
    pub number: usize,
    /// The part that cannot be read, up to 40 characters.
    pub text: String,
}

/// The octets of every line. Offsets and columns of text, as other tools print them, are passed over.
pub(super) fn parse(text: &str) -> Result<Vec<u8>, HexError> {
    let mut digits = Vec::new();
    for (line, number) in text.lines().zip(1usize..) {
        for word in without_columns(line).split(|c: char| c.is_whitespace() || matches!(c, ',' | ':' | '"' | ';')) {
            let bare = word.replace("0x", "").replace("\\x", "");
            for c in bare.chars() {
                let digit = c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digits.push(digit.ok_or_else(|| HexError { number, text: word.chars().take(40).collect() })?);
            }
        }
    }
    let (pairs, rest) = digits.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
    } else {
        Err(HexError { number: text.lines().count(), text: String::from("half an octet") })
    }
}

/// A line without the offset at its beginning and the text at its end.
fn without_columns(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with('#') {
        return "";
    }
    // `hexdump -C`: two spaces after the offset, and the text between bars.
    let line = line.split_once('|').map_or(line, |(before, _)| before).trim_end();
    let is_offset = |word: &str| (4..=16).contains(&word.len()) && word.chars().all(|c| c.is_ascii_hexdigit());
    // `xxd`: a colon after the offset, two spaces before the text.
    if let Some((_, rest)) = line.split_once(": ").filter(|(offset, _)| is_offset(offset)) {
        return rest.trim_start().split_once("  ").map_or(rest, |(hex, _)| hex);
    }
    if let Some((_, rest)) = line.split_once("  ").filter(|(offset, _)| is_offset(offset)) {
        // Wireshark: three spaces before the text; `hexdump -C`: two in the middle.
        return rest.trim_start().split_once("   ").map_or(rest, |(hex, _)| hex);
    }
    line
}
