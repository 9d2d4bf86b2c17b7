//! What a session's windows allow (§2.5.6), by what one of its ends has said and heard.

use amqp1_codec::{
    SequenceNo,
    performative::{Begin, Flow},
};

/// The windows of a session, both ways. Each transfer frame counts.
#[derive(Debug, Default)]
pub(super) struct Windows {
    /// The id of the first transfer of this end.
    initial: SequenceNo,
    /// The id of the next transfer of this end.
    pub(super) next_out: SequenceNo,
    /// The first id that the peer does not take.
    pub(super) out_limit: Option<SequenceNo>,
    /// What the peer's begin said that it takes, while this end has not begun.
    peer_takes: Option<u32>,
    /// The id of the peer's next transfer.
    pub(super) next_in: Option<SequenceNo>,
    /// The first id that the peer was told last not to send.
    pub(super) in_limit: Option<SequenceNo>,
    /// The furthest that it was ever told: lowering comes too late for what is on its way.
    in_furthest: Option<SequenceNo>,
    /// What was told before the peer's begin was heard.
    told: Option<u32>,
}

fn furthest(a: Option<SequenceNo>, b: SequenceNo) -> SequenceNo {
    a.filter(|a| a.offset_from(b) > 0).unwrap_or(b)
}

impl Windows {
    pub(super) fn wrote_begin(&mut self, begin: &Begin) {
        (self.initial, self.next_out) = (begin.next_outgoing_id, begin.next_outgoing_id);
        if let Some(takes) = self.peer_takes {
            self.out_limit = Some(self.initial.plus(takes));
        }
        self.tell(begin.incoming_window);
    }

    pub(super) fn heard_begin(&mut self, begin: &Begin) {
        self.next_in = Some(begin.next_outgoing_id);
        self.peer_takes = Some(begin.incoming_window);
        // Without a begin of this end the first id is not known yet; where it is, nothing was sent.
        self.out_limit = Some(self.initial.plus(begin.incoming_window));
        if let Some(told) = self.told {
            self.tell(told);
        }
    }

    fn tell(&mut self, window: u32) {
        self.told = Some(window);
        if let Some(next) = self.next_in {
            let limit = next.plus(window);
            self.in_limit = Some(limit);
            self.in_furthest = Some(furthest(self.in_furthest, limit));
        }
    }

    pub(super) fn wrote_flow(&mut self, flow: &Flow) {
        assert_eq!(flow.next_outgoing_id, self.next_out, "{flow:?} does not count this end's transfers");
        assert_eq!(flow.next_incoming_id, self.next_in, "{flow:?} does not count the peer's transfers");
        self.tell(flow.incoming_window);
    }

    pub(super) fn heard_flow(&mut self, flow: &Flow) {
        let next = flow.next_incoming_id.unwrap_or(self.initial);
        self.out_limit = Some(next.plus(flow.incoming_window));
    }

    pub(super) fn wrote_transfer(&mut self) {
        self.next_out = self.next_out.next();
        let limit = self.out_limit.expect("a transfer before the peer's begin");
        assert!(limit.offset_from(self.next_out) >= 0, "a transfer beyond the peer's window: {self:?}");
    }

    pub(super) fn heard_transfer(&mut self) {
        let next = self.next_in.expect("a transfer before the peer's begin").next();
        self.next_in = Some(next);
        let limit = self.in_furthest.expect("a window was told");
        assert!(limit.offset_from(next) >= 0, "a transfer beyond this end's window: {self:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(takes: u32) -> Windows {
        let mut windows = Windows::default();
        windows.wrote_begin(&Begin { incoming_window: 5, ..Begin::default() });
        windows.heard_begin(&Begin { incoming_window: takes, ..Begin::default() });
        windows
    }

    #[test]
    fn a_window_is_used_up_frame_by_frame_and_opened_by_a_flow() {
        let mut windows = begun(2);
        windows.wrote_transfer();
        windows.wrote_transfer();
        let flow = Flow { next_incoming_id: Some(SequenceNo(1)), incoming_window: 2, ..Flow::default() };
        windows.heard_flow(&flow);
        windows.wrote_transfer();
    }

    #[test]
    #[should_panic(expected = "beyond the peer's window")]
    fn a_transfer_beyond_the_window_is_seen() {
        let mut windows = begun(1);
        windows.wrote_transfer();
        windows.wrote_transfer();
    }

    #[test]
    #[should_panic(expected = "does not count the peer's transfers")]
    fn a_flow_that_counts_wrongly_is_seen() {
        let mut windows = begun(1);
        windows.heard_transfer();
        windows.wrote_flow(&Flow { next_incoming_id: Some(SequenceNo(0)), ..Flow::default() });
    }
}
