//! The state of a link: what each end has attached and detached (§2.6.3 to §2.6.6).

use crate::time::Instant;
use alloc::boxed::Box;
use amqp1_codec::{definitions::AmqpError, performative::Handle};

/// The state of a link: this end's half, the peer's half, and what the application knows of both.
///
/// A link with one attached half is *half attached* (§2.6.3), and has no other name in the specification. The states of
/// both halves together are those of [`Phase`], named as those of sessions (§2.5.5) and connections (§2.4.6) are. `S:` is
/// a frame that is sent, `R:` one that is received:
///
/// ```text
///                          +------------+
///               S:attach   |            |   R:attach
///           +--------------| Unattached |--------------+
///           |              |            |              |
///           v              +------------+              v
///    +------------+                           +----------------+  R:detach  +-----------+
///    | AttachSent |                           | AttachReceived |----------->| Withdrawn |
///    +------------+                           +----------------+            +-----------+
///      |  |   |    R:attach      +----------+     |  S:attach                     |
///      |  |   +----------------->| Attached |<----+                               |
///      |  |                      +----------+                            S:attach |
///      |  |  R:attach without     |        |                                      |
///      |  |  terminus             |        |                                      |
///      |  |        +---------+    |        |  R:detach                            |
///      |  +------->| Refused |    |        +---------------+                      |
///      |           +---------+    |                        v                      |
///      |             |     | R:detach           +----------------+                |
///      |             |     +------------------->| DetachReceived |<---------------+
///      | S:detach    |          |               +----------------+
///      |    S:detach |          | S:detach             |
///      v             v          v                      |
/// +----------------+  R:attach  +------------+         | S:detach
/// | AttachDetach-  |----------->| DetachSent |         |
/// | Pipe           |            +------------+         |
/// +----------------+                 | R:detach        |
///      ^                             v                 |
///      |  S:attach, S:detach    +----------+           |
///      +------------------------| Detached |<----------+
///         again, to close       +----------+
/// ```
///
/// Other transitions fail with [`NoTransition`] and change nothing.
#[derive(Debug)]
pub(crate) struct LinkState {
    local: Local,
    remote: Remote,
    reported: Reported,
}

/// The states of both halves of a link together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Neither end has attached the link: it waits for its session's begin.
    Unattached,
    /// This end has attached the link, and the peer has not answered.
    AttachSent,
    /// The peer has attached the link, and this end has not answered.
    AttachReceived,
    /// Both ends have attached the link.
    Attached,
    /// The peer has answered without a terminus (§2.6.3): its detach follows.
    Refused,
    /// The peer has detached a link that this end has not answered.
    Withdrawn,
    /// This end has attached and detached the link, and the peer has answered neither.
    AttachDetachPipe,
    /// This end has detached the link, and the peer has not.
    DetachSent,
    /// The peer has detached the link, and this end has not.
    DetachReceived,
    /// Both ends have detached the link.
    Detached,
}

/// This end's half.
#[derive(Debug)]
enum Local {
    Unattached,
    /// The answer to the peer's attach waits for a free handle.
    AwaitingHandle(Box<AwaitedHandle>),
    Attached(Handle, Detaching),
    Detached(Handle, Box<SentDetach>),
}

/// The peer's half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remote {
    Unattached,
    Attached(Handle),
    /// Attached without a terminus.
    Refused(Handle),
    Detached,
}

/// What the application knows of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reported {
    Live,
    /// The peer may have attached the link only in order to close it: it is offered at this time.
    Held(Instant),
    /// The application knows that the link is over, or does not need to know of it.
    Over,
}

/// Whether a link that is attached is about to be detached.
#[derive(Debug)]
enum Detaching {
    No,
    /// When everything that is queued is sent.
    WhenSent {
        closed: bool,
    },
    /// When the sender has stopped.
    WhenStopped(Box<Stopping>),
}

/// A detach that was sent.
#[derive(Debug)]
struct SentDetach {
    closed: bool,
    error: Option<AmqpError>,
}

/// What is said of a link of the peer when a handle is free.
#[derive(Debug)]
pub(crate) enum Answer {
    /// What stands in [`Link::local`](super::Link::local).
    Accept,
    /// An attach without a terminus, and this detach.
    Refuse { closed: bool, error: Option<AmqpError> },
}

