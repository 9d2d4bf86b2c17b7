//! What a peer may cost us while its octets are decoded.

/// Bounds on decoding. Each is on by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How deep values may nest, descriptors included. Checked before descending.
    pub depth: u8,
    /// How many elements of no width an array may claim. Others are bounded by the octets that carry them.
    pub zero_width_elements: u32,
    /// Refuse what is tolerated by default: a message without a body section.
    pub strict: bool,
    /// Take a message's sections in any order, each at most once, and a body's sections in one place (§3.2 fixes the
    /// order). Some real clients write the delivery annotations or the footer elsewhere. When such a message is passed
    /// on, its sections are in order. Off by default.
    pub any_section_order: bool,
    /// Take strings as keys of annotations and footers, which must be symbols or unsigned longs (§3.2.10). Some real
    /// clients write them. Off by default.
    pub string_annotation_keys: bool,
}

impl Limits {
    /// The limits that are used where none are given.
    pub const DEFAULT: Self = Self {
        depth: 32,
        zero_width_elements: 65_536,
        strict: false,
        any_section_order: false,
        string_annotation_keys: false,
    };

    /// The default limits, and nothing tolerated that the specification forbids.
    pub const STRICT: Self = Self { strict: true, ..Self::DEFAULT };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
