//! The windows of a session (§2.5.6): how many transfers each end may send.

use amqp1_codec::{
    SequenceNo,
    performative::{Begin, Flow},
};

/// The transfers that the peer may send.
#[derive(Debug)]
pub(crate) struct IncomingWindow {
    /// The id of the transfer that is expected next, once the peer has said where it counts from.
    next_id: Option<SequenceNo>,
    /// How many transfers the peer may send, by what it was told last.
    left: u32,
    /// The widest window that the configuration allows.
    max: u32,
    /// The widest window once a link of the session is streamed.
    stream_max: Option<u32>,
    /// Transfers that may come although the window was narrowed: they may have been in flight.
    excess: u32,
    /// Transfers of streamed links that the application has not taken.
    held: u32,
    /// How many transfers the peer can send, by what it said last.
    remote_outgoing: u32,
}

impl IncomingWindow {
    pub(crate) fn new(max: u32) -> Self {
        Self { next_id: None, left: max, max, stream_max: None, excess: 0, held: 0, remote_outgoing: 0 }
    }

    /// Takes the width from the configuration of a session that the peer has begun.
    pub(crate) fn configure(&mut self, max: u32) {
        self.left = max;
        self.max = max;
    }

    /// The peer's begin says where it counts from, and how much it can send.
    pub(crate) fn on_begin(&mut self, begin: &Begin) {
        self.next_id = Some(begin.next_outgoing_id);
        self.remote_outgoing = begin.outgoing_window;
    }

    /// The peer's flow says the same again.
    pub(crate) fn on_flow(&mut self, flow: &Flow) {
        if self.next_id.is_some() {
            self.next_id = Some(flow.next_outgoing_id);
            self.remote_outgoing = flow.outgoing_window;
        }
    }

    /// A transfer is received. `None` if the window does not allow it. Of links that are not streamed, the credit
    /// bounds the memory: their transfers count as taken at once.
    ///
    /// Transfers that may come although the window was narrowed for a streamed link come on other links: that one has
    /// had its credit only since then.
    #[inline]
    pub(crate) fn on_transfer(&mut self, streamed: bool) -> Option<()> {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None if streamed => return None,
            None => self.excess = self.excess.checked_sub(1)?,
        }
        self.next_id = self.next_id.map(SequenceNo::next);
        self.remote_outgoing = self.remote_outgoing.saturating_sub(1);
        Some(())
    }

    /// A transfer of a streamed link waits for the application.
    pub(crate) fn hold(&mut self) {
        self.held = self.held.saturating_add(1);
    }

    /// Transfers of a streamed link were taken, or will not be.
    pub(crate) fn release(&mut self, count: u32) {
        self.held = self.held.saturating_sub(count);
    }

    /// Narrows the window for a streamed link. If the peer was told of a wider one already, what that allowed may still
    /// come.
    pub(crate) fn narrow(&mut self, frames: u32, is_told: bool) {
        let max = frames.max(1).min(self.max);
        self.stream_max = Some(max);
        if is_told {
            self.excess = self.excess.max(self.left.saturating_sub(max));
        }
        self.left = self.left.min(max);
    }

    /// Opens the window as far as it goes, for a flow that tells it.
    pub(crate) fn open(&mut self) -> u32 {
        self.left = self.open_width();
        self.left
    }

    /// Whether the peer is to be told of a wider window: half of it is used, and there is enough to tell.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        let widest = self.widest();
        let gain = self.open_width().saturating_sub(self.left);
        let enough = gain >= widest / 4 || self.left == 0;
        self.left <= widest / 2 && gain > 0 && enough
    }

    /// Whether what waits for the application keeps the window from being opened again.
    pub(crate) fn is_held_back(&self) -> bool {
        let low = self.left <= self.widest() / 2;
        self.held > 0 && low && !self.is_due()
    }

    /// How many transfers may come, by what the peer was told last.
    pub(crate) fn left(&self) -> u32 {
        self.left
    }

    /// The id of the transfer that is expected next.
    pub(crate) fn next_id(&self) -> Option<SequenceNo> {
        self.next_id
    }

    /// How many transfers the peer can send, by what it said last.
    pub(crate) fn remote_outgoing(&self) -> u32 {
        self.remote_outgoing
    }

    fn widest(&self) -> u32 {
        self.stream_max.unwrap_or(self.max)
    }

    /// How many transfers may come now.
    fn open_width(&self) -> u32 {
        self.widest().saturating_sub(self.held).max(self.left)
    }
}

/// The transfers that this end may send.
#[derive(Debug)]
pub(crate) struct OutgoingWindow {
    /// The id of our first transfer.
    first_id: SequenceNo,
    /// The id of our next transfer.
    next_id: SequenceNo,
    /// How many transfers the peer takes.
    left: u32,
    /// The first transfer-id beyond the window that the peer has opened.
    end: Option<SequenceNo>,
    /// The least of its window that the peer had left when it opened it again, as far as was seen. A peer that waits
    /// until nothing is left must be let use all of it.
    reopens_at: Option<u32>,
}

