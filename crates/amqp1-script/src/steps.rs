//! Brings a peer to a state, as the one that asks or as the one that is asked.
//!
//! | asks | is asked | |
//! |---|---|---|
//! | [`authenticated`](Peer::authenticated) | [`authenticated_by_peer`](Peer::authenticated_by_peer) | SASL (§5.3) |
//! | [`opened`](Peer::opened) | [`opened_by_peer`](Peer::opened_by_peer) | header and open (§2.4.1) |
//! | [`begun`](Peer::begun) | [`begun_by_peer`](Peer::begun_by_peer) | a session (§2.5.1) |
//! | [`attached_sender`](Peer::attached_sender), [`attached_receiver`](Peer::attached_receiver) | [`attached_by_peer`](Peer::attached_by_peer) | a link (§2.6.3) |
//! | [`detached`](Peer::detached) | [`detached_by_peer`](Peer::detached_by_peer) | the link's end |
//! | [`ended`](Peer::ended) | [`ended_by_peer`](Peer::ended_by_peer) | the session's end |
//! | [`closed`](Peer::closed) | [`closed_by_peer`](Peer::closed_by_peer) | close and the end of the transport |
//!
//! A client asks for SASL and open first; sessions and links either end may ask for.
//!
//! Every method fails with [`Unexpected`] when the peer does something else, or nothing in time.

use crate::{
    body::Received,
    frames,
    got::Got,
    peer::{Peer, Skip},
    transport::Transport,
    unexpected::Unexpected,
};
use amqp1_codec::{
    definitions::Role,
    frame::ProtocolHeader,
    performative::{Attach, Begin, Close, Detach, End, Handle, Open, Performative},
    sasl::{SaslBody, SaslCode, SaslInit, SaslMechanisms, SaslOutcome},
};

/// A session that both ends have begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The channel on which the script writes.
    pub channel: u16,
    /// The channel on which the peer writes.
    pub remote_channel: u16,
    /// The peer's begin.
    pub begin: Begin,
}

/// A link that both ends have attached.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The channel on which the script writes.
    pub channel: u16,
    /// The channel on which the peer writes.
    pub remote_channel: u16,
    /// The script's handle.
    pub handle: Handle,
    /// Which end the script is.
    pub role: Role,
    /// The peer's attach; its handle is the one that the peer uses.
    pub attach: Attach,
}

impl<T: Transport> Peer<T> {
    /// Client: SASL, from the headers to an outcome, which may be a failure. `init` is sent once mechanisms are
    /// offered, whether it names one of them or not.
    ///
    /// # Errors
    ///
    /// As said above; a challenge is unexpected.
    pub fn authenticated(&mut self, init: SaslInit) -> Result<SaslOutcome, Unexpected> {
        self.header(ProtocolHeader::SASL);
        self.expect_header(ProtocolHeader::SASL)?;
        self.expect::<SaslMechanisms>()?;
        self.sasl(SaslBody::Init(init));
        self.expect::<SaslOutcome>().map(|outcome| outcome.body)
    }

    /// Server: SASL with these mechanisms and this outcome, whatever the client says.
    ///
    /// # Errors
    ///
    /// As said above.
    pub fn authenticated_by_peer(&mut self, mechanisms: &[&str], code: SaslCode) -> Result<SaslInit, Unexpected> {
        self.expect_header(ProtocolHeader::SASL)?;
        self.header(ProtocolHeader::SASL);
        self.sasl(frames::mechanisms(mechanisms));
        let init = self.expect::<SaslInit>()?.body;
        self.sasl(frames::outcome(code));
        Ok(init)
    }

    /// Client: headers and opens are exchanged. Returns the peer's open.
    ///
    /// # Errors
    ///
    /// As said above.
    pub fn opened(&mut self, open: Open) -> Result<Open, Unexpected> {
        self.header(ProtocolHeader::AMQP);
        self.send(0, open);
        self.expect_header(ProtocolHeader::AMQP)?;
        self.expect::<Open>().map(|open| open.body)
    }

