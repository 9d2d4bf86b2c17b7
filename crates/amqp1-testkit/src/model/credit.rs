//! What a link's credit allows (§2.6.7), by what one of its ends has said and heard.

use amqp1_codec::{
    SequenceNo,
    performative::{Attach, Flow},
};

/// The credit of a link, seen from one end.
#[derive(Debug, Default)]
pub(super) struct Credit {
    /// The delivery-count, once it is known.
    pub(super) count: Option<SequenceNo>,
    /// The delivery-count that the receiver allows by what was said last.
    pub(super) limit: Option<SequenceNo>,
    /// The furthest that it ever was: lowering comes too late for what is on its way.
    furthest: Option<SequenceNo>,
    /// What was granted before the count was known.
    early: Option<u32>,
    /// Where drains lead that were heard and not answered yet. What the receiver says next does not undo them.
    drained: Vec<SequenceNo>,
}

impl Credit {
    /// The sender's attach, at either end.
    pub(super) fn attached(&mut self, attach: &Attach) {
        let initial = attach.initial_delivery_count;
        assert!(initial.is_some(), "a sender without an initial count: {attach:?}");
        self.count = initial;
        if let Some(early) = self.early.take() {
            self.grant(early);
        }
    }

    fn grant(&mut self, credit: u32) {
        match self.count {
            None => self.early = Some(credit),
            Some(count) => self.raise(count.plus(credit)),
        }
    }

    fn raise(&mut self, limit: SequenceNo) {
        self.limit = Some(limit);
        if self.furthest.is_none_or(|furthest| limit.offset_from(furthest) > 0) {
            self.furthest = Some(limit);
        }
    }

    /// A delivery begins at the sending end: there must be credit by what it was told last.
    pub(super) fn sends(&mut self) {
        let next = self.count.expect("a delivery on a link without a count").next();
        self.count = Some(next);
        let limit = self.limit.expect("a delivery before any credit");
        assert!(limit.offset_from(next) >= 0, "a delivery without credit: {self:?}");
    }

    /// A delivery begins at the receiving end: there must be credit by what was ever granted.
    pub(super) fn receives(&mut self) {
        let next = self.count.expect("a delivery on a link without a count").next();
        self.count = Some(next);
        let limit = self.furthest.expect("a delivery before any credit");
        assert!(limit.offset_from(next) >= 0, "a delivery that was not granted: {self:?}");
    }

    /// The receiving end tells its state.
    pub(super) fn receiver_wrote(&mut self, flow: &Flow) {
        assert_eq!(flow.delivery_count, self.count, "{flow:?} does not count what was received");
        self.grant(flow.link_credit.expect("a receiver's flow grants credit"));
    }

    /// The sending end hears it.
    pub(super) fn sender_heard(&mut self, flow: &Flow) {
        if let Some(credit) = flow.link_credit {
            match flow.delivery_count {
                Some(count) => self.raise(count.plus(credit)),
                None => self.grant(credit),
            }
        }
        if flow.drain {
            self.drained.extend(self.limit);
        }
    }

    /// The sending end tells its state: what it has sent, or all of the credit if it drains.
    pub(super) fn sender_wrote(&mut self, flow: &Flow) {
        let (Some(said), Some(count)) = (flow.delivery_count, self.count) else {
            panic!("{flow:?} of a sender without a count: {self:?}");
        };
        if said != count {
            assert!(!self.drained.is_empty(), "{flow:?} gives credit up without a drain: {self:?}");
            let asked = self.drained.contains(&said) && said.offset_from(count) > 0;
            assert!(asked, "{flow:?} drains to elsewhere: {self:?}");
            self.count = Some(said);
        }
        let left = self.limit.map_or(0, |limit| limit.offset_from(said).max(0));
        // With credit left it may still have something to send before it drains.
        if left == 0 {
            self.drained.clear();
        }
        assert_eq!(flow.link_credit, u32::try_from(left).ok(), "{flow:?} has other credit: {self:?}");
    }

    /// The receiving end hears it.
    pub(super) fn receiver_heard(&mut self, flow: &Flow) {
        let (Some(said), Some(count)) = (flow.delivery_count, self.count) else { return };
        assert!(said.offset_from(count) >= 0, "{flow:?} goes back: {self:?}");
        let limit = self.furthest.unwrap_or(count);
        assert!(limit.offset_from(said) >= 0, "{flow:?} uses credit that was not granted: {self:?}");
        self.count = Some(said);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(credit: u32, drain: bool) -> Credit {
        let mut link = Credit::default();
        link.attached(&Attach { initial_delivery_count: Some(SequenceNo(0)), ..Attach::default() });
        let flow = Flow { delivery_count: Some(SequenceNo(0)), link_credit: Some(credit), drain, ..Flow::default() };
        link.sender_heard(&flow);
        link
    }

    #[test]
    #[should_panic(expected = "a delivery without credit")]
    fn a_delivery_without_credit_is_seen() {
        let mut link = sender(1, false);
        link.sends();
        link.sends();
    }

    #[test]
    fn a_drained_sender_counts_to_its_limit() {
        let mut link = sender(5, true);
        link.sends();
        link.sender_wrote(&Flow { delivery_count: Some(SequenceNo(5)), link_credit: Some(0), ..Flow::default() });
        assert_eq!(link.count, Some(SequenceNo(5)));
    }

    #[test]
    #[should_panic(expected = "without a drain")]
    fn credit_is_not_given_up_unasked() {
        let mut link = sender(5, false);
        link.sender_wrote(&Flow { delivery_count: Some(SequenceNo(5)), link_credit: Some(0), ..Flow::default() });
    }
}
