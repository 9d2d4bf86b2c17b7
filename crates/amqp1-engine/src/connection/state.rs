//! The states of a connection endpoint (§2.4.6).

use crate::error::ConnectionError;

/// How far the headers, opens and closes of a connection have been exchanged (§2.4.6), from
/// [`Connection::state`](crate::Connection::state).
///
/// ```text
///             R:HDR +-------+ S:HDR             R:HDR[!=S:HDR]
///          +--------| Start |-----+    +------------------------------+
///          |        +-------+     |    |                              |
///          v                      v    |                              |
///  +----------------+         +------------+ S:OPEN                   |
///  | HeaderReceived |         | HeaderSent |--------+                 |
///  +----------------+         +------------+        |                 |
///     |    | S:HDR                | R:HDR           |                 |
///     |    +-----------+    +-----+                 |                 |
///     |                v    v                       v                 |
///     |          +-----------------+           +----------+ S:CLOSE   |
///     |          | HeaderExchanged |           | OpenPipe |------+    |
///     |          +-----------------+           +----------+      |    |
///     |     R:OPEN |           | S:OPEN           | R:HDR        |    |
///     |      +-----+           +-----+   +--------+              |    |
///     |      v                       v   v                       v    |
///     | +--------------+         +----------+ S:CLOSE  +---------------+
///     | | OpenReceived |         | OpenSent |--------+ | OpenClosePipe |
///     | +--------------+         +----------+        | +---------------+
///     |      | S:OPEN                | R:OPEN        v     | R:HDR
///     |      |      +--------+       |         +-----------+
///     |      +----->| Opened |<------+         | ClosePipe |
///     |             +--------+                 +-----------+
///     |     R:CLOSE |        | S:CLOSE               | R:OPEN
///     |      +------+        +------+   +------------+
///     |      v                      v   v
///     | +---------------+   +--------------------------+
///     | | CloseReceived |   | CloseSent, or Discarding |
///     | +---------------+   +--------------------------+
///     |      | S:CLOSE          | R:CLOSE
///     |      |      +-----+     |
///     |      +----->| End |<----+
///     +------------>|     |
///                   +-----+
/// ```
///
/// The end of the transport and an unanswered deadline lead to `End` from all states. A peer that closes without having
/// opened, which the diagram leaves out, is answered all the same: its close counts in `OpenSent`, and after ours. SASL
/// is part of `Start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// No AMQP header was exchanged.
    Start,
    /// The peer's header is received, and ours is not sent.
    HeaderReceived,
    /// Our header is sent, and the peer's is not received.
    HeaderSent,
    /// Both headers were exchanged.
    HeaderExchanged,
    /// Our open is sent ahead of the peer's header.
    OpenPipe,
    /// Our open and our close are sent ahead of the peer's header.
    OpenClosePipe,
    /// The peer's open is received, and ours is not sent.
    OpenReceived,
    /// Our open is sent, and the peer's is not received.
    OpenSent,
    /// Our close is sent ahead of the peer's open.
    ClosePipe,
    /// Both opens were exchanged.
    Opened,
    /// The peer's close is received, and ours is not sent.
    CloseReceived,
    /// Our close is sent, without an error.
    CloseSent,
    /// Our close is sent because of an error. What the peer sends is discarded until its close.
    Discarding,
    /// Nothing more is read or said.
    End,
}

use ConnectionState::{
    ClosePipe, CloseReceived, CloseSent, Discarding, End, HeaderExchanged, HeaderReceived, HeaderSent, OpenClosePipe,
    OpenPipe, OpenReceived, OpenSent, Opened, Start,
};

/// A transition that the state does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoTransition;

impl ConnectionState {
    /// Our header is sent.
    pub(super) fn send_header(self) -> Result<Self, NoTransition> {
        match self {
            Start => Ok(HeaderSent),
            HeaderReceived => Ok(HeaderExchanged),
            _ => Err(NoTransition),
        }
    }

    /// The peer's header is received.
    pub(super) fn receive_header(self) -> Result<Self, NoTransition> {
        match self {
            Start => Ok(HeaderReceived),
            HeaderSent => Ok(HeaderExchanged),
            OpenPipe => Ok(OpenSent),
            OpenClosePipe => Ok(ClosePipe),
            _ => Err(NoTransition),
        }
    }

    /// Our open is sent.
    pub(super) fn send_open(self) -> Result<Self, NoTransition> {
        match self {
            HeaderSent => Ok(OpenPipe),
            HeaderExchanged => Ok(OpenSent),
            OpenReceived => Ok(Opened),
            _ => Err(NoTransition),
        }
    }

