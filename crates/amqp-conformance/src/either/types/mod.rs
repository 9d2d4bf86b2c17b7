//! Cases on the types (part 1) with a peer in either role.

pub(crate) mod collections;
pub(crate) mod encodings;
pub(crate) mod primitives;
pub(crate) mod rules;
pub(crate) mod written;

use super::links::Checked;
use crate::{octets::Style, wire::Entry};

/// A trial of a server or of a client, for cases about the octets of values.
pub(crate) trait TypeTrial {
    /// Whether the messages that the peer sends are its own. A server relays those of the tool.
    const WRITES_MESSAGES: bool;

    /// Holds a whole conversation with frames that are written by hand, in this style. Passes if the peer does its part.
    fn converses(&mut self, style: &Style) -> Checked;

    /// Sends this message. Passes if the peer takes it: the same values come back from a server's queue, and a client
    /// accepts it and plays the scenario `Receive` to its end.
    fn takes(&mut self, message: &[u8]) -> Checked;

    /// The logs of the connections so far, in the order in which they were made.
    fn logs(&self) -> Vec<Vec<Entry>>;
}

/// Declares `SERVER` and `CLIENT`, tables of cases that send a message with every encoding of some vectors.
///
/// An entry is `id: rule, [vectors]`, or `id or id: rule, [vectors]` where the client's case has an id of its own.
macro_rules! values {
    ($($id:literal $(or $client:literal)?: $rule:expr, [$($name:literal),+];)+) => {
        pub(crate) const SERVER: &[$crate::Case] = &[$($crate::Case {
            id: $id,
            rule: $rule,
            sends: $crate::either::types::VALUES,
            wants: "the same values from the queue",
            check: $crate::Check::Server(|trial| $crate::either::types::takes_values(trial, &[$($name),+])),
            ..$crate::Case::SERVER
        }),+];
        pub(crate) const CLIENT: &[$crate::Case] = &[$($crate::Case {
            id: $crate::either::types::values!(@last $id $(, $client)?),
            rule: $rule,
            sends: $crate::either::types::VALUES,
            wants: "accepted, and the rest of the scenario",
            check: $crate::Check::Client(
                $crate::client::Scenario::Receive,
                |trial| $crate::either::types::takes_values(trial, &[$($name),+]),
            ),
            ..$crate::Case::CLIENT
        }),+];
    };
    (@last $id:literal) => { $id };
    (@last $id:literal, $client:literal) => { $client };
}
use values;

/// What [`values!`] sends.
const VALUES: &str = "a message with such values, each in every encoding";

fn takes_values(trial: &mut impl TypeTrial, names: &[&str]) -> Checked {
    trial.takes(&crate::octets::message_of(names))
}
