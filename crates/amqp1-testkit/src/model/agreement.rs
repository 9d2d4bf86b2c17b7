//! What both ends must agree on when nothing is on its way.

use super::monitor::{Link, Monitor, Session};

/// Compares two ends at rest: windows, credit, and what is not settled, which is nothing when all was disposed of.
pub(super) fn check(one: &Monitor, other: &Monitor) {
    for session in one.sessions.iter().filter(|session| session.is_mapped()) {
        let same = |there: &&Session| there.is_mapped() && there.in_channel == session.out_channel;
        let there = other.sessions.iter().find(same).unwrap_or_else(|| panic!("only one end has {session:?}"));
        assert_eq!(Some(session.windows.next_out), there.windows.next_in, "transfers sent and received");
        assert_eq!(session.windows.out_limit, there.windows.in_limit, "the window given and taken");
        check_links(session, there);
        let unsettled = |deliveries: &super::deliveries::Deliveries, links: &[Link]| {
            deliveries.unsettled(|at| links.get(at).is_some_and(Link::is_attached))
        };
        let (sent, received) = (unsettled(&session.sent, &session.links), unsettled(&there.received, &there.links));
        assert_eq!(sent, received, "unsettled deliveries at the sender and the receiver");
        assert!(sent.is_empty(), "{sent:?} have outcomes and are not settled");
    }
}

fn check_links(session: &Session, there: &Session) {
    for link in session.links.iter().filter(|link| link.sends && link.is_attached()) {
        let same = |other: &&Link| !other.sends && other.is_attached() && other.name == link.name;
        let other = there.links.iter().find(same).unwrap_or_else(|| panic!("only one end has {link:?}"));
        assert_eq!(link.credit.count, other.credit.count, "the delivery-count of {}", link.name);
        let limit = link.credit.limit.or(link.credit.count);
        let granted = other.credit.limit.or(other.credit.count);
        assert_eq!(limit, granted, "the credit of {}", link.name);
    }
}
