//! Sources and targets (§3.5).

use super::DeliveryState;
use crate::{
    Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, Map, Reader, Str, Symbol, Value,
    definitions::{Fields, ascii, choices},
    performative::Seconds,
};
use bytes::BytesMut;

choices! {
    /// The durability of a terminus: the state of it that outlives the container (§3.5.5).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub enum TerminusDurability: u32, advisory {
        /// Nothing.
        #[default]
        None = 0,
        /// That it exists and how it is configured.
        Configuration = 1,
        /// The state of unsettled deliveries as well.
        UnsettledState = 2,
    }
}

/// When a terminus begins to expire (§3.5.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TerminusExpiryPolicy {
    /// When its link is detached.
    LinkDetach,
    /// When its session has ended.
    #[default]
    SessionEnd,
    /// When its connection is closed.
    ConnectionClose,
    /// Never.
    Never,
}

impl TerminusExpiryPolicy {
    /// The symbol on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LinkDetach => "link-detach",
            Self::SessionEnd => "session-end",
            Self::ConnectionClose => "connection-close",
            Self::Never => "never",
        }
    }
}

impl Encode for TerminusExpiryPolicy {
    fn encoded_len(&self, style: EncodeStyle) -> usize {
        Symbol::from_static(self.as_str()).encoded_len(style)
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        Symbol::from_static(self.as_str()).encode(style, out);
    }
}

impl TerminusExpiryPolicy {
    fn named(symbol: &Symbol) -> Option<Self> {
        [Self::LinkDetach, Self::SessionEnd, Self::ConnectionClose, Self::Never]
            .into_iter()
            .find(|policy| *symbol == *policy.as_str())
    }
}

impl Decode for TerminusExpiryPolicy {
    const ADVISORY: bool = true;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = *reader;
        let symbol = Symbol::decode(reader)?;
        Self::named(&symbol).ok_or_else(|| start.error(DecodeErrorKind::InvalidValue))
    }

    fn stand_in(reader: Reader<'_>) -> Option<Self> {
        Self::named(&ascii(reader)?)
    }
}

/// How a node gives messages to several links (§3.5.7). The set is open.
pub struct DistributionMode;

impl DistributionMode {
    /// A message that was transferred is gone for others.
    pub const MOVE: Symbol = Symbol::from_static("move");
    /// A message that was transferred stays for others.
    pub const COPY: Symbol = Symbol::from_static("copy");
}

impl core::fmt::Debug for DistributionMode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("DistributionMode")
    }
}

/// Which messages a link gets (§3.5.8): symbols to described values, or to null for no filter.
#[derive(Clone, Default, PartialEq)]
pub struct FilterSet(Map);

impl FilterSet {
    /// No filters.
    pub const fn new() -> Self {
        Self(Map::new())
    }

    /// The filter of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get_str(name)
    }

    /// Sets a filter: `descriptor` says what `value` means.
    pub fn insert(&mut self, name: impl Into<Symbol>, descriptor: impl Into<Value>, value: impl Into<Value>) {
        self.0.insert(name.into(), Value::described(descriptor, value));
    }

    /// Sets a filter as it is, without a descriptor: some services want one so, or null for a filter that they are to
    /// choose. §3.5.8 allows described values and null.
    ///
    /// ```
    /// use amqp1_codec::{Symbol, Value, messaging::FilterSet};
    ///
    /// let mut filter = FilterSet::new();
    /// // Any session of a Service Bus queue, whichever comes next.
    /// filter.insert_undescribed(Symbol::from_static("com.microsoft:session-filter"), Value::Null);
    /// assert_eq!(filter.get("com.microsoft:session-filter"), Some(&Value::Null));
    /// ```
    pub fn insert_undescribed(&mut self, name: impl Into<Symbol>, value: impl Into<Value>) {
        self.0.insert(name.into(), value);
    }

    /// The names and filters in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Value, &Value)> {
        self.0.iter()
    }
}

impl Encode for FilterSet {
    fn encoded_len(&self, style: EncodeStyle) -> usize {
        self.0.encoded_len(style)
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        self.0.encode(style, out);
    }
}

impl Decode for FilterSet {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = *reader;
        let map = Map::decode(reader)?;
        let limits = reader.packed();
        let mut strings = false;
        for (name, filter) in map.iter() {
            match name {
                Value::Symbol(_) => {}
                Value::String(_) if limits.string_field_keys() => strings = true,
                _ => return Err(start.error(DecodeErrorKind::InvalidKeyType)),
            }
            if !limits.undescribed_filters() && !matches!(filter, Value::Described(_) | Value::Null) {
                return Err(start.error(DecodeErrorKind::NotDescribed));
            }
        }
        Ok(Self(if strings { map.with_symbol_keys() } else { map }))
    }
}

/// When a dynamically created node goes (§3.5.10 to §3.5.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LifetimePolicy {
    /// With the link that it was created for (§3.5.10).
    DeleteOnClose,
    /// When no link is left that it is the source or the target of (§3.5.11).
    DeleteOnNoLinks,
    /// When no message is left in it (§3.5.12).
    DeleteOnNoMessages,
    /// When neither links nor messages are left (§3.5.13).
    DeleteOnNoLinksOrMessages,
}

