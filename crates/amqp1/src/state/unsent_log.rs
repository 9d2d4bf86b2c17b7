//! A log of messages that are lost before any of them has left, for an observer.

use amqp1_codec::{Str, definitions::Role};
use amqp1_engine::{Connection, Event, LinkId, Suspended};
use std::collections::HashMap;

/// The messages that are lost before any of them has left, by the names of their links: for an observer.
#[derive(Debug, Default)]
pub(crate) struct UnsentLog {
    /// The links on which this end sends.
    names: HashMap<LinkId, Str>,
    lost: Vec<(Str, u64)>,
}

impl UnsentLog {
    /// The messages that were lost since this was last called.
    pub(crate) fn take(&mut self) -> Vec<(Str, u64)> {
        std::mem::take(&mut self.lost)
    }

    pub(crate) fn add(&mut self, link: LinkId, count: u64) {
        let Some(name) = self.names.get(&link).filter(|_| count > 0) else { return };
        match self.lost.last_mut() {
            Some((last, lost)) if last == name => *lost = lost.saturating_add(count),
            _ => self.lost.push((name.clone(), count)),
        }
    }

    /// Follows links by their events. Messages that wait for the next endpoint of a link have not left either.
    pub(crate) fn follow(&mut self, engine: &mut Connection, event: &Event) {
        match event {
            Event::LinkAttached(id) | Event::LinkOffered(id) => {
                let link = engine.link(*id).ok().filter(|link| link.role() == Role::Sender);
                self.names.extend(link.map(|link| (*id, link.name().into())));
            }
            Event::LinkDetached(id, detached) => {
                if let Some(Suspended::Sender(sender)) = &detached.suspended {
                    let waiting = sender.deliveries.iter().filter(|delivery| !delivery.begun).count();
                    self.add(*id, u64::try_from(waiting).unwrap_or(u64::MAX));
                }
                self.names.remove(id);
            }
            _ => {}
        }
    }
}
