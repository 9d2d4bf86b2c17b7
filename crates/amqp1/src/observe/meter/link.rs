//! One link: its credit, the message that is under way, and how many are not settled.

use super::view::View;
use crate::observe::{DropReason, LinkInfo, Observer, OutcomeKind};
use amqp1_codec::{
    SequenceNo, Str,
    performative::{Attach, Flow, Transfer},
};
use amqp1_engine::Instant;
use std::time::Duration;

pub(super) struct Link {
    info: LinkInfo,
    /// Which ends have attached it.
    local: bool,
    remote: bool,
    /// The sender's count of deliveries.
    count: SequenceNo,
    /// The credit that was granted, and at which count; at the first one, where the receiver did not know it.
    granted: u32,
    granted_at: Option<SequenceNo>,
    first: SequenceNo,
    /// The credit that was reported.
    credit: u32,
    unsettled: usize,
    partial: Option<Partial>,
    /// One end has detached it.
    is_over: bool,
    /// Of a message that is not written, more frames follow.
    is_losing: bool,
}

/// A message of which some has come.
struct Partial {
    id: Option<SequenceNo>,
    octets: u64,
    settled: bool,
}

/// A copy that does not keep the rest of the frame.
fn owned(text: &Str) -> Str {
    Str::from(text.to_string())
}

impl Link {
    /// A link of which one end has sent its attach.
    pub(super) fn new(attach: Attach, sends: bool, view: &View<'_>) -> Self {
        let info = LinkInfo { connection: view.connection.clone(), name: owned(&attach.name), sends, address: None };
        let mut link = Self {
            info,
            local: false,
            remote: false,
            count: SequenceNo(0),
            granted: 0,
            granted_at: None,
            first: SequenceNo(0),
            credit: 0,
            unsettled: 0,
            partial: None,
            is_over: false,
            is_losing: false,
        };
        link.on_attach(attach, view);
        link
    }

    /// The octets that it takes.
    pub(super) fn weight(&self) -> usize {
        let address = self.info.address.as_ref().map_or(0, |address| address.len());
        size_of::<Self>().saturating_add(self.info.name.len()).saturating_add(address)
    }

    /// Whether an attach is the answer to this link's.
    pub(super) fn is_other_half(&self, name: &Str, sends: bool, view: &View<'_>) -> bool {
        let is_missing = if view.is_ours() { !self.local } else { !self.remote };
        is_missing && !self.is_over && self.info.sends == sends && self.info.name == *name
    }

    pub(super) fn on_attach(&mut self, attach: Attach, view: &View<'_>) {
        if view.is_ours() {
            self.local = true
        } else {
            self.remote = true
        }
        if let Some(first) = attach.initial_delivery_count {
            (self.first, self.count) = (first, first);
        }
        // The client's end sends to the target, or receives from the source.
        let client_sends = self.info.sends != view.connection.accepted;
        let address = if client_sends {
            attach.target.as_ref().and_then(|target| target.as_target()).and_then(|target| target.address.clone())
        } else {
            attach.source.and_then(|source| source.address)
        };
        self.info.address = address.as_ref().map(owned).or_else(|| self.info.address.take());
        if self.is_whole() {
            self.info.connection = view.connection.clone();
            view.observer.attached(&self.info);
            self.report_credit(view.observer);
        }
    }

    /// Whether both ends have attached it.
    fn is_whole(&self) -> bool {
        self.local && self.remote
    }

    pub(super) fn on_flow(&mut self, flow: &Flow, view: &View<'_>) {
        if self.is_over {
            return;
        }
        if view.is_ours() == self.info.sends {
            // A sender that gives up credit says how far it has counted.
            self.count = flow.delivery_count.unwrap_or(self.count);
        } else if let Some(credit) = flow.link_credit {
            (self.granted, self.granted_at) = (credit, flow.delivery_count);
        }
        self.report_credit(view.observer);
    }

    /// Counts a transfer that will not be written, or is written when the link is over.
    pub(super) fn on_lost(&mut self, transfer: &Transfer, observer: &dyn Observer) {
        if self.partial.is_some() {
            return;
        }
        if !std::mem::replace(&mut self.is_losing, transfer.more && !transfer.aborted) && self.is_whole() {
            observer.dropped(&self.info, DropReason::Unsent, 1);
        }
    }

    /// The link, if this end sends on it, and whether it is over.
    pub(super) fn sending(&self) -> Option<(&LinkInfo, bool)> {
        self.info.sends.then_some((&self.info, self.is_over))
    }

    /// Counts a transfer. Returns the delivery, if it is whole and not settled, and when it became whole.
    pub(super) fn on_transfer(
        &mut self,
        transfer: &Transfer,
        payload: usize,
        view: &View<'_>,
    ) -> Option<(SequenceNo, Instant)> {
        if self.is_over {
            self.on_lost(transfer, view.observer);
            return None;
        }
        if !self.is_whole() {
            return None;
        }
        let is_first = self.partial.is_none();
        let partial = self.partial.get_or_insert(Partial { id: transfer.delivery_id, octets: 0, settled: false });
        partial.octets = partial.octets.saturating_add(u64::try_from(payload).unwrap_or(u64::MAX));
        partial.settled |= transfer.settled.unwrap_or(false);
        let is_whole = transfer.aborted || !transfer.more;
        let whole = if is_whole { self.partial.take() } else { None };
        if is_first {
            self.count = self.count.next();
            self.report_credit(view.observer);
        }
        let Partial { id, octets, settled } = whole?;
        if transfer.aborted {
            view.observer.dropped(&self.info, DropReason::Aborted, 1);
            return None;
        }
        view.observer.transferred(&self.info, octets, settled);
        id.filter(|_| !settled).map(|id| (id, view.now))
    }

    pub(super) fn settled(&mut self, outcome: OutcomeKind, latency: Duration, observer: &dyn Observer) {
        observer.settled(&self.info, outcome, latency);
        self.change_unsettled(-1, observer);
    }

    /// Whether this end sends on it.
    pub(super) fn sends(&self) -> bool {
        self.info.sends
    }

    /// Whether deliveries of it are followed that are not settled.
    pub(super) fn has_unsettled(&self) -> bool {
        self.unsettled > 0
    }

    pub(super) fn change_unsettled(&mut self, change: isize, observer: &dyn Observer) {
        let before = self.unsettled;
        self.unsettled = before.saturating_add_signed(change);
        observer.unsettled(&self.info, before, self.unsettled);
    }

    fn report_credit(&mut self, observer: &dyn Observer) {
        let limit = self.granted_at.unwrap_or(self.first).plus(self.granted);
        // Some receivers take credit back that was used already.
        let now = u32::try_from(limit.offset_from(self.count)).unwrap_or(0);
        if now != self.credit && self.is_whole() {
            let before = std::mem::replace(&mut self.credit, now);
            observer.credit(&self.info, before, now);
        }
    }

    /// The link is over.
    pub(super) fn end(&mut self, observer: &dyn Observer) {
        if std::mem::replace(&mut self.is_over, true) || !self.is_whole() {
            return;
        }
        if self.partial.is_some() {
            observer.dropped(&self.info, DropReason::Partial, 1);
        }
        if self.unsettled > 0 {
            observer.dropped(&self.info, DropReason::Unsettled, u64::try_from(self.unsettled).unwrap_or(u64::MAX));
            observer.unsettled(&self.info, std::mem::take(&mut self.unsettled), 0);
        }
        if self.credit > 0 {
            observer.credit(&self.info, std::mem::take(&mut self.credit), 0);
        }
        observer.detached(&self.info);
    }
}