    /// Server: headers and opens are exchanged, the client's first.
    ///
    /// # Errors
    ///
    /// As said above.
    pub fn opened_by_peer(&mut self, open: Open) -> Result<Open, Unexpected> {
        self.expect_header(ProtocolHeader::AMQP)?;
        self.header(ProtocolHeader::AMQP);
        let remote = self.expect::<Open>()?.body;
        self.send(0, open);
        Ok(remote)
    }

    /// A session on this channel, with the begin of [`frames::begin`].
    ///
    /// # Errors
    ///
    /// As said above; a begin that answers another channel is unexpected.
    pub fn begun(&mut self, channel: u16) -> Result<Session, Unexpected> {
        self.send(channel, frames::begin());
        let wanted = format!("a begin that answers channel {channel}");
        let answers = |begin: &Received<Begin>| begin.remote_channel == Some(channel);
        self.expect_where(Skip::EMPTY, wanted, answers).map(|begin| Session {
            channel,
            remote_channel: begin.channel,
            begin: begin.body,
        })
    }

    /// A session that the peer begins, answered on this channel.
    ///
    /// # Errors
    ///
    /// As said above; a begin that answers one is unexpected.
    pub fn begun_by_peer(&mut self, channel: u16) -> Result<Session, Unexpected> {
        let is_own = |begin: &Received<Begin>| begin.remote_channel.is_none();
        let begin = self.expect_where(Skip::EMPTY, "a begin of the peer's own", is_own)?;
        self.send(channel, frames::begin_answering(begin.channel));
        Ok(Session { channel, remote_channel: begin.channel, begin: begin.body })
    }

    /// A link on which the script sends to this address. The peer has not given credit yet; see
    /// [`credited`](Self::credited).
    ///
    /// # Errors
    ///
    /// As said above; an attach of another link is unexpected.
    pub fn attached_sender(
        &mut self,
        session: &Session,
        handle: Handle,
        name: &str,
        address: &str,
    ) -> Result<Link, Unexpected> {
        self.attached(session, frames::attach_sender(name, handle, address))
    }

    /// A link on which the script receives from this address. It has not given credit yet; see
    /// [`give_credit`](Self::give_credit).
    ///
    /// # Errors
    ///
    /// As said above; an attach of another link is unexpected.
    pub fn attached_receiver(
        &mut self,
        session: &Session,
        handle: Handle,
        name: &str,
        address: &str,
    ) -> Result<Link, Unexpected> {
        self.attached(session, frames::attach_receiver(name, handle, address))
    }

    /// A link with this attach. Flows that come before the answer are passed over.
    ///
    /// # Errors
    ///
    /// As said above; an attach of another link is unexpected.
    pub fn attached(&mut self, session: &Session, attach: Attach) -> Result<Link, Unexpected> {
        let (handle, role, name) = (attach.handle, attach.role, attach.name.clone());
        self.send(session.channel, attach);
        let wanted = format!("an attach that answers link {name:?}");
        let on = session.remote_channel;
        let answers =
            |attach: &Received<Attach>| attach.channel == on && attach.name == name && attach.role == role.opposite();
        let attach = self.expect_where(Skip::FLOWS, wanted, answers)?.body;
        Ok(Link { channel: session.channel, remote_channel: on, handle, role, attach })
    }

    /// A link that the peer attaches, answered with this handle. Whether the script sends or receives is for the peer
    /// to say.
    ///
    /// # Errors
    ///
    /// As said above.
    pub fn attached_by_peer(&mut self, session: &Session, handle: Handle) -> Result<Link, Unexpected> {
        let on = session.remote_channel;
        let wanted = format!("an attach on channel {on}");
        let attach = self.expect_where::<Attach>(Skip::FLOWS, wanted, |attach| attach.channel == on)?.body;
        let answer = frames::attach_answering(&attach, handle);
        let role = answer.role;
        self.send(session.channel, answer);
        Ok(Link { channel: session.channel, remote_channel: on, handle, role, attach })
    }

    /// Receiver: allows so many deliveries, from the link's first on.
    pub fn give_credit(&mut self, link: &Link, credit: u32) {
        self.send(link.channel, frames::credit(link.handle, credit));
    }

