//! The filters of JMS in a source (§3.5.8): selectors, and no-local.

use super::{HeldMessage, Selector};
use alloc::{format, vec::Vec};
use amqp1_codec::{
    Symbol, Value,
    definitions::{AmqpError, ErrorCondition},
    messaging::{FilterSet, Source},
};

const SELECTOR: (u64, Symbol) = (0x0000_468C_0000_0004, Symbol::from_static("apache.org:selector-filter:string"));
const NO_LOCAL: (u64, Symbol) = (0x0000_468C_0000_0003, Symbol::from_static("apache.org:no-local-filter:list"));

/// The filters of a source that a node holds its messages against, as registered by Apache for JMS:
/// `apache.org:selector-filter:string` and `apache.org:no-local-filter:list`.
///
/// ```
/// use amqp1_codec::{Symbol, messaging::{FilterSet, Source}};
/// use amqp1_broker::terminus::{MessageFilters, Support};
///
/// let mut filter = FilterSet::new();
/// filter.insert(Symbol::from_static("selector"), 0x0000_468C_0000_0004_u64, "colour = 'red'");
/// let asked = Source { filter: Some(filter), ..Source::at("q") };
///
/// // Read it before it is granted: a link whose filter is not in force would take messages that it does not want.
/// let filters = MessageFilters::of(&asked)?;
/// let granted = Support { filters: MessageFilters::is_served, ..Support::default() }.grant(&asked);
/// assert!(!filters.no_local() && granted.filter == asked.filter);
/// # Ok::<_, amqp1_codec::definitions::AmqpError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MessageFilters {
    selectors: Vec<Selector>,
    no_local: bool,
}

fn is(descriptor: &Value, (code, name): &(u64, Symbol)) -> bool {
    match descriptor {
        Value::Ulong(found) => found == code,
        Value::Symbol(found) => found == name,
        _ => false,
    }
}

impl MessageFilters {
    /// Reads the filters of a source.
    ///
    /// # Errors
    ///
    /// Why the link has to be refused: a filter of another kind ([`ErrorCondition::NOT_IMPLEMENTED`]), or a selector that
    /// cannot be read ([`ErrorCondition::INVALID_FIELD`]).
    pub fn of(source: &Source) -> Result<Self, AmqpError> {
        let mut filters = Self::default();
        for (name, filter) in source.filter.iter().flat_map(FilterSet::iter) {
            match filter {
                Value::Null => {}
                Value::Described(filter) if is(&filter.descriptor, &NO_LOCAL) => filters.no_local = true,
                Value::Described(filter) if is(&filter.descriptor, &SELECTOR) => {
                    let refuse = |text| AmqpError::new(ErrorCondition::INVALID_FIELD, text);
                    let text = filter.value.as_text().ok_or_else(|| refuse("the selector is not a text".into()))?;
                    filters.selectors.push(Selector::parse(text).map_err(|error| refuse(format!("{error}")))?);
                }
                _ => {
                    let text = format!("the filter {name:?} is not served here");
                    return Err(AmqpError::new(ErrorCondition::NOT_IMPLEMENTED, text));
                }
            }
        }
        Ok(filters)
    }

    /// Whether filters of this descriptor are read: for [`Support::filters`](super::Support::filters).
    pub fn is_served(descriptor: &Value) -> bool {
        is(descriptor, &SELECTOR) || is(descriptor, &NO_LOCAL)
    }

    /// Whether messages are left out that the receiver's own container has published.
    pub fn no_local(&self) -> bool {
        self.no_local
    }