impl LifetimePolicy {
    /// The numeric descriptor.
    pub const fn code(self) -> u64 {
        match self {
            Self::DeleteOnClose => 0x2b,
            Self::DeleteOnNoLinks => 0x2c,
            Self::DeleteOnNoMessages => 0x2d,
            Self::DeleteOnNoLinksOrMessages => 0x2e,
        }
    }

    /// The policy that this value is.
    pub fn from_value(value: &Value) -> Option<Self> {
        let Value::Described(described) = value else { return None };
        let descriptor = match &described.descriptor {
            Value::Ulong(code) => crate::Descriptor::Code(*code),
            Value::Symbol(name) => crate::Descriptor::Name(name.clone()),
            _ => return None,
        };
        if !matches!(&described.value, Value::List(fields) if fields.is_empty()) {
            return None;
        }
        [Self::DeleteOnClose, Self::DeleteOnNoLinks, Self::DeleteOnNoMessages, Self::DeleteOnNoLinksOrMessages]
            .into_iter()
            .find(|policy| descriptor.code() == Some(policy.code()))
    }
}

impl From<LifetimePolicy> for Value {
    fn from(policy: LifetimePolicy) -> Self {
        Self::described(policy.code(), alloc::vec::Vec::new())
    }
}

/// Properties of a node that is to be created (§3.5.9).
#[derive(Clone, Default, PartialEq)]
pub struct NodeProperties(pub Fields);

impl NodeProperties {
    const LIFETIME_POLICY: &'static str = "lifetime-policy";
    const SUPPORTED_DIST_MODES: &'static str = "supported-dist-modes";

    /// When the node goes.
    pub fn lifetime_policy(&self) -> Option<LifetimePolicy> {
        self.0.get(Self::LIFETIME_POLICY).and_then(LifetimePolicy::from_value)
    }

    /// Sets when the node goes.
    #[must_use]
    pub fn with_lifetime_policy(mut self, policy: LifetimePolicy) -> Self {
        self.0.insert(Symbol::from_static(Self::LIFETIME_POLICY), policy);
        self
    }
}

impl Encode for NodeProperties {
    fn encoded_len(&self, style: EncodeStyle) -> usize {
        self.0.encoded_len(style)
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        self.0.encode(style, out);
    }
}

impl Decode for NodeProperties {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = *reader;
        let fields = Fields::decode(reader)?;
        let policy = fields
            .get(Self::LIFETIME_POLICY)
            .is_none_or(|value| value.is_null() || LifetimePolicy::from_value(value).is_some());
        let modes = fields.get(Self::SUPPORTED_DIST_MODES).is_none_or(|value| match value {
            Value::Null | Value::Symbol(_) => true,
            Value::Array(modes) => modes.is_of_symbols(),
            _ => false,
        });
        if (policy && modes) || reader.limits().odd_node_properties {
            Ok(Self(fields))
        } else {
            Err(start.error(DecodeErrorKind::InvalidValue))
        }
    }
}

composite! {
    /// Where a link's messages come from (§3.5.3).
    pub struct Source = 0x28, "amqp:source:list" {
        /// The node.
        address: opt Str,
        /// The durability of the terminus.
        durable: def TerminusDurability = TerminusDurability::None,
        /// When the terminus begins to expire.
        expiry_policy: def TerminusExpiryPolicy = TerminusExpiryPolicy::SessionEnd,
        /// How long it takes to expire.
        timeout: def Seconds = 0,
        /// Whether a node is to be created.
        dynamic: def bool = false,
        /// The properties of the node that is created.
        dynamic_node_properties: opt NodeProperties,
        /// How the node gives messages to several links.
        distribution_mode: odd Symbol,
        /// Which messages the link gets.
        filter: opt FilterSet,
        /// The outcome of deliveries that are settled without one.
        default_outcome: final DeliveryState,
        /// The descriptors of the outcomes that may be chosen.
        outcomes: multi Symbol,
        /// Extensions that the sender of this supports or wants.
        capabilities: multi Symbol,
    }

    /// Where a link's messages go (§3.5.4).
    pub struct Target = 0x29, "amqp:target:list" {
        /// The node.
        address: opt Str,
        /// The durability of the terminus.
        durable: def TerminusDurability = TerminusDurability::None,
        /// When the terminus begins to expire.
        expiry_policy: def TerminusExpiryPolicy = TerminusExpiryPolicy::SessionEnd,
        /// How long it takes to expire.
        timeout: def Seconds = 0,
        /// Whether a node is to be created.
        dynamic: def bool = false,
        /// The properties of the node that is created.
        dynamic_node_properties: opt NodeProperties,
        /// Extensions that the sender of this supports or wants.
        capabilities: multi Symbol,
    }
}

impl Source {
    /// A source at this address.
    pub fn at(address: impl Into<Str>) -> Self {
        Self { address: Some(address.into()), ..Self::default() }
    }
}

impl Target {
    /// A target at this address.
    pub fn at(address: impl Into<Str>) -> Self {
        Self { address: Some(address.into()), ..Self::default() }
    }
}