impl OutgoingWindow {
    pub(crate) fn new(first_id: SequenceNo) -> Self {
        Self { first_id, next_id: first_id, left: 0, end: None, reopens_at: None }
    }

    /// Takes the first id from the configuration of a session that the peer has begun.
    pub(crate) fn configure(&mut self, first_id: SequenceNo) {
        self.first_id = first_id;
        self.next_id = first_id;
        self.end = Some(first_id.plus(self.left));
    }

    /// The peer's begin opens the window.
    pub(crate) fn on_begin(&mut self, begin: &Begin) {
        self.left = begin.incoming_window;
        self.end = Some(self.first_id.plus(begin.incoming_window));
    }

    /// The transfers that the peer can take, from its flow and the transfers that it may not know of yet.
    ///
    /// A peer that does not know our begin leaves next-incoming-id out, and its window counts from our first transfer.
    /// With
    /// `knows_begin` it must know it: one that leaves the id out there never says it, and its window is taken as it stands.
    pub(crate) fn on_flow(&mut self, flow: &Flow, knows_begin: bool) {
        let window = flow.incoming_window;
        // Sent, and not received when this was said. A number ahead of ours is the peer's mistake and adds nothing.
        let in_flight = |next| u32::try_from(self.next_id.offset_from(next)).unwrap_or(0);
        self.left = match flow.next_incoming_id {
            Some(next) => window.saturating_sub(in_flight(next)),
            None => match window.saturating_sub(in_flight(self.first_id)) {
                0 if knows_begin => window,
                left => left,
            },
        };
        self.learn(flow);
    }

    /// Sees how early the peer opens its window again.
    fn learn(&mut self, flow: &Flow) {
        let next = flow.next_incoming_id.unwrap_or(self.first_id);
        let end = next.plus(flow.incoming_window);
        if let Some(before) = self.end {
            let left = u32::try_from(before.offset_from(next)).unwrap_or(0);
            // A flow that says the same again tells nothing, and one that gives credit may open the window as well.
            if end.offset_from(before) > 0 && flow.handle.is_none() {
                self.reopens_at = Some(self.reopens_at.map_or(left, |least| least.min(left)));
            }
        }
        self.end = Some(end);
    }

    /// A transfer is sent that uses the window.
    #[inline]
    pub(crate) fn spend(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// A transfer is sent, which has an id.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.next_id = self.next_id.next();
    }

    /// How much of the window a delivery that begins now leaves to others, so that one that is not taken at the other
    /// end does not stop them.
    #[inline]
    pub(crate) fn share(&self) -> u32 {
        (self.left / 2).min(self.reopens_at.unwrap_or(0).saturating_sub(1))
    }

    /// How many transfers the peer takes.
    #[inline]
    pub(crate) fn left(&self) -> u32 {
        self.left
    }