    /// The peer's open is received.
    pub(super) fn receive_open(self) -> Result<Self, NoTransition> {
        match self {
            HeaderExchanged => Ok(OpenReceived),
            OpenSent => Ok(Opened),
            ClosePipe => Ok(CloseSent),
            _ => Err(NoTransition),
        }
    }

    /// Our close is sent, with an error or without.
    pub(super) fn send_close(self, is_error: bool) -> Result<Self, NoTransition> {
        match self {
            OpenPipe => Ok(OpenClosePipe),
            OpenSent => Ok(ClosePipe),
            Opened if is_error => Ok(Discarding),
            Opened => Ok(CloseSent),
            CloseReceived => Ok(End),
            _ => Err(NoTransition),
        }
    }

    /// The peer's close is received. Our open leaves first.
    pub(super) fn receive_close(self) -> Result<Self, NoTransition> {
        match self {
            OpenSent | Opened => Ok(CloseReceived),
            OpenClosePipe | ClosePipe | CloseSent | Discarding => Ok(End),
            _ => Err(NoTransition),
        }
    }

    /// Whether our open is sent, or was when the connection ended with a close.
    #[inline]
    pub(super) fn is_open_sent(self) -> bool {
        !matches!(self, Start | HeaderReceived | HeaderSent | HeaderExchanged | OpenReceived | End)
    }

    /// Whether frames can be sent. A close may follow an open that is not answered (§2.4.2).
    #[inline]
    pub(super) fn can_send(self) -> bool {
        matches!(self, HeaderSent | HeaderExchanged | OpenPipe | OpenReceived | OpenSent | Opened | CloseReceived)
    }
}

/// The application's wishes for the connection, and its knowledge of it.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    /// The connection is to go on.
    No,
    /// It is to close, once everything that can be sent is sent.
    Asked,
    /// Its end was reported, with this reason.
    Reported(ConnectionError),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every state, and where it goes when a header is sent, a header is received, an open is sent, an open is
    /// received, a close is sent without an error and with one, and a close is received.
    const TABLE: [(ConnectionState, [Option<ConnectionState>; 7]); 14] = [
        (Start, [Some(HeaderSent), Some(HeaderReceived), None, None, None, None, None]),
        (HeaderReceived, [Some(HeaderExchanged), None, None, None, None, None, None]),
        (HeaderSent, [None, Some(HeaderExchanged), Some(OpenPipe), None, None, None, None]),
        (HeaderExchanged, [None, None, Some(OpenSent), Some(OpenReceived), None, None, None]),
        (OpenPipe, [None, Some(OpenSent), None, None, Some(OpenClosePipe), Some(OpenClosePipe), None]),
        (OpenClosePipe, [None, Some(ClosePipe), None, None, None, None, Some(End)]),
        (OpenReceived, [None, None, Some(Opened), None, None, None, None]),
        (OpenSent, [None, None, None, Some(Opened), Some(ClosePipe), Some(ClosePipe), Some(CloseReceived)]),
        (ClosePipe, [None, None, None, Some(CloseSent), None, None, Some(End)]),
        (Opened, [None, None, None, None, Some(CloseSent), Some(Discarding), Some(CloseReceived)]),
        (CloseReceived, [None, None, None, None, Some(End), Some(End), None]),
        (CloseSent, [None, None, None, None, None, None, Some(End)]),
        (Discarding, [None, None, None, None, None, None, Some(End)]),
        (End, [None; 7]),
    ];

    #[test]
    fn every_state_takes_the_inputs_of_the_table_and_no_others() {
        for (state, expected) in TABLE {
            let inputs = [
                state.send_header(),
                state.receive_header(),
                state.send_open(),
                state.receive_open(),
                state.send_close(false),
                state.send_close(true),
                state.receive_close(),
            ];
            assert_eq!(inputs.map(Result::ok), expected, "{state:?}");
        }
    }

    #[test]
    fn every_state_is_reached_and_all_but_the_end_are_left() {
        for (state, next) in TABLE {
            let reached = TABLE.iter().any(|(_, next)| next.contains(&Some(state)));
            assert_eq!(reached, state != Start, "{state:?}");
            assert_eq!(next.iter().any(Option::is_some), state != End, "{state:?}");
        }
    }

    #[test]
    fn an_open_and_a_close_are_sent_at_most_once() {
        for (state, [_, _, open, _, close, ..]) in TABLE {
            assert!(!(state.is_open_sent() && open.is_some()), "{state:?} is opened twice");
            assert!(close.is_none() || state.is_open_sent() && state.can_send(), "{state:?} is closed");
            if let Some(to) = open {
                assert!(state.can_send() && to.is_open_sent(), "{state:?} to {to:?}");
            }
        }
    }
}
