//! The states of a session endpoint (§2.5.5).

/// How far the begins and ends of a session have been exchanged.
///
/// ```text
///                          UNMAPPED <-----------------+
///                              |                      |
///                      +-------+-------+              |
///              S:BEGIN |               | R:BEGIN      |
///                      v               v              |
///                  BEGIN SENT     BEGIN RCVD          |
///                 |    |               |              |
///          S:END  |    | R:BEGIN       | S:BEGIN      |
///       or        |    +-------+-------+              |
///    S:END(error) |            v                      |
///                 |          MAPPED                   |
///                 |            |                      |
///                 |    +-------+-------+-------+      |
///                 |    | S:END(error)  | S:END | R:END|
///                 v    v               v       v      |
///                 DISCARDING       END SENT  END RCVD |
///                      |               |       |      |
///                      | R:END         | R:END | S:END|
///                      +---------------+-------+------+
/// ```
///
/// An end may leave before the peer has answered our begin, which the diagram of the specification leaves out. The
/// answer then still comes ahead of the peer's end, and changes nothing but [`Peer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// No frame was exchanged, or both ends were.
    Unmapped,
    /// Our begin is sent.
    BeginSent,
    /// The peer's begin is received, and ours is not sent.
    BeginReceived,
    /// Both begins were exchanged.
    Mapped,
    /// Our end is sent, without an error.
    EndSent(Peer),
    /// The peer's end is received, and ours is not sent.
    EndReceived,
    /// Our end is sent because of an error. What the peer sends is discarded until its end.
    Discarding(Peer),
}

/// Whether the peer has begun a session that we have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Its begin is still to come.
    Unbegun,
    Begun,
}

/// A transition that the state does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoTransition;

impl State {
    /// Our begin is sent.
    pub(crate) fn send_begin(self) -> Result<Self, NoTransition> {
        match self {
            Self::Unmapped => Ok(Self::BeginSent),
            Self::BeginReceived => Ok(Self::Mapped),
            _ => Err(NoTransition),
        }
    }

    /// The peer's begin is received.
    pub(crate) fn receive_begin(self) -> Result<Self, NoTransition> {
        match self {
            Self::Unmapped => Ok(Self::BeginReceived),
            Self::BeginSent => Ok(Self::Mapped),
            Self::EndSent(Peer::Unbegun) => Ok(Self::EndSent(Peer::Begun)),
            Self::Discarding(Peer::Unbegun) => Ok(Self::Discarding(Peer::Begun)),
            _ => Err(NoTransition),
        }
    }

    /// Our end is sent, with an error or without.
    pub(crate) fn send_end(self, is_error: bool) -> Result<Self, NoTransition> {
        let peer = match self {
            Self::BeginSent => Peer::Unbegun,
            Self::Mapped => Peer::Begun,
            Self::EndReceived => return Ok(Self::Unmapped),
            _ => return Err(NoTransition),
        };
        Ok(if is_error { Self::Discarding(peer) } else { Self::EndSent(peer) })
    }

    /// The peer's end is received. One that has only begun is answered with a begin first.
    pub(crate) fn receive_end(self) -> Result<Self, NoTransition> {
        match self {
            Self::Mapped => Ok(Self::EndReceived),
            Self::EndSent(Peer::Begun) | Self::Discarding(Peer::Begun) => Ok(Self::Unmapped),
            _ => Err(NoTransition),
        }
    }

    /// Whether our begin is sent.
    #[inline]
    pub(crate) fn is_begin_sent(self) -> bool {
        !matches!(self, Self::Unmapped | Self::BeginReceived)
    }

    /// Whether the peer's begin is received.
    #[inline]
    pub(crate) fn is_begin_received(self) -> bool {
        use Peer::Unbegun;
        !matches!(self, Self::Unmapped | Self::BeginSent | Self::EndSent(Unbegun) | Self::Discarding(Unbegun))
    }

    /// Whether our end is sent.
    #[inline]
    pub(crate) fn is_end_sent(self) -> bool {
        matches!(self, Self::EndSent(_) | Self::Discarding(_))
    }

    /// Whether frames can be sent on the session's channel.
    #[inline]
    pub(crate) fn can_send(self) -> bool {
        matches!(self, Self::BeginSent | Self::Mapped | Self::EndReceived)
    }
}

/// The application's wishes for the session, and its knowledge of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The session is to go on.
    No,
    /// It is to end, once everything that can be sent is sent.
    Asked,
    /// Its end was reported.
    Reported,
}

#[cfg(test)]
mod tests {
    use super::{NoTransition, Peer, State};
    use Peer::{Begun, Unbegun};
    use State::{BeginReceived, BeginSent, Discarding, EndReceived, EndSent, Mapped, Unmapped};

    /// Every state, and where it goes when a begin is sent, a begin is received, an end is sent without an error and
    /// with one, and an end is received.
    const TABLE: [(State, [Option<State>; 5]); 9] = [
        (Unmapped, [Some(BeginSent), Some(BeginReceived), None, None, None]),
        (BeginSent, [None, Some(Mapped), Some(EndSent(Unbegun)), Some(Discarding(Unbegun)), None]),
        (BeginReceived, [Some(Mapped), None, None, None, None]),
        (Mapped, [None, None, Some(EndSent(Begun)), Some(Discarding(Begun)), Some(EndReceived)]),
        (EndSent(Unbegun), [None, Some(EndSent(Begun)), None, None, None]),
        (EndSent(Begun), [None, None, None, None, Some(Unmapped)]),
        (EndReceived, [None, None, Some(Unmapped), Some(Unmapped), None]),
        (Discarding(Unbegun), [None, Some(Discarding(Begun)), None, None, None]),
        (Discarding(Begun), [None, None, None, None, Some(Unmapped)]),
    ];

    fn inputs(state: State) -> [Result<State, NoTransition>; 5] {
        [state.send_begin(), state.receive_begin(), state.send_end(false), state.send_end(true), state.receive_end()]
    }

    #[test]
    fn every_state_takes_the_inputs_of_the_table_and_no_others() {
        for (state, expected) in TABLE {
            assert_eq!(inputs(state).map(Result::ok), expected, "{state:?}");
        }
    }

    #[test]
    fn every_state_is_reached_and_left() {
        let reached = |wanted: State| TABLE.iter().any(|(_, next)| next.contains(&Some(wanted)));
        for (state, next) in TABLE {
            assert!(reached(state), "{state:?} is not reached");
            assert!(next.iter().any(Option::is_some), "{state:?} is not left");
        }
    }

    #[test]
    fn frames_are_sent_between_our_begin_and_our_end() {
        for (state, _) in TABLE {
            let expected = state.is_begin_sent() && !state.is_end_sent();
            assert_eq!(state.can_send(), expected, "{state:?}");
        }
    }

    #[test]
    fn the_peers_begin_is_remembered_until_both_have_ended() {
        for (state, next) in TABLE {
            let [_, begin, ..] = next;
            assert!(!(state.is_begin_received() && begin.is_some()), "{state:?} is begun twice");
            for to in next.into_iter().flatten().filter(|to| *to != Unmapped) {
                assert!(!state.is_begin_received() || to.is_begin_received(), "{state:?} to {to:?}");
            }
        }
    }
}
