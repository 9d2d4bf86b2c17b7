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
}

impl Limits {
    /// The limits that are used where none are given.
    pub const DEFAULT: Self = Self { depth: 32, zero_width_elements: 65_536, strict: false };

    /// The default limits, and nothing tolerated that the specification forbids.
    pub const STRICT: Self = Self { strict: true, ..Self::DEFAULT };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
