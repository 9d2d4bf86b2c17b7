//! The state of a link: what each end has attached and detached (§2.6.3 to §2.6.6).

use crate::time::Instant;
use alloc::boxed::Box;
use amqp1_codec::{definitions::AmqpError, performative::Handle};

/// The state of a link: this end's half, the peer's half, and what the application knows of both.
///
/// A link with one attached half is *half attached* (§2.6.3), and has no other name in the specification. The states of
/// both halves together are those of [`Phase`], named as those of sessions (§2.5.5) and connections (§2.4.6) are. `S:`
/// is a frame that is sent, `R:` one that is received:
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

/// The application's knowledge of a link.
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

/// The answer to a link of the peer when a handle is free.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The attach in [`Link::local`](super::Link::local).
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

/// The application's knowledge of a link that is reported as over.
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

    /// The condition for detaching a receiver.
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

    /// The answer to the peer's attach waits for a handle, or the answer that waits is another one. Returns whether
    /// none waited before.
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

    /// We have detached, and the peer has closed: the link is attached and closed once more (§2.6.6). Returns our
    /// handle.
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
mod tests;