    /// Whether a message passes. `local` says whether the receiver's container has published it.
    pub fn passes(&self, message: &HeldMessage, local: bool) -> bool {
        !(self.no_local && local) && self.selectors.iter().all(|selector| selector.matches(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;
    use amqp1_codec::{
        Message,
        messaging::{DeliveryState, Modified},
    };
    use amqp1_engine::Instant;

    fn source(filters: &[(&'static str, Value)]) -> Source {
        let mut filter = FilterSet::new();
        for (name, value) in filters {
            filter.insert_undescribed(Symbol::from_static(name), value.clone());
        }
        Source { filter: Some(filter), ..Source::default() }
    }

    fn message(colour: &str) -> HeldMessage {
        let sent = Message::builder().application_property("colour", colour).data("").build();
        let message = Message::from_chunks(sent.into_parts()).expect("a message");
        HeldMessage::new(message, Instant::default()).expect("it reads")
    }

    /// Also E-filt-1: by number and by name.
    #[test]
    fn m_3_5_8_2_messages_pass_that_every_filter_lets_through() {
        for (selector, no_local) in [
            (Value::Ulong(SELECTOR.0), Value::Ulong(NO_LOCAL.0)),
            (Value::Symbol(SELECTOR.1), Value::Symbol(NO_LOCAL.1)),
        ] {
            let red = Value::described(selector.clone(), "colour = 'red'");
            let here = Value::described(no_local, Vec::new());
            let filters =
                MessageFilters::of(&source(&[("a", red.clone()), ("b", here), ("c", Value::Null)])).expect("served");
            assert!(filters.no_local() && filters.passes(&message("red"), false));
            assert!(!filters.passes(&message("red"), true) && !filters.passes(&message("blue"), false));
            // All selectors have to match.
            let not = Value::described(selector, "colour <> 'red'");
            let both = MessageFilters::of(&source(&[("a", red), ("b", not)])).expect("served");
            assert!(!both.passes(&message("red"), false) && !both.passes(&message("blue"), false));
        }
        let none = MessageFilters::of(&Source::default()).expect("no filters");
        assert!(none.passes(&message("red"), true));
    }

    /// The descriptors as they are registered, not as the constants have them.
    #[test]
    fn e_filt_1_selectors_and_no_local_have_their_registered_descriptors() {
        for selector in
            [Value::Ulong(0x468C_0000_0004), Symbol::from_static("apache.org:selector-filter:string").into()]
        {
            assert!(MessageFilters::is_served(&selector));
            let filters = [("a", Value::described(selector, "colour = 'red'"))];
            let filters = MessageFilters::of(&source(&filters)).expect("served");
            assert!(filters.passes(&message("red"), true) && !filters.passes(&message("blue"), true));
        }
        for no_local in [Value::Ulong(0x468C_0000_0003), Symbol::from_static("apache.org:no-local-filter:list").into()]
        {
            assert!(MessageFilters::is_served(&no_local));
            let filters = [("a", Value::described(no_local, Vec::new()))];
            let filters = MessageFilters::of(&source(&filters)).expect("served");
            assert!(filters.passes(&message("red"), false) && !filters.passes(&message("red"), true));
        }
        assert!(!MessageFilters::is_served(&Value::Ulong(0x468C_0000_0005)));
    }

    #[test]
    fn m_3_5_1_3_a_filter_says_the_same_of_a_message_until_its_state_changes() {
        let filters = |selector: &str| {
            let filters = [("a", Value::described(SELECTOR.0, selector))];
            MessageFilters::of(&source(&filters)).expect("served")
        };
        let (colour, fresh) = (filters("colour = 'red'"), filters("JMSRedelivered = FALSE"));
        let later = Instant::default() + core::time::Duration::from_secs(3600);
        for (text, is_red) in [("red", true), ("blue", false)] {
            let mut held = message(text);
            let verdicts = |held: &HeldMessage| (colour.passes(held, false), fresh.passes(held, false));
            // Neither being acquired, nor time, nor a release is a state that the filters ask about.
            for link in 1..=3 {
                assert_eq!(verdicts(&held), (is_red, true));
                assert!(held.acquire(link, later).is_some());
                assert_eq!(verdicts(&held), (is_red, true));
                held.settle(link, &DeliveryState::Released);
            }
            let failed = Modified { delivery_failed: true, ..Modified::default() };
            held.settle(3, &DeliveryState::Modified(Box::new(failed)));
            assert_eq!(verdicts(&held), (is_red, false));
        }
    }

    /// Also E-filt-1.
    #[test]
    fn filters_that_are_not_served_or_not_readable_are_refused() {
        for (value, condition) in [
            (Value::described(Symbol::from_static("example.org:colour"), "red"), ErrorCondition::NOT_IMPLEMENTED),
            (Value::from("colour = 'red'"), ErrorCondition::NOT_IMPLEMENTED),
            (Value::described(SELECTOR.0, "colour ="), ErrorCondition::INVALID_FIELD),
            (Value::described(SELECTOR.0, 7), ErrorCondition::INVALID_FIELD),
        ] {
            let error = MessageFilters::of(&source(&[("colour", value)])).expect_err("refused");
            assert_eq!(error.condition, condition);
        }
    }
}
