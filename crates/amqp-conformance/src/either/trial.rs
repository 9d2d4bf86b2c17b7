//! The set-ups that a server and a client have in common.

use crate::{
    client::{self, ClientTrial, receives_from_node, sends_to_node},
    judge::closes_in_peace,
    server::{Begun, Opened, ServerTrial},
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_codec::{
    SequenceNo,
    definitions::Role,
    frame::ProtocolHeader,
    messaging::DeliveryState,
    performative::{Attach, Begin, Open, Performative},
};
use amqp1_script::{AmqpFrame, Got, Link, Received, Session, Skip, Unexpected, frames};

/// A connection with a link in either direction.
#[derive(Debug)]
pub(crate) struct Linked {
    /// The connection.
    pub(crate) connection: Connection,
    /// The peer's open.
    pub(crate) open: Open,
    /// The session of the link.
    pub(crate) session: Session,
    /// The link; its role is the tool's.
    pub(crate) link: Link,
    /// The credit that the peer gave; 0 where the tool receives.
    pub(crate) credit: u32,
}

/// A trial of a server or of a client.
///
/// As with those, a step that does not succeed is [`Stop::SetUp`].
pub(crate) trait AnyTrial {
    /// Frames that a peer in this role may have sent before it has read what a case sends: a client goes on by itself.
    const IN_FLIGHT: &'static [&'static str];

    /// Returns `true` at `--level strict`.
    fn is_strict(&self) -> bool;

    /// Returns `true` if WebSocket is below AMQP.
    fn has_web_socket(&self) -> bool;

    /// The open that the tool sends unless a case has its own.
    fn own_open(&self) -> Open;

    /// A connection on which the headers were exchanged, and nothing more was read or sent.
    fn headed(&mut self) -> Result<Connection, Stop>;

    /// The same, and the tool's open comes next. A client's open was read.
    fn opening(&mut self) -> Result<Connection, Stop>;

    /// Waits for the peer to show that it takes the connection for open, after the tool's open was sent, and closes it.
    fn is_open_after(&self, connection: &mut Connection) -> Result<Outcome, Stop>;

    /// Waits until the peer has taken note of the tool's open: a client begins a session.
    fn has_opened(&self, connection: &mut Connection) -> Result<(), Stop>;

    /// The begin that the tool sends on a connection that is open: for a client, the answer to the client's.
    fn begin_for(&self, connection: &mut Connection) -> Result<Begin, Stop>;

    /// Begins a session on this channel of the tool's: a server answers, and a client is answered.
    fn begins(&self, connection: &mut Connection, channel: u16, begin: Begin) -> Result<Session, Unexpected>;

    /// Passes if the peer uses a session: a server answers its end, a client attaches a link.
    fn uses(&self, connection: &mut Connection, session: &Session) -> Result<(), Unexpected>;

    /// A connection on which both opens were exchanged.
    fn opened_by(&mut self, open: Open) -> Result<Opened, Stop>;

    /// The same with the tool's usual open.
    fn opened_plainly(&mut self) -> Result<Opened, Stop> {
        let open = self.own_open();
        self.opened_by(open)
    }

    /// A connection with a session, on the tool's channel 0.
    fn begun_by(&mut self, open: Open, begin: Begin) -> Result<Begun, Stop> {
        let Opened { mut connection, open } = self.opened_by(open)?;
        let session = self.begins(&mut connection, 0, begin).map_err(set_up)?;
        Ok(Begun { connection, open, session })
    }

    /// The same with the tool's usual open and begin.
    fn begun_plainly(&mut self) -> Result<Begun, Stop> {
        let open = self.own_open();
        self.begun_by(open, frames::begin())
    }

    /// A connection with a link on which the peer sends messages once it has credit, at least this many of at least this
    /// size from a server. A client plays the scenario `Send`, and has one small message.
    fn peer_sends(&mut self, open: Open, begin: Begin, messages: usize, size: usize) -> Result<Linked, Stop>;

    /// A connection with a link on which the peer receives, and has given credit. A client plays the scenario `Receive`.
    fn peer_receives(&mut self, open: Open, begin: Begin) -> Result<Linked, Stop> {
        self.peer_receives_from(open, begin, SequenceNo(0))
    }

    /// The same with this initial-delivery-count.
    fn peer_receives_from(&mut self, open: Open, begin: Begin, initial: SequenceNo) -> Result<Linked, Stop>;

    /// The number of messages that the peer takes: a client takes one, as its scenario says.
    fn takes(&self) -> u32;

    /// A connection that is open, on which the peer has nothing to do. A client plays the scenario `Receive`, and waits for
    /// a message.
    fn quiet(&mut self, open: Open) -> Result<Connection, Stop>;

    /// The smallest incoming-window that a peer's sender uses up by itself: a client has one message, and is given none.
    fn small_window(&self) -> u32;

    /// Removes what a case has left in the server's queue.
    fn tidy(&mut self) -> Result<(), Stop>;
}