    /// Sender: waits until the peer has given credit on this link, and says how much. Other flows are passed over.
    ///
    /// # Errors
    ///
    /// As said above.
    pub fn credited(&mut self, link: &Link) -> Result<u32, Unexpected> {
        let deadline = self.now().saturating_add(self.patience());
        let got = self.wait(deadline, |got| is_empty_or_flow(got) && credit_for(link, got).is_none());
        credit_for(link, &got).ok_or_else(|| self.unexpected("flow with credit", got))
    }

    /// Detaches a link for good, and waits for the answer. What the peer has sent before, transfers too, is passed over.
    ///
    /// # Errors
    ///
    /// As said above.
    pub fn detached(&mut self, link: &Link) -> Result<Detach, Unexpected> {
        self.send(link.channel, frames::detach(link.handle));
        self.expect_detach(link, Skip::IN_FLIGHT)
    }

    /// Waits for the peer to detach a link, and answers.
    ///
    /// # Errors
    ///
    /// As said above.
    pub fn detached_by_peer(&mut self, link: &Link) -> Result<Detach, Unexpected> {
        let detach = self.expect_detach(link, Skip::CHATTER)?;
        self.send(link.channel, Detach { closed: detach.closed, ..frames::detach(link.handle) });
        Ok(detach)
    }

    /// Ends a session, and waits for the answer.
    ///
    /// # Errors
    ///
    /// As said above.
    pub fn ended(&mut self, session: &Session) -> Result<End, Unexpected> {
        self.send(session.channel, frames::end());
        self.expect_end(session)
    }

    /// Waits for the peer to end a session, and answers.
    ///
    /// # Errors
    ///
    /// As said above.
    pub fn ended_by_peer(&mut self, session: &Session) -> Result<End, Unexpected> {
        let end = self.expect_end(session)?;
        self.send(session.channel, frames::end());
        Ok(end)
    }

    /// Closes the connection, and waits for the answer. The script then writes no more, and nothing is passed over
    /// between the answer and the end.
    ///
    /// # Errors
    ///
    /// As said above.
    pub fn closed(&mut self) -> Result<Close, Unexpected> {
        self.send(0, frames::close());
        let close = self.expect_skipping::<Close>(Skip::CHATTER)?.body;
        self.finish();
        self.at_end()?;
        Ok(close)
    }

    /// Waits for the peer to close the connection, answers, writes no more, and waits for the end.
    ///
    /// # Errors
    ///
    /// As said above.
    pub fn closed_by_peer(&mut self) -> Result<Close, Unexpected> {
        let close = self.expect_skipping::<Close>(Skip::CHATTER)?.body;
        self.send(0, frames::close());
        self.finish();
        self.at_end()?;
        Ok(close)
    }

    fn expect_detach(&mut self, link: &Link, skip: Skip) -> Result<Detach, Unexpected> {
        let (on, handle) = (link.remote_channel, link.attach.handle);
        let is_this = |detach: &Received<Detach>| detach.channel == on && detach.handle == handle;
        let wanted = format!("detach of handle {handle} on channel {on}");
        self.expect_where(skip, wanted, is_this).map(|detach| detach.body)
    }

    fn expect_end(&mut self, session: &Session) -> Result<End, Unexpected> {
        let on = session.remote_channel;
        let is_this = |end: &Received<End>| end.channel == on;
        self.expect_where(Skip::CHATTER, format!("end on channel {on}"), is_this).map(|end| end.body)
    }

    /// Nothing may be written after close, not even an empty frame (§2.4.3). A peer need not read any more either, so
    /// that a reset may end the stream.
    fn at_end(&mut self) -> Result<(), Unexpected> {
        match self.next() {
            Got::Eof { unfinished } | Got::Reset { unfinished } if unfinished.is_empty() => Ok(()),
            got => Err(self.unexpected("the end after close", got)),
        }
    }
}

fn is_empty_or_flow(got: &Got) -> bool {
    matches!(got, Got::Frame(frame) if matches!(frame.body, None | Some(Performative::Flow(_))))
}

/// The credit that a flow gives on a link, if it is about that and gives any.
fn credit_for(link: &Link, got: &Got) -> Option<u32> {
    let Got::Frame(frame) = got else { return None };
    let Some(Performative::Flow(flow)) = &frame.body else { return None };
    let is_this = frame.channel == link.remote_channel && flow.handle == Some(link.attach.handle);
    flow.link_credit.filter(|credit| is_this && *credit > 0)
}
