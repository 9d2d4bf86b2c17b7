//! The rules of types that several cases share.

pub(crate) const DESCRIPTORS: &str = "A numeric descriptor may be a smallulong or a ulong (§1.1.2, §1.6.6).";
pub(crate) const COMPOUND: &str =
    "The size of a compound value counts all that follows it, the count included (§1.2.3).";
pub(crate) const COUNT: &str = "The count of a compound value is the number of its items (§1.2.3).";
pub(crate) const ARRAY: &str = "An array is size, count, one constructor, and the bodies (§1.2.4).";
pub(crate) const CODES: &str = "A format code that is not in the table of encodings is an error (§1.2, §1.6).";
pub(crate) const SYMBOLIC: &str = "A composite may be described by its symbol as well as by its number (§1.3.3).";
pub(crate) const MANDATORY: &str = "A mandatory field may not be null or absent (§1.3.4).";
pub(crate) const TYPE: &str = "A field has the type that is declared for it (§1.3.4).";
pub(crate) const CHOICES: &str = "A restricted type has no other values than its choices (§1.3.5).";
pub(crate) const TRIMMED: &str = "Null fields at the end may be left off or not (§1.4).";
pub(crate) const MULTIPLE: &str = "A field of several values is null, one value, or an array of its type (§1.4).";
pub(crate) const BODIES: &str = "The body of a frame is one of the performatives (§1.5, §2.3.2).";
pub(crate) const BOOLEAN: &str = "A boolean is 0x41, 0x42, or 0x56 with the octet 00 or 01 (§1.6.2).";
pub(crate) const UINT: &str = "A uint is 0x70, 0x52 or 0x43 (§1.6.5).";
pub(crate) const CHAR: &str = "A char is one Unicode scalar value in UTF-32BE (§1.6.16).";
pub(crate) const BINARY: &str = "A binary has a length of one octet or of four, and may be empty (§1.6.19).";
pub(crate) const STRING: &str = "A string is valid UTF-8 (§1.6.20).";
pub(crate) const SYMBOL: &str = "A symbol holds ASCII alone (§1.6.21).";