impl AnyTrial for ServerTrial<'_> {
    const IN_FLIGHT: &'static [&'static str] = &["open"];

    fn is_strict(&self) -> bool {
        Self::is_strict(self)
    }

    fn has_web_socket(&self) -> bool {
        self.target().layers.web_socket.is_some()
    }

    fn own_open(&self) -> Open {
        self.open()
    }

    fn headed(&mut self) -> Result<Connection, Stop> {
        let mut connection = self.authenticated()?;
        connection.header(ProtocolHeader::AMQP);
        connection.expect_header(ProtocolHeader::AMQP).map_err(set_up)?;
        Ok(connection)
    }

    fn opening(&mut self) -> Result<Connection, Stop> {
        self.headed()
    }

    fn is_open_after(&self, connection: &mut Connection) -> Result<Outcome, Stop> {
        connection.expect::<Open>()?;
        Ok(closes_in_peace(connection))
    }

    fn has_opened(&self, _: &mut Connection) -> Result<(), Stop> {
        Ok(())
    }

    fn begin_for(&self, _: &mut Connection) -> Result<Begin, Stop> {
        Ok(frames::begin())
    }

    fn opened_by(&mut self, open: Open) -> Result<Opened, Stop> {
        self.opened_with(open)
    }

    fn begins(&self, connection: &mut Connection, channel: u16, begin: Begin) -> Result<Session, Unexpected> {
        connection.send(channel, begin);
        let answers = |begin: &Received<Begin>| begin.remote_channel == Some(channel);
        let wanted = format!("a begin that answers channel {channel}");
        let begin = connection.expect_where(Skip::EMPTY, wanted, answers)?;
        Ok(Session { channel, remote_channel: begin.channel, begin: begin.body })
    }

    fn uses(&self, connection: &mut Connection, session: &Session) -> Result<(), Unexpected> {
        connection.ended(session).map(drop)
    }

    fn peer_sends(&mut self, open: Open, begin: Begin, messages: usize, size: usize) -> Result<Linked, Stop> {
        self.purge()?;
        let messages = vec![frames::message(vec![b'm'; size]); messages];
        self.fill(&messages)?;
        let Begun { mut connection, open, session } = self.begun_by(open, begin)?;
        let attach = frames::attach_receiver("receiver", 0, self.node());
        let link = connection.attached(&session, attach).map_err(set_up)?;
        Ok(Linked { connection, open, session, link, credit: 0 })
    }

    fn peer_receives_from(&mut self, open: Open, begin: Begin, initial: SequenceNo) -> Result<Linked, Stop> {
        let Begun { mut connection, open, session } = self.begun_by(open, begin)?;
        let attach = frames::attach_sender("sender", 0, self.node());
        let attach = Attach { initial_delivery_count: Some(initial), ..attach };
        let link = connection.attached(&session, attach).map_err(set_up)?;
        let credit = connection.credited(&link).map_err(set_up)?;
        Ok(Linked { connection, open, session, link, credit })
    }

    fn quiet(&mut self, open: Open) -> Result<Connection, Stop> {
        self.opened_by(open).map(|opened| opened.connection)
    }

    fn small_window(&self) -> u32 {
        2
    }

    fn takes(&self) -> u32 {
        3
    }

    fn tidy(&mut self) -> Result<(), Stop> {
        self.purge().map(drop)
    }
}