    /// The id of our next transfer.
    pub(crate) fn next_id(&self) -> SequenceNo {
        self.next_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(window: u32) -> Begin {
        Begin { next_outgoing_id: SequenceNo(7), incoming_window: window, outgoing_window: 5, ..Begin::default() }
    }

    fn flow(next_incoming_id: Option<u32>, incoming_window: u32) -> Flow {
        Flow { next_incoming_id: next_incoming_id.map(SequenceNo), incoming_window, ..Flow::default() }
    }

    fn outgoing(first_id: u32, window: u32) -> OutgoingWindow {
        let mut outgoing = OutgoingWindow::new(SequenceNo(first_id));
        outgoing.on_begin(&begun(window));
        outgoing
    }

    fn send(outgoing: &mut OutgoingWindow, count: u32) {
        for _ in 0..count {
            outgoing.spend();
            outgoing.advance();
        }
    }

    #[test]
    fn a_transfer_uses_both_windows_and_an_id() {
        let mut incoming = IncomingWindow::new(2);
        incoming.on_begin(&begun(0));
        assert_eq!(incoming.on_transfer(false), Some(()));
        assert_eq!((incoming.left(), incoming.next_id(), incoming.remote_outgoing()), (1, Some(SequenceNo(8)), 4));
        assert_eq!(incoming.on_transfer(false), Some(()));
        assert_eq!(incoming.on_transfer(false), None, "the window is used up");
        assert_eq!(incoming.next_id(), Some(SequenceNo(9)));
    }

    #[test]
    fn a_flow_moves_the_expected_id_only_once_the_peer_has_begun() {
        let mut incoming = IncomingWindow::new(2);
        let said = Flow { next_outgoing_id: SequenceNo(20), outgoing_window: 9, ..Flow::default() };
        incoming.on_flow(&said);
        assert_eq!((incoming.next_id(), incoming.remote_outgoing()), (None, 0));
        incoming.on_begin(&begun(0));
        incoming.on_flow(&said);
        assert_eq!((incoming.next_id(), incoming.remote_outgoing()), (Some(SequenceNo(20)), 9));
    }

    #[test]
    fn the_window_is_due_when_half_of_it_is_used() {
        let mut incoming = IncomingWindow::new(8);
        for used in 1..=4 {
            assert!(!incoming.is_due(), "after {used}");
            incoming.on_transfer(false).expect("the window is open");
        }
        assert!(incoming.is_due());
        assert_eq!(incoming.open(), 8);
        assert!(!incoming.is_due());
    }

    #[test]
    fn what_is_held_keeps_the_window_narrow() {
        let mut incoming = IncomingWindow::new(8);
        for _ in 0..8 {
            incoming.on_transfer(true).expect("the window is open");
            incoming.hold();
        }
        assert!(incoming.is_held_back() && !incoming.is_due());
        incoming.release(1);
        assert!(incoming.is_due() && !incoming.is_held_back(), "anything opens a window that is used up");
        assert_eq!(incoming.open(), 1);
        incoming.release(1);
        assert!(!incoming.is_due(), "a single transfer is not worth a flow");
        incoming.release(6);
        assert_eq!(incoming.open(), 8);
    }

    #[test]
    fn a_narrowed_window_lets_what_was_told_come_on_other_links() {
        let mut incoming = IncomingWindow::new(8);
        incoming.narrow(2, true);
        assert_eq!(incoming.left(), 2);
        for _ in 0..2 {
            incoming.on_transfer(true).expect("the window is open");
        }
        assert_eq!(incoming.on_transfer(true), None, "the streamed link had no credit before");
        for _ in 0..6 {
            assert_eq!(incoming.on_transfer(false), Some(()));
        }
        assert_eq!(incoming.on_transfer(false), None, "the wider window is used up too");
        assert_eq!(incoming.open(), 2);
    }

    #[test]
    fn a_window_that_was_not_told_is_just_narrow() {
        let mut incoming = IncomingWindow::new(8);
        incoming.narrow(0, false);
        assert_eq!(incoming.on_transfer(false), Some(()), "one frame is always let in");
        assert_eq!(incoming.on_transfer(false), None);
    }

    /// Across the end of the numbers.
    #[test]
    fn transfers_in_flight_are_taken_off_the_peers_window() {
        let mut outgoing = outgoing(u32::MAX, 10);
        send(&mut outgoing, 4);
        assert_eq!((outgoing.left(), outgoing.next_id()), (6, SequenceNo(3)));
        outgoing.on_flow(&flow(Some(1), 10), false);
        assert_eq!(outgoing.left(), 8, "2 are in flight");
        outgoing.on_flow(&flow(Some(1), 1), false);
        assert_eq!(outgoing.left(), 0, "and more than the window takes");
        outgoing.on_flow(&flow(Some(9), 10), false);
        assert_eq!(outgoing.left(), 10, "an id ahead of ours adds nothing");
    }

    #[test]
    fn without_an_id_the_window_counts_from_the_first_transfer() {
        let mut outgoing = outgoing(5, 10);
        send(&mut outgoing, 4);
        outgoing.on_flow(&flow(None, 10), false);
        assert_eq!(outgoing.left(), 6);
        outgoing.on_flow(&flow(None, 4), false);
        assert_eq!(outgoing.left(), 0);
        outgoing.on_flow(&flow(None, 4), true);
        assert_eq!(outgoing.left(), 4, "a peer that knows our begin never says it");
    }

    #[test]
    fn a_peer_that_opens_its_window_late_is_left_no_share() {
        let mut outgoing = outgoing(0, 10);
        assert_eq!(outgoing.share(), 0, "nothing is known yet");
        send(&mut outgoing, 4);
        outgoing.on_flow(&flow(Some(4), 10), false);
        assert_eq!(outgoing.share(), 5, "it opened it with 6 left");
        send(&mut outgoing, 10);
        outgoing.on_flow(&Flow { handle: Some(0), ..flow(Some(14), 10) }, false);
        assert_eq!(outgoing.share(), 5, "a flow of a link tells nothing");
        send(&mut outgoing, 10);
        outgoing.on_flow(&flow(Some(24), 10), false);
        assert_eq!(outgoing.share(), 0, "it was used up");
    }

    #[test]
    fn a_session_that_the_peer_has_begun_takes_its_first_id_later() {
        let mut outgoing = outgoing(0, 10);
        outgoing.configure(SequenceNo(100));
        assert_eq!((outgoing.left(), outgoing.next_id()), (10, SequenceNo(100)));
        outgoing.on_flow(&flow(None, 3), false);
        assert_eq!(outgoing.left(), 3);
    }
}
