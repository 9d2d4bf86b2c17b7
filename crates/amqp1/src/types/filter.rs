//! Filters of a source.

use amqp1_codec::{Str, Symbol, Value, messaging::FilterSet};

/// A filter of a source (§3.5.8): its name, the descriptor of its type, and its value.
///
/// Those of particular brokers are in [`brokers`](crate::brokers).
///
/// ```no_run
/// # async fn example(session: amqp1::Session) -> Result<(), amqp1::Error> {
/// use amqp1::link::Filter;
///
/// let receiver = session.receiver("queue").filter(Filter::selector("colour = 'red'")).attach().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    name: Symbol,
    value: Value,
}

impl Filter {
    /// The descriptor of [`selector`](Self::selector), `apache.org:selector-filter:string` as a number.
    pub const SELECTOR: u64 = 0x0000_468C_0000_0004;

    /// The descriptor of [`no_local`](Self::no_local), `apache.org:no-local-filter:list` as a number.
    pub const NO_LOCAL: u64 = 0x0000_468C_0000_0003;

    /// A filter of any type. The name is free: the peer's answer has the filter under it. A few peers look at the name
    /// instead of the descriptor.
    pub fn new(name: impl Into<Symbol>, descriptor: impl Into<Value>, value: impl Into<Value>) -> Self {
        Self { name: name.into(), value: Value::described(descriptor, value) }
    }

    /// A filter without a descriptor, or null. §3.5.8 wants a descriptor; some services want none.
    ///
    /// A filter that is null is never reported as [`NotGranted`](crate::ErrorKind::NotGranted): whether the peer heeds it
    /// is in its attach alone.
    pub fn undescribed(name: impl Into<Symbol>, value: impl Into<Value>) -> Self {
        Self { name: name.into(), value: value.into() }
    }

    /// Passes the messages that a selector of JMS selects, such as `colour = 'red' AND size > 3`: names are those of
    /// application properties. Artemis, Qpid's brokers and the example `broker` have it.
    pub fn selector(expression: impl Into<Str>) -> Self {
        Self::new(Symbol::from_static("selector"), Self::SELECTOR, Value::String(expression.into()))
    }

    /// Leaves out the messages that the receiver's own container has sent, on topics. Artemis, Qpid's brokers and the
    /// example `broker` have it.
    pub fn no_local() -> Self {
        // The registered type is an empty list. Artemis and Qpid JMS send and expect this text.
        Self::new(Symbol::from_static("no-local"), Self::NO_LOCAL, "NoLocalFilter{}")
    }

    /// The name.
    pub fn name(&self) -> &Symbol {
        &self.name
    }

    /// The descriptor with its value, as it stands in the filter-set.
    pub fn value(&self) -> &Value {
        &self.value
    }

    pub(crate) fn insert_into(self, filters: &mut FilterSet) {
        filters.insert_undescribed(self.name, self.value);
    }
}
