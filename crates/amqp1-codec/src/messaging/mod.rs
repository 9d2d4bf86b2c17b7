//! Part 3: message sections (§3.2), delivery states (§3.4), sources and targets (§3.5).

mod annotations;
mod delivery_state;
mod properties_ref;
mod sections;
mod terminus;

pub use annotations::{Annotations, ApplicationProperties};
pub use delivery_state::{DeliveryState, Modified, Received, Rejected};
pub use properties_ref::{MessageIdRef, PropertiesRef};
pub use sections::{Header, MessageId, Properties};
pub use terminus::{
    DistributionMode, FilterSet, LifetimePolicy, NodeProperties, Source, Target, TerminusDurability,
    TerminusExpiryPolicy,
};

/// Numeric descriptors of the sections.
pub(crate) mod section_code {
    pub(crate) const HEADER: u8 = 0x70;
    pub(crate) const DELIVERY_ANNOTATIONS: u8 = 0x71;
    pub(crate) const MESSAGE_ANNOTATIONS: u8 = 0x72;
    pub(crate) const PROPERTIES: u8 = 0x73;
    pub(crate) const APPLICATION_PROPERTIES: u8 = 0x74;
    pub(crate) const DATA: u8 = 0x75;
    pub(crate) const AMQP_SEQUENCE: u8 = 0x76;
    pub(crate) const AMQP_VALUE: u8 = 0x77;
    pub(crate) const FOOTER: u8 = 0x78;
}
