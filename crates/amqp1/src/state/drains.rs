//! The drains of a connection: which links have them, and when the driver answers.

use crate::state::{
    aside::Aside,
    drain::{Drains, TurnState},
    ids::LinkKey,
    shared::State,
};
use amqp1_engine::Instant;

impl State {
    pub(crate) fn on_drain_requested(&mut self, id: LinkKey, aside: &mut Aside<'_>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.waiting.wake(aside);
        link.drain.after_turn = None;
        link.drain.unclaimed_since = None;
        link.drain.quiet = None;
        if !link.drain.by_application && !std::mem::replace(&mut link.drain.listed, true) {
            self.drains.links.push(id);
        }
    }

    pub(crate) fn on_drain_answered(&mut self, id: LinkKey, aside: &mut Aside<'_>) {
        if let Some(link) = self.links.get_mut(&id) {
            link.revoke_permits();
            link.waiting.wake(aside);
        }
    }

    /// Answers drains of links whose application does not: `turn` says whether a turn of its tasks is under way, or is
    /// over since this was last called. Whether one is to begin.
    pub(crate) fn answer_drains(&mut self, now: Instant, turn: TurnState) -> bool {
        if turn == TurnState::Over {
            self.drains.turns = self.drains.turns.wrapping_add(1);
        }
        self.drains.deadline = None;
        if self.drains.links.is_empty() {
            return false;
        }
        let Self { engine, links, drains, .. } = self;
        let Drains { links: listed, turns, deadline } = drains;
        let mut wants_turn = false;
        listed.retain(|id| {
            let Some(link) = links.get_mut(id) else { return false };
            if !engine.sender(*id).is_ok_and(|sender| sender.is_drain_requested()) {
                link.drain.listed = false;
                return false;
            }
            let credit = engine.sender(*id).map_or(0, |sender| sender.credit());
            let quiet = link.drain.is_quiet_at(credit, now);
            let owed = link.is_owed_credit(credit);
            if let Some(until) = link.drain.waits_for_service(owed, now) {
                // A task that is served wakes the driver.
                *deadline = deadline.iter().copied().chain([until]).min();
                link.drain.after_turn = None;
                return true;
            }
            // One that is under way began too early.
            let next = turns.wrapping_add(if turn == TurnState::UnderWay { 2 } else { 1 });
            let after = *link.drain.after_turn.get_or_insert(next);
            if *turns >= after && now < quiet {
                *deadline = deadline.iter().copied().chain([quiet]).min();
                return true;
            }
            if *turns >= after {
                link.drain.listed = false;
                // It is a live link of ours that sends.
                let _ = engine.sender(*id).and_then(|mut sender| sender.drained());
                return false;
            }
            wants_turn = true;
            true
        });
        wants_turn && turn != TurnState::UnderWay
    }
}