/// A link of the peer waits for a handle.
#[derive(Debug)]
pub(crate) struct AwaitedHandle {
    pub(crate) until: Instant,
    pub(crate) answer: Answer,
}

/// A receiver that has taken its credit back, and is detached when nothing more comes.
#[derive(Debug)]
pub(crate) struct Stopping {
    /// When the sender's answer is not waited for any longer.
    pub(crate) until: Instant,
    /// When nothing is waited for any longer.
    pub(crate) limit: Instant,
    /// Whether anything came since the sender was asked.
    pub(crate) came: bool,
    /// Whether more is to come of a delivery.
    pub(crate) half: bool,
    /// Whether the link is closed with its detach.
    pub(crate) closed: bool,
}

/// A transition that the state does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoTransition {
    /// The state of the link, which has not changed.
    pub(crate) from: Phase,
}

/// What was known of a link that is reported as over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KnownBefore {
    Live,
    /// It was to be offered at this time.
    Held(Instant),
    Over,
}

impl LinkState {
    /// A link that this end is to attach.
    pub(crate) fn new() -> Self {
        Self { local: Local::Unattached, remote: Remote::Unattached, reported: Reported::Live }
    }

    /// A link that the peer has attached.
    pub(crate) fn offered(handle: Handle) -> Self {
        Self { local: Local::Unattached, remote: Remote::Attached(handle), reported: Reported::Live }
    }

    /// The state of both halves.
    pub(crate) fn phase(&self) -> Phase {
        match (&self.local, self.remote) {
            (Local::Unattached | Local::AwaitingHandle(_), Remote::Unattached) => Phase::Unattached,
            (Local::Unattached | Local::AwaitingHandle(_), Remote::Attached(_) | Remote::Refused(_)) => {
                Phase::AttachReceived
            }
            (Local::Unattached | Local::AwaitingHandle(_), Remote::Detached) => Phase::Withdrawn,
            (Local::Attached(..), Remote::Unattached) => Phase::AttachSent,
            (Local::Attached(..), Remote::Attached(_)) => Phase::Attached,
            (Local::Attached(..), Remote::Refused(_)) => Phase::Refused,
            (Local::Attached(..), Remote::Detached) => Phase::DetachReceived,
            (Local::Detached(..), Remote::Unattached) => Phase::AttachDetachPipe,
            (Local::Detached(..), Remote::Attached(_) | Remote::Refused(_)) => Phase::DetachSent,
            (Local::Detached(..), Remote::Detached) => Phase::Detached,
        }
    }

    /// Whether both ends are attached and none has detached.
    pub(crate) fn is_attached(&self) -> bool {
        matches!((&self.local, self.remote), (Local::Attached(..), Remote::Attached(_)))
    }

    /// Our handle, from our attach until the link is gone.
    pub(crate) fn handle(&self) -> Option<Handle> {
        match self.local {
            Local::Unattached | Local::AwaitingHandle(_) => None,
            Local::Attached(handle, _) | Local::Detached(handle, _) => Some(handle),
        }
    }

    /// The handle of a link that this end has attached and not detached.
    pub(crate) fn attached_handle(&self) -> Option<Handle> {
        if let Local::Attached(handle, _) = self.local { Some(handle) } else { None }
    }

    /// The peer's handle, from its attach to its detach.
    pub(crate) fn remote_handle(&self) -> Option<Handle> {
        match self.remote {
            Remote::Unattached | Remote::Detached => None,
            Remote::Attached(handle) | Remote::Refused(handle) => Some(handle),
        }
    }

    /// Whether the peer has attached the link, whether or not it has detached it since.
    pub(crate) fn was_attached_by_peer(&self) -> bool {
        self.remote != Remote::Unattached
    }

