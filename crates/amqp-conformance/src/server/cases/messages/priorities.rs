//! Priorities (§3.2.1).

use super::support::section;
use crate::{
    case::{Case, Check, Need},
    octets,
    server::ServerTrial,
    verdict::{Outcome, Stop},
};
use amqp1_codec::messaging::DeliveryState;

const RULE: &str = "A server with fewer than 256 priorities maps the others onto them as the text says (§3.2.1).";

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.2.1-4",
        rule: RULE,
        sends: "messages of the priorities 0 to 9, two of each, the lowest first",
        wants: "an order that fits one number of priorities: that of arrival is one",
        needs: &[Need::Queue],
        check: Check::Server(|trial| ordered(trial, &[0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9])),
        ..Case::SERVER
    },
    Case {
        id: "M-3.2.1-5",
        rule: RULE,
        sends: "messages of the priorities 9 to 255, the lowest first",
        wants: "an order that fits one number of priorities: that of arrival is one",
        needs: &[Need::Queue],
        check: Check::Server(|trial| ordered(trial, &[9, 10, 99, 100, 200, 255])),
        ..Case::SERVER
    },
];

/// The level of a priority among `count` distinct ones.
fn level(priority: u16, count: u16) -> u16 {
    if count >= 10 {
        return priority.min(count.saturating_sub(1));
    }
    // The lowest ends at 5 - ceil(n / 2), the highest begins at 4 + floor(n / 2).
    let lowest = 5u16.saturating_sub(count.div_ceil(2));
    let highest = 4u16.saturating_add(count / 2);
    priority.clamp(lowest, highest.max(lowest))
}

/// Fills the queue with messages of these priorities, and receives them. Passes if their order fits some number of
/// priorities: the higher level first, and those of a level in the order in which they came.
fn ordered(trial: &mut ServerTrial<'_>, priorities: &[u8]) -> Result<Outcome, Stop> {
    let messages: Vec<Vec<u8>> = (0u8..)
        .zip(priorities)
        .map(|(number, priority)| {
            let header = [&[0x00, 0x53, 0x70, 0xc0, 0x04, 0x02, 0x42, 0x50][..], &[*priority]].concat();
            [header, octets::described(0x75, &[0xa0, 1, number])].concat()
        })
        .collect();
    trial.fill(&messages)?;
    let mut receiver = trial.receiver()?;
    receiver.give_credit(u32::try_from(messages.len()).unwrap_or_default());
    let mut order = Vec::new();
    for _ in &messages {
        let delivery = receiver.delivery()?;
        receiver.settle(&delivery, DeliveryState::Accepted);
        let number = match section(&delivery.message, 0x75)? {
            Some(octets::Value::Simple(_, data)) => data.first().copied(),
            _ => None,
        };
        order.push(number.map_or(usize::MAX, usize::from));
    }
    let fits = |count: &u16| {
        let mut wanted: Vec<usize> = (0..priorities.len()).collect();
        wanted.sort_by_key(|index| {
            let priority = priorities.get(*index).copied().unwrap_or_default();
            std::cmp::Reverse(level(u16::from(priority), *count))
        });
        wanted == order
    };
    match (1..=256).find(fits) {
        Some(1) => Ok(Outcome::pass_with("in the order of arrival")),
        Some(count) => Ok(Outcome::pass_with(format!("as a server with {count} priorities"))),
        None => {
            let order: Vec<Option<&u8>> = order.iter().map(|index| priorities.get(*index)).collect();
            Ok(Outcome::fail(format!("no number of priorities gives the order {order:?}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::level;

    #[test]
    fn levels_are_those_of_the_text() {
        // Two priorities: 0 to 4, and 5 and above.
        assert!((0..=4).all(|priority| level(priority, 2) == 4));
        assert!((5..=255).all(|priority| level(priority, 2) == 5));
        // Three: 0 to 3, 4, and 5 and above.
        assert_eq!((level(3, 3), level(4, 3), level(5, 3)), (3, 4, 5));
        assert_eq!(level(200, 1), level(0, 1));
        assert_eq!((level(9, 10), level(200, 10), level(8, 10)), (9, 9, 8));
    }
}
