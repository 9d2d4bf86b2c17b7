//! Azure Service Bus: its addresses, and its session filter.
//!
//! ```no_run
//! # async fn example(session: amqp1::Session) -> Result<(), amqp1::Error> {
//! use amqp1::brokers::service_bus;
//!
//! // The next session that has messages and is not locked, and then its name.
//! let orders = session.receiver("orders").filter(service_bus::next_session()).attach().await?;
//! println!("{:?}", service_bus::session_of(&orders.remote_attach()));
//! # Ok(()) }
//! ```

use crate::types::filter::Filter;
use amqp1_codec::{Str, Symbol, Value, performative::Attach};

/// The name of the session filter.
pub const SESSION_FILTER: Symbol = Symbol::from_static("com.microsoft:session-filter");

/// The descriptor of the session filter, as Azure's libraries send it.
const SESSION_FILTER_CODE: u64 = 0x0000_0013_7000_000C;

/// The address of a subscription of a topic: `TOPIC/Subscriptions/NAME`.
pub fn subscription(topic: &str, name: &str) -> Str {
    format!("{topic}/Subscriptions/{name}").into()
}

/// The address of the messages that a queue or a [`subscription`] has given up: `ENTITY/$DeadLetterQueue`.
pub fn dead_letters(entity: &str) -> Str {
    format!("{entity}/$DeadLetterQueue").into()
}

/// The address of the messages that could not be forwarded from an entity: `ENTITY/$Transfer/$DeadLetterQueue`.
pub fn transfer_dead_letters(entity: &str) -> Str {
    format!("{entity}/$Transfer/$DeadLetterQueue").into()
}

/// The address of the management node of an entity: `ENTITY/$management`.
pub fn management(entity: &str) -> Str {
    format!("{entity}/$management").into()
}

/// Asks for the session of this name, which is locked for the link.
pub fn session(id: impl Into<Str>) -> Filter {
    Filter::new(SESSION_FILTER, SESSION_FILTER_CODE, Value::String(id.into()))
}

/// Asks for the next session that has messages and is not locked: [`session_of`] has its name.
pub fn next_session() -> Filter {
    Filter::undescribed(SESSION_FILTER, Value::Null)
}

/// The session that the service has locked for a link, by its answer
/// ([`Receiver::remote_attach`](crate::Receiver::remote_attach)).
pub fn session_of(granted: &Attach) -> Option<Str> {
    let value = granted.source.as_ref()?.filter.as_ref()?.get(SESSION_FILTER.as_str())?;
    let value = if let Value::Described(described) = value { &described.value } else { value };
    value.as_text().map(|id| id.to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_codec::messaging::{FilterSet, Source};

    #[test]
    fn the_locked_session_is_read_with_and_without_a_descriptor() {
        let answer = |filter: Option<Filter>| {
            let mut filters = FilterSet::new();
            if let Some(filter) = filter {
                filter.insert_into(&mut filters);
            }
            let source = Source { filter: Some(filters), ..Source::at("orders") };
            Attach { source: Some(Box::new(source)), ..Attach::default() }
        };
        assert_eq!(session_of(&answer(Some(session("s1")))).as_deref(), Some("s1"));
        assert_eq!(session_of(&answer(Some(Filter::undescribed(SESSION_FILTER, "s2")))).as_deref(), Some("s2"));
        assert_eq!(session_of(&answer(Some(next_session()))), None);
        assert_eq!(session_of(&answer(None)), None);
        assert_eq!(session_of(&Attach::default()), None);
    }

    #[test]
    fn addresses_nest() {
        let subscription = subscription("prices", "audit");
        assert_eq!(subscription, "prices/Subscriptions/audit");
        assert_eq!(dead_letters(&subscription), "prices/Subscriptions/audit/$DeadLetterQueue");
        assert_eq!(transfer_dead_letters("orders"), "orders/$Transfer/$DeadLetterQueue");
        assert_eq!(management("orders"), "orders/$management");
    }
}