    /// Whether the peer has attached the link without a terminus.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.remote, Remote::Refused(_))
    }

    /// Whether this end has detached the link.
    pub(crate) fn has_detached(&self) -> bool {
        matches!(self.local, Local::Detached(..))
    }

    /// Whether this end has detached the link with an error.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(&self.local, Local::Detached(_, sent) if sent.error.is_some())
    }

    /// Whether the application asked for the link to be detached, and it is not detached yet.
    pub(crate) fn is_detaching(&self) -> bool {
        matches!(self.local, Local::Attached(_, Detaching::WhenSent { .. } | Detaching::WhenStopped(_)))
    }

    /// How a link is detached when everything that is queued is sent: whether it is closed.
    pub(crate) fn detaches_when_sent(&self) -> Option<bool> {
        if let Local::Attached(_, Detaching::WhenSent { closed }) = self.local { Some(closed) } else { None }
    }

    /// What is waited for before a receiver is detached.
    pub(crate) fn stopping(&self) -> Option<&Stopping> {
        if let Local::Attached(_, Detaching::WhenStopped(stopping)) = &self.local { Some(stopping) } else { None }
    }

    /// The same, to be changed.
    pub(crate) fn stopping_mut(&mut self) -> Option<&mut Stopping> {
        if let Local::Attached(_, Detaching::WhenStopped(stopping)) = &mut self.local { Some(stopping) } else { None }
    }

    /// The answer that waits for a handle.
    pub(crate) fn awaited_handle(&self) -> Option<&AwaitedHandle> {
        if let Local::AwaitingHandle(awaited) = &self.local { Some(awaited) } else { None }
    }

    /// Whether this end has answered the peer's attach, or will when a handle is free.
    pub(crate) fn is_answered(&self) -> bool {
        !matches!(self.local, Local::Unattached)
    }

    /// Whether what the peer sends on the link does not count: it was detached or refused, or is over.
    pub(crate) fn is_deaf(&self) -> bool {
        self.has_detached() || self.is_refused() || self.is_over()
    }

    /// Our attach is sent.
    pub(crate) fn send_attach(&mut self, handle: Handle) -> Result<(), NoTransition> {
        let Local::Unattached = self.local else { return Err(self.no_transition()) };
        self.local = Local::Attached(handle, Detaching::No);
        Ok(())
    }

    /// The answer to the peer's attach waits for a handle, or the answer that waits is another one. Returns whether none
    /// waited before.
    pub(crate) fn await_handle(&mut self, until: Instant, answer: Answer) -> Result<bool, NoTransition> {
        match &mut self.local {
            Local::Unattached if self.remote != Remote::Unattached => {
                self.local = Local::AwaitingHandle(Box::new(AwaitedHandle { until, answer }));
                Ok(true)
            }
            Local::AwaitingHandle(awaited) => {
                awaited.answer = answer;
                Ok(false)
            }
            _ => Err(self.no_transition()),
        }
    }

    /// A handle is free: takes the answer that has waited for it.
    pub(crate) fn take_awaited(&mut self) -> Result<AwaitedHandle, NoTransition> {
        match core::mem::replace(&mut self.local, Local::Unattached) {
            Local::AwaitingHandle(awaited) => Ok(*awaited),
            local => {
                self.local = local;
                Err(self.no_transition())
            }
        }
    }

    /// The application wants to detach the link when everything that is queued is sent.
    pub(crate) fn detach_when_sent(&mut self, closed: bool) -> Result<(), NoTransition> {
        match &mut self.local {
            Local::Attached(_, Detaching::WhenStopped(stopping)) => stopping.closed = closed,
            Local::Attached(_, detaching) => *detaching = Detaching::WhenSent { closed },
            _ => return Err(self.no_transition()),
        }
        Ok(())
    }

    /// A receiver that is to be detached waits for its sender to stop.
    pub(crate) fn stop(&mut self, until: Instant, limit: Instant, half: bool) -> Result<(), NoTransition> {
        match (&mut self.local, self.remote) {
            (Local::Attached(_, detaching @ Detaching::WhenSent { .. }), Remote::Attached(_)) => {
                let closed = matches!(detaching, Detaching::WhenSent { closed: true });
                *detaching = Detaching::WhenStopped(Box::new(Stopping { until, limit, came: false, half, closed }));
                Ok(())
            }
            _ => Err(self.no_transition()),
        }
    }

    /// The sender is not waited for any more. Returns until when it was.
    pub(crate) fn end_stopping(&mut self) -> Option<Instant> {
        let Local::Attached(_, detaching) = &mut self.local else { return None };
        let Detaching::WhenStopped(stopping) = detaching else { return None };
        let (until, closed) = (stopping.until, stopping.closed);
        *detaching = Detaching::WhenSent { closed };
        Some(until)
    }

    /// Our detach is sent. Returns our handle.
    pub(crate) fn send_detach(&mut self, closed: bool, error: Option<AmqpError>) -> Result<Handle, NoTransition> {
        let Local::Attached(handle, _) = self.local else { return Err(self.no_transition()) };
        self.local = Local::Detached(handle, Box::new(SentDetach { closed, error }));
        Ok(handle)
    }

    /// The peer's attach is received, which answers ours.
    pub(crate) fn receive_attach(&mut self, handle: Handle, has_terminus: bool) -> Result<(), NoTransition> {
        match (&self.local, self.remote) {
            (Local::Attached(..) | Local::Detached(..), Remote::Unattached) => {
                self.remote = if has_terminus { Remote::Attached(handle) } else { Remote::Refused(handle) };
                Ok(())
            }
            _ => Err(self.no_transition()),
        }
    }

    /// The peer's detach is received. Returns what ours said, if that was sent: whether it has closed the link, and its
    /// error.
    pub(crate) fn receive_detach(&mut self) -> Result<Option<(bool, Option<AmqpError>)>, NoTransition> {
        let (Remote::Attached(_) | Remote::Refused(_)) = self.remote else { return Err(self.no_transition()) };
        self.remote = Remote::Detached;
        Ok(match &mut self.local {
            Local::Detached(_, sent) => Some((sent.closed, sent.error.take())),
            _ => None,
        })
    }

    /// We have detached, and the peer has closed: the link is attached and closed once more (§2.6.6). Returns our handle.
    pub(crate) fn close_again(&mut self) -> Result<Handle, NoTransition> {
        match (&mut self.local, self.remote) {
            (Local::Detached(handle, sent), Remote::Detached) => {
                sent.closed = true;
                self.remote = Remote::Unattached;
                Ok(*handle)
            }
            _ => Err(self.no_transition()),
        }
    }

    /// The application is not told of the link before this.
    pub(crate) fn hold_offer(&mut self, until: Instant) {
        if self.reported == Reported::Live {
            self.reported = Reported::Held(until);
        }
    }

    /// Whether the application does not know of the link yet.
    pub(crate) fn is_offer_held(&self) -> bool {
        matches!(self.reported, Reported::Held(_))
    }

    /// The application is told of the link. Returns until when its offer was held.
    pub(crate) fn take_held_offer(&mut self) -> Option<Instant> {
        let Reported::Held(until) = self.reported else { return None };
        self.reported = Reported::Live;
        Some(until)
    }

    /// Whether the application knows that the link is over.
    pub(crate) fn is_over(&self) -> bool {
        self.reported == Reported::Over
    }

    /// The link is over for the application. Returns what it has known before.
    pub(crate) fn end(&mut self) -> KnownBefore {
        match core::mem::replace(&mut self.reported, Reported::Over) {
            Reported::Live => KnownBefore::Live,
            Reported::Held(until) => KnownBefore::Held(until),
            Reported::Over => KnownBefore::Over,
        }
    }

    #[cold]
    fn no_transition(&self) -> NoTransition {
        NoTransition { from: self.phase() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTIL: Instant = Instant::from_nanos(0);

    /// What can happen to a link, as far as its state is concerned.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Input {
        SendAttach,
        ReceiveAttach,
        ReceiveRefusal,
        SendDetach,
        ReceiveDetach,
        CloseAgain,
        AwaitHandle,
        TakeAwaited,
        DetachWhenSent,
        Stop,
    }
    use Input::*;

    const INPUTS: [Input; 10] = [
        SendAttach,
        ReceiveAttach,
        ReceiveRefusal,
        SendDetach,
        ReceiveDetach,
        CloseAgain,
        AwaitHandle,
        TakeAwaited,
        DetachWhenSent,
        Stop,
    ];

    fn take(state: &mut LinkState, input: Input) -> Result<(), NoTransition> {
        match input {
            SendAttach => state.send_attach(1),
            ReceiveAttach => state.receive_attach(2, true),
            ReceiveRefusal => state.receive_attach(2, false),
            SendDetach => state.send_detach(true, None).map(|handle| assert_eq!(handle, 1)),
            ReceiveDetach => state.receive_detach().map(drop),
            CloseAgain => state.close_again().map(|handle| assert_eq!(handle, 1)),
            AwaitHandle => state.await_handle(UNTIL, Answer::Accept).map(drop),
            TakeAwaited => state.take_awaited().map(drop),
            DetachWhenSent => state.detach_when_sent(true),
            Stop => state.stop(UNTIL, UNTIL, false),
        }
    }

    /// Every state, by the inputs that lead to it.
    fn every_state() -> [(Phase, LinkState); 10] {
        let after = |mut state: LinkState, inputs: &[Input]| {
            for input in inputs {
                take(&mut state, *input).unwrap_or_else(|error| panic!("{input:?}: {error:?}"));
            }
            state
        };
        let offered = || LinkState::offered(2);
        [
            (Phase::Unattached, LinkState::new()),
            (Phase::AttachSent, after(LinkState::new(), &[SendAttach])),
            (Phase::AttachReceived, offered()),
            (Phase::Attached, after(offered(), &[SendAttach])),
            (Phase::Refused, after(LinkState::new(), &[SendAttach, ReceiveRefusal])),
            (Phase::Withdrawn, after(offered(), &[ReceiveDetach])),
            (Phase::AttachDetachPipe, after(LinkState::new(), &[SendAttach, SendDetach])),
            (Phase::DetachSent, after(offered(), &[SendAttach, SendDetach])),
            (Phase::DetachReceived, after(offered(), &[SendAttach, ReceiveDetach])),
            (Phase::Detached, after(offered(), &[SendAttach, ReceiveDetach, SendDetach])),
        ]
    }

    /// The table: what each input leads to; the others are no transitions.
    fn next(phase: Phase, input: Input) -> Option<Phase> {
        Some(match (phase, input) {
            (Phase::Unattached, SendAttach) => Phase::AttachSent,
            (Phase::AttachReceived, SendAttach) => Phase::Attached,
            (Phase::Withdrawn, SendAttach) => Phase::DetachReceived,
            (Phase::AttachSent, ReceiveAttach) => Phase::Attached,
            (Phase::AttachSent, ReceiveRefusal) => Phase::Refused,
            (Phase::AttachDetachPipe, ReceiveAttach | ReceiveRefusal) => Phase::DetachSent,
            (Phase::AttachSent, SendDetach) => Phase::AttachDetachPipe,
            (Phase::Attached | Phase::Refused, SendDetach) => Phase::DetachSent,
            (Phase::DetachReceived, SendDetach) => Phase::Detached,
            (Phase::AttachReceived, ReceiveDetach) => Phase::Withdrawn,
            (Phase::Attached | Phase::Refused, ReceiveDetach) => Phase::DetachReceived,
            (Phase::DetachSent, ReceiveDetach) => Phase::Detached,
            (Phase::Detached, CloseAgain) => Phase::AttachDetachPipe,
            // These change what a half waits for, and not what is attached.
            (Phase::AttachReceived | Phase::Withdrawn, AwaitHandle) => phase,
            (Phase::AttachSent | Phase::Attached | Phase::Refused | Phase::DetachReceived, DetachWhenSent) => phase,
            _ => return None,
        })
    }

    #[test]
    fn every_state_takes_the_inputs_of_the_table_and_no_others() {
        for input in INPUTS {
            for (phase, mut state) in every_state() {
                assert_eq!(state.phase(), phase);
                match next(phase, input) {
                    Some(then) => {
                        assert_eq!(take(&mut state, input), Ok(()), "{input:?} in {phase:?}");
                        assert_eq!(state.phase(), then, "{input:?} in {phase:?}");
                    }
                    None => {
                        assert_eq!(take(&mut state, input), Err(NoTransition { from: phase }), "{input:?}");
                        assert_eq!(state.phase(), phase, "{input:?} changes nothing");
                    }
                }
            }
        }
    }

    #[test]
    fn a_link_that_awaits_a_handle_is_attached_when_its_answer_is_taken() {
        for (phase, mut state) in every_state() {
            if state.await_handle(UNTIL, Answer::Accept) != Ok(true) {
                continue;
            }
            let waiting: &[Input] = &[SendAttach, ReceiveAttach, SendDetach, CloseAgain, DetachWhenSent, Stop];
            for input in waiting {
                assert_eq!(take(&mut state, *input), Err(NoTransition { from: phase }), "{input:?}");
                assert!(state.awaited_handle().is_some() && state.is_answered());
            }
            let refusal = Answer::Refuse { closed: true, error: None };
            assert_eq!(state.await_handle(UNTIL, refusal), Ok(false), "the other answer takes its place");
            assert!(matches!(state.take_awaited(), Ok(AwaitedHandle { answer: Answer::Refuse { .. }, .. })));
            assert_eq!(take(&mut state, SendAttach), Ok(()));
        }
    }

    #[test]
    fn only_a_link_that_is_attached_and_to_be_detached_stops_its_sender() {
        for (phase, mut state) in every_state() {
            let attached = phase == Phase::Attached;
            let leaves = state.detach_when_sent(false).is_ok();
            assert_eq!(state.is_detaching(), leaves);
            assert_eq!(state.detaches_when_sent(), leaves.then_some(false));
            assert_eq!(state.stop(UNTIL, UNTIL, true).is_ok(), attached, "{phase:?}");
            assert_eq!(state.stopping().is_some(), attached);
            if attached {
                assert_eq!(state.detaches_when_sent(), None, "it waits for the sender");
                assert_eq!(state.detach_when_sent(true), Ok(()), "and may be closed instead");
                assert_eq!(state.stop(UNTIL, UNTIL, true), Err(NoTransition { from: phase }));
                assert_eq!(state.end_stopping(), Some(UNTIL));
                assert_eq!(state.detaches_when_sent(), Some(true));
            }
            assert_eq!(state.end_stopping(), None);
        }
    }

    #[test]
    fn handles_are_there_from_attach_to_detach() {
        for (phase, state) in every_state() {
            let ours = !matches!(phase, Phase::Unattached | Phase::AttachReceived | Phase::Withdrawn);
            let theirs = matches!(phase, Phase::AttachReceived | Phase::Attached | Phase::Refused | Phase::DetachSent);
            let detached = matches!(phase, Phase::AttachDetachPipe | Phase::DetachSent | Phase::Detached);
            assert_eq!(state.handle(), ours.then_some(1), "{phase:?}");
            assert_eq!(state.attached_handle(), (ours && !detached).then_some(1), "{phase:?}");
            assert_eq!(state.remote_handle(), theirs.then_some(2), "{phase:?}");
            assert_eq!(state.has_detached(), detached, "{phase:?}");
            assert_eq!(state.is_attached(), phase == Phase::Attached);
            assert_eq!(state.is_refused(), phase == Phase::Refused);
            assert_eq!(state.is_deaf(), detached || phase == Phase::Refused, "{phase:?}");
        }
    }

    #[test]
    fn the_error_of_our_detach_is_handed_out_once() {
        let error = AmqpError::new(amqp1_codec::definitions::ErrorCondition::INTERNAL_ERROR, "x");
        let mut state = LinkState::offered(2);
        state.send_attach(1).expect("it is offered");
        state.send_detach(false, Some(error.clone())).expect("it is attached");
        assert!(state.has_failed());
        assert_eq!(state.receive_detach(), Ok(Some((false, Some(error)))));
        assert!(!state.has_failed() && state.has_detached());
    }

    #[test]
    fn a_link_is_over_once_and_is_not_offered_after() {
        let mut state = LinkState::offered(2);
        state.hold_offer(UNTIL);
        assert!(state.is_offer_held());
        assert_eq!(state.end(), KnownBefore::Held(UNTIL));
        assert_eq!(state.end(), KnownBefore::Over);
        state.hold_offer(UNTIL);
        assert!(state.is_over() && state.take_held_offer().is_none());
        let mut state = LinkState::offered(2);
        state.hold_offer(UNTIL);
        assert_eq!(state.take_held_offer(), Some(UNTIL));
        assert_eq!(state.end(), KnownBefore::Live);
    }
}
