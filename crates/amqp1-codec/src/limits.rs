//! Limits of the cost of decoding a peer's octets.

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
    /// order). Some real clients write the delivery annotations or the footer elsewhere. Off by default.
    pub any_section_order: bool,
    /// Take strings as keys of annotations and footers, which must be symbols or unsigned longs (§3.2.10). Some real
    /// clients write them. ASCII strings are read as symbols. Off by default.
    pub string_annotation_keys: bool,
    /// Take lists, maps and arrays as application properties, which must be simple values (§3.2.5). Off by default.
    pub compound_application_properties: bool,
    /// Take message properties of another type with the same meaning (§3.2.4): strings, symbols and, for the user-id,
    /// binaries for one another, and any integer that is not negative as a message-id. Off by default.
    pub loose_properties: bool,
    /// Take strings as keys of fields, which must be symbols (§2.8.13): an error's info, the properties of a
    /// connection, a session or a link, filters. ASCII strings are read as symbols. Off by default.
    pub string_field_keys: bool,
    /// Take filters that are not described (§3.5.8). Off by default.
    pub undescribed_filters: bool,
    /// Take node properties whose lifetime-policy or supported-dist-modes are of another form (§3.5.9); they are kept
    /// as they came, and count as absent. Off by default.
    pub odd_node_properties: bool,
    /// Take data that only advises although it cannot be read, if it is a well-formed value. Off by default.
    ///
    /// - Properties of a connection, a session or a link, an error's info, capabilities and other lists of symbols count as
    ///   absent.
    /// - So do settle modes, a terminus's durability, expiry policy and distribution mode that are unknown. A known one
    ///   that is written as another type is that one.
    /// - An error's description that is not UTF-8 is read with replacements, and one of another type counts as absent. A
    ///   condition that is no ASCII text, or missing, is
    ///   [`ErrorCondition::UNREADABLE`](crate::definitions::ErrorCondition::UNREADABLE), and so is that of an
    ///   error that cannot be read at all.
    /// - Fields too many of an error or of a delivery's state are skipped.
    pub odd_advisory_data: bool,
    /// Take transaction-ids of up to 255 octets, where §4.5.4 allows 32. Off by default.
    pub long_transaction_ids: bool,
}

impl Limits {
    /// The limits that are used where none are given.
    pub const DEFAULT: Self = Self {
        depth: 32,
        zero_width_elements: 65_536,
        strict: false,
        any_section_order: false,
        string_annotation_keys: false,
        compound_application_properties: false,
        loose_properties: false,
        string_field_keys: false,
        undescribed_filters: false,
        odd_node_properties: false,
        odd_advisory_data: false,
        long_transaction_ids: false,
    };

    /// The default limits, and nothing tolerated that the specification forbids.
    pub const STRICT: Self = Self { strict: true, ..Self::DEFAULT };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Declares the limits as they are carried about: a bit for each switch.
macro_rules! packed {
    ($($name:ident = $bit:literal),+ $(,)?) => {
        /// The limits in few octets, as readers and messages carry them about.
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct Packed {
            pub(crate) zero_width_elements: u32,
            pub(crate) depth: u8,
            switches: u16,
        }

        impl Packed {
            pub(crate) const DEFAULT: Self = Self::of(Limits::DEFAULT);

            #[inline]
            pub(crate) const fn of(limits: Limits) -> Self {
                let Limits { depth, zero_width_elements, $($name),+ } = limits;
                let switches = 0 $(| (($name as u16) << $bit))+;
                Self { zero_width_elements, depth, switches }
            }

            #[inline]
            pub(crate) const fn unpack(self) -> Limits {
                Limits { depth: self.depth, zero_width_elements: self.zero_width_elements, $($name: self.$name()),+ }
            }

            $(
                #[inline]
                pub(crate) const fn $name(self) -> bool {
                    self.switches & (1 << $bit) != 0
                }
            )+
        }
    };
}

packed! {
    strict = 0,
    any_section_order = 1,
    string_annotation_keys = 2,
    compound_application_properties = 3,
    loose_properties = 4,
    string_field_keys = 5,
    undescribed_filters = 6,
    long_transaction_ids = 7,
    odd_node_properties = 8,
    odd_advisory_data = 9,
}
