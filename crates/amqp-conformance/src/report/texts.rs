//! The texts of a report, for what changes each of them.

use super::{Expected, Peer, Report};
use crate::{run::CaseResult, server::Sheet, verdict::Outcome, wire::Entry};

/// The texts of something that is shown or written.
///
/// Implementations name every field, so that one that is added later is not forgotten.
pub(crate) trait Texts {
    /// Calls `change` with each text that comes from the peer, its command line or the user, and may hold anything.
    fn each_foreign(&mut self, change: &mut dyn FnMut(&mut String));

    /// Calls `change` with each text that the tool itself has written. In a file, these may hold anything too.
    fn each_own(&mut self, change: &mut dyn FnMut(&mut String));

    /// Calls `change` with each text.
    fn each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        self.each_foreign(change);
        self.each_own(change);
    }
}

impl Texts for Report {
    fn each_foreign(&mut self, change: &mut dyn FnMut(&mut String)) {
        let Self {
            schema: _,
            tool: _,
            peer: Peer { name, role: _, product, version, address, transport: _ },
            level: _,
            robustness: _,
            slow: _,
            interrupted: _,
            sheet,
            summary: _,
            withheld: _,
            stale,
            cases,
        } = self;
        [name, address].into_iter().chain(product).chain(version).chain(stale).for_each(&mut *change);
        sheet.each_foreign(change);
        cases.iter_mut().for_each(|case| case.each_foreign(change));
    }

    fn each_own(&mut self, change: &mut dyn FnMut(&mut String)) {
        [&mut self.tool, &mut self.peer.transport].into_iter().for_each(&mut *change);
        self.cases.iter_mut().for_each(|case| case.each_own(change));
    }
}

impl Texts for Sheet {
    fn each_foreign(&mut self, change: &mut dyn FnMut(&mut String)) {
        let Self {
            product,
            version,
            container_id,
            max_frame_size: _,
            channel_max: _,
            handle_max: _,
            max_message_size: _,
            idle_time_out: _,
            capabilities,
            mechanisms,
            sender_settle_modes,
            receiver_settle_modes,
            filters,
            durability,
            drains: _,
            features: _,
            scenarios,
        } = self;
        [container_id].into_iter().chain(product).chain(version).chain(durability).for_each(&mut *change);
        let lists = [capabilities, mechanisms, sender_settle_modes, receiver_settle_modes, filters, scenarios];
        lists.into_iter().flatten().for_each(change);
    }

    fn each_own(&mut self, _: &mut dyn FnMut(&mut String)) {}
}

impl Texts for CaseResult {
    fn each_foreign(&mut self, change: &mut dyn FnMut(&mut String)) {
        let Self {
            id: _,
            role: _,
            severity: _,
            tags: _,
            rule: _,
            sends: _,
            wants: _,
            outcome: Outcome { verdict: _, reason },
            took_us: _,
            expected,
            wire,
        } = self;
        change(reason);
        if let Some(Expected { reason, link }) = expected {
            [reason].into_iter().chain(link).for_each(&mut *change);
        }
        for Entry { at_us: _, direction: _, text, hex: _ } in wire.iter_mut().flatten() {
            change(text);
        }
    }

    fn each_own(&mut self, change: &mut dyn FnMut(&mut String)) {
        let Self { id, rule, sends, wants, wire, .. } = self;
        [id, rule, sends, wants].into_iter().for_each(&mut *change);
        wire.iter_mut().flatten().flat_map(|entry| [&mut entry.direction, &mut entry.hex]).for_each(change);
    }
}