impl AnyTrial for ClientTrial<'_> {
    const IN_FLIGHT: &'static [&'static str] = &["begin", "attach", "transfer", "detach", "end"];

    fn is_strict(&self) -> bool {
        Self::is_strict(self)
    }

    fn has_web_socket(&self) -> bool {
        Self::has_web_socket(self)
    }

    fn own_open(&self) -> Open {
        frames::open("amqp-conformance")
    }

    fn headed(&mut self) -> Result<Connection, Stop> {
        self.authenticated()
    }

    fn opening(&mut self) -> Result<Connection, Stop> {
        let mut connection = self.headed()?;
        connection.expect::<Open>().map_err(set_up)?;
        Ok(connection)
    }

    fn is_open_after(&self, connection: &mut Connection) -> Result<Outcome, Stop> {
        connection.expect::<Begin>()?;
        Ok(closes_in_peace(connection))
    }

    fn has_opened(&self, connection: &mut Connection) -> Result<(), Stop> {
        own_begin(connection).map(drop).map_err(set_up)
    }

    fn begin_for(&self, connection: &mut Connection) -> Result<Begin, Stop> {
        Ok(frames::begin_answering(own_begin(connection).map_err(set_up)?.channel))
    }

    fn opened_by(&mut self, open: Open) -> Result<Opened, Stop> {
        let client::Accepted { connection, open } = self.opened_with(open)?;
        Ok(Opened { connection, open })
    }

    fn begins(&self, connection: &mut Connection, channel: u16, begin: Begin) -> Result<Session, Unexpected> {
        let theirs = own_begin(connection)?;
        connection.send(channel, Begin { remote_channel: Some(theirs.channel), ..begin });
        Ok(Session { channel, remote_channel: theirs.channel, begin: theirs.body })
    }

    fn uses(&self, connection: &mut Connection, session: &Session) -> Result<(), Unexpected> {
        // A client may have sessions besides its first one.
        let mut free = (0..u16::MAX).filter(|channel| *channel != session.channel);
        let deadline = connection.now().saturating_add(connection.patience());
        loop {
            let got = connection.next_within(deadline.saturating_sub(connection.now()));
            match &got {
                Got::Frame(AmqpFrame { body: Some(Performative::Attach(_)), .. }) => return Ok(()),
                Got::Frame(AmqpFrame { channel, body: Some(Performative::Begin(begin)), .. })
                    if begin.remote_channel.is_none() =>
                {
                    connection.send(free.next().unwrap_or_default(), frames::begin_answering(*channel));
                }
                Got::Frame(AmqpFrame { body: None | Some(Performative::Flow(_)), .. }) => {}
                _ => return Err(connection.unexpected("an attach", got)),
            }
        }
    }

    fn peer_sends(&mut self, open: Open, begin: Begin, _messages: usize, _size: usize) -> Result<Linked, Stop> {
        let opened = self.opened_by(open)?;
        linked(opened, &begin, SequenceNo(0), sends_to_node)
    }

    fn peer_receives_from(&mut self, open: Open, begin: Begin, initial: SequenceNo) -> Result<Linked, Stop> {
        let opened = self.opened_by(open)?;
        let mut linked = linked(opened, &begin, initial, receives_from_node)?;
        linked.credit = linked.connection.credited(&linked.link).map_err(set_up)?;
        Ok(linked)
    }

    fn quiet(&mut self, open: Open) -> Result<Connection, Stop> {
        self.peer_receives(open, frames::begin()).map(|linked| linked.connection)
    }

    fn small_window(&self) -> u32 {
        0
    }

    fn takes(&self) -> u32 {
        1
    }

    fn tidy(&mut self) -> Result<(), Stop> {
        Ok(())
    }
}

/// The client's first link that `is_wanted`. Its sessions are answered with this begin, and its other links without credit.
pub(crate) fn linked(
    Opened { mut connection, open }: Opened,
    begin: &Begin,
    initial: SequenceNo,
    is_wanted: fn(&Attach) -> bool,
) -> Result<Linked, Stop> {
    let mut sessions: Vec<Session> = Vec::new();
    let mut handles = 0..;
    loop {
        let got = connection.next();
        let Got::Frame(AmqpFrame { channel, body, .. }) = &got else {
            return Err(set_up(connection.unexpected("an attach", got)));
        };
        let session = sessions.iter().find(|session| session.remote_channel == *channel).cloned();
        match (body, session) {
            (Some(Performative::Begin(theirs)), None) => {
                let own = u16::try_from(sessions.len()).unwrap_or(u16::MAX);
                connection.send(own, Begin { remote_channel: Some(*channel), ..begin.clone() });
                sessions.push(Session { channel: own, remote_channel: *channel, begin: Begin::clone(theirs) });
            }
            (Some(Performative::Attach(attach)), Some(session)) => {
                let handle = handles.next().unwrap_or_default();
                let answer = frames::attach_answering(attach, handle);
                let initial_delivery_count = answer.initial_delivery_count.map(|_| initial);
                connection.send(session.channel, Attach { initial_delivery_count, ..answer });
                if is_wanted(attach) {
                    let (channel, remote_channel, role) = (session.channel, *channel, attach.role.opposite());
                    let link = Link { channel, remote_channel, handle, role, attach: Attach::clone(attach) };
                    return Ok(Linked { connection, open, session, link, credit: 0 });
                }
                if attach.role == Role::Sender {
                    connection.send(session.channel, frames::credit(handle, 10));
                }
            }
            (None | Some(Performative::Flow(_)), _) => {}
            _ => return Err(set_up(connection.unexpected("an attach", got))),
        }
    }
}

/// The client's next begin of its own.
fn own_begin(connection: &mut Connection) -> Result<Received<Begin>, Unexpected> {
    let is_own = |begin: &Received<Begin>| begin.remote_channel.is_none();
    connection.expect_where(Skip::EMPTY, "a begin of the client's own", is_own)
}

fn set_up(unexpected: Unexpected) -> Stop {
    Stop::set_up(&unexpected)
}

/// The name of the outcome that a disposition carries, for remarks.
pub(crate) fn outcome_name(state: Option<&DeliveryState>) -> &'static str {
    match state {
        None => "no state",
        Some(DeliveryState::Accepted) => "accepted",
        Some(DeliveryState::Rejected(_)) => "rejected",
        Some(DeliveryState::Released) => "released",
        Some(DeliveryState::Modified(_)) => "modified",
        Some(_) => "another state",
    }
}
