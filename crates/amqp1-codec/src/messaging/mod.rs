//! Part 3: message sections (§3.2), delivery states (§3.4), sources and targets (§3.5).
//!
//! ```
//! use amqp1_codec::{
//!     Decode, Encode, Reader, Symbol,
//!     definitions::{AmqpError, ErrorCondition},
//!     messaging::{DeliveryState, Source},
//! };
//!
//! let source = Source { outcomes: [Symbol::from_static("amqp:accepted:list")].into_iter().collect(), ..Source::at("q") };
//! let octets = source.to_octets();
//! assert_eq!(Source::decode(&mut Reader::new(&octets))?, source);
//!
//! let state = DeliveryState::rejected(AmqpError::new(ErrorCondition::DECODE_ERROR, "no message"));
//! assert!(state.is_outcome());
//! # Ok::<(), amqp1_codec::DecodeError>(())
//! ```

mod annotations;
mod delivery_state;
mod properties_ref;
pub mod section_code;
mod sections;
mod terminus;

pub use annotations::{Annotations, ApplicationProperties};
pub use delivery_state::{DeliveryState, Modified, Received, Rejected};
pub use properties_ref::{MessageIdRef, PropertiesRef, PropertyName};
pub use sections::{Header, MessageId, Properties};
pub use terminus::{
    DistributionMode, FilterSet, LifetimePolicy, NodeProperties, Source, Target, TerminusDurability,
    TerminusExpiryPolicy,
};
