//! What a case for servers works with: connections in each state of the set-up.

use super::{Progress, ServerTarget, Sheet};
use crate::{
    verdict::Stop,
    wire::{Connection, Entry, Logs},
};
use amqp1_codec::{
    frame::ProtocolHeader,
    performative::{Attach, Open},
    sasl::{SaslBody, SaslCode, SaslMechanisms},
};
use amqp1_script::{Link, Peer, Session, frames};
use std::time::Duration;

/// A connection on which both opens were exchanged.
#[derive(Debug)]
pub struct Opened {
    /// The connection.
    pub connection: Connection,
    /// The server's open.
    pub open: Open,
}

/// A connection with a session, on channel 0.
#[derive(Debug)]
pub struct Begun {
    /// The connection.
    pub connection: Connection,
    /// The server's open.
    pub open: Open,
    /// The session.
    pub session: Session,
}

/// A connection with a link, on handle 0 of a session on channel 0.
#[derive(Debug)]
pub struct Attached {
    /// The connection.
    pub connection: Connection,
    /// The server's open.
    pub open: Open,
    /// The session.
    pub session: Session,
    /// The link.
    pub link: Link,
    /// The credit that the server gave; 0 where the tool is the receiver.
    pub credit: u32,
    /// The deliveries that [`delivery`](Self::delivery) has taken.
    pub progress: Progress,
}

/// One run of a case against a server.
///
/// Each step of the set-up makes a new connection. A step that does not succeed is [`Stop::SetUp`], which makes the case
/// unreachable; `?` on what the connection's own methods return is a failure of the case.
#[derive(Debug)]
pub struct ServerTrial<'a> {
    target: &'a ServerTarget,
    sheet: &'a Sheet,
    is_strict: bool,
    logs: Logs,
}

/// The factor by which a connection that is not of a case may last longer than the wait for one answer.
pub(crate) const ANSWERS: u32 = 6;

impl<'a> ServerTrial<'a> {
    /// A trial against this server. Each of its connections must be over within six times the server's patience, unless
    /// [`logging`](Self::logging) gives another limit.
    pub fn new(target: &'a ServerTarget, sheet: &'a Sheet, is_strict: bool) -> Self {
        let logs = Logs::for_each_connection(target.patience.saturating_mul(ANSWERS));
        Self { target, sheet, is_strict, logs }
    }

    /// The same trial, each connection of which has at least this much time.
    pub(crate) fn within(self, limit: Duration) -> Self {
        let limit = self.target.patience.saturating_mul(ANSWERS).max(limit);
        Self { logs: Logs::for_each_connection(limit), ..self }
    }

    /// The same trial with logs of the runner's.
    pub fn logging(self, logs: Logs) -> Self {
        Self { logs, ..self }
    }

    /// The server.
    pub fn target(&self) -> &'a ServerTarget {
        self.target
    }

    /// The server's capabilities.
    pub fn sheet(&self) -> &'a Sheet {
        self.sheet
    }

    /// Returns `true` at `--level strict`.
    pub fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// The address of the queue.
    pub fn node(&self) -> &'a str {
        &self.target.node
    }

    /// The part of this time that is left before the case must be over.
    pub(super) fn left_of(&self, time: Duration) -> Duration {
        self.logs.left_of(time)
    }

    /// The logs of the trial.
    pub(super) fn shared_logs(&self) -> &Logs {
        &self.logs
    }

    /// The logs of the connections so far, in the order in which they were made.
    pub fn logs(&self) -> Vec<Vec<Entry>> {
        self.logs.entries()
    }

    /// A connection on which nothing was sent.
    ///
    /// # Errors
    ///
    /// If the server does not accept it.
    pub fn connected(&mut self) -> Result<Connection, Stop> {
        let within = self.logs.left_of(self.target.patience);
        let mut connection = Peer::new(self.target.connect(within, self.logs.add()).map_err(Stop::NoConnection)?);
        connection.set_patience(self.target.patience);
        Ok(connection)
    }

    /// A connection on which the AMQP header comes next: SASL has succeeded, if the login uses it.
    ///
    /// # Errors
    ///
    /// If the server does not accept the connection or the login.
    pub fn authenticated(&mut self) -> Result<Connection, Stop> {
        let mut connection = self.connected()?;
        if let Some(init) = self.target.login.init() {
            connection.header(ProtocolHeader::SASL);
            connection.expect_header(ProtocolHeader::SASL).map_err(|unexpected| Stop::set_up(&unexpected))?;
            connection.expect::<SaslMechanisms>().map_err(|unexpected| Stop::set_up(&unexpected))?;
            connection.sasl(SaslBody::Init(init));
            let outcome = self.target.login.outcome(&mut connection).map_err(Stop::in_set_up)?;
            if outcome.code != SaslCode::Ok {
                return Err(Stop::Refused(self.target.login.refused(outcome.code)));
            }
        }
        Ok(connection)
    }

    /// The open that is sent unless a case sends its own.
    pub fn open(&self) -> Open {
        Open { hostname: Some(self.target.hostname.as_str().into()), ..frames::open(self.target.container_id.as_str()) }
    }

    /// A connection on which both opens were exchanged.
    ///
    /// # Errors
    ///
    /// As said for [`authenticated`](Self::authenticated), and if the server does not open.
    pub fn opened(&mut self) -> Result<Opened, Stop> {
        let open = self.open();
        self.opened_with(open)
    }

    /// The same with an open of the case's own.
    ///
    /// # Errors
    ///
    /// As said for [`opened`](Self::opened).
    pub fn opened_with(&mut self, open: Open) -> Result<Opened, Stop> {
        let mut connection = self.authenticated()?;
        let open = connection.opened(open).map_err(|unexpected| Stop::set_up(&unexpected))?;
        Ok(Opened { connection, open })
    }

    /// A connection with a session on channel 0.
    ///
    /// # Errors
    ///
    /// As said for [`opened`](Self::opened), and if the server does not begin.
    pub fn begun(&mut self) -> Result<Begun, Stop> {
        let Opened { mut connection, open } = self.opened()?;
        let session = connection.begun(0).map_err(|unexpected| Stop::set_up(&unexpected))?;
        Ok(Begun { connection, open, session })
    }

    /// A connection with a link on which the tool sends to the queue, and the server has given credit.
    ///
    /// # Errors
    ///
    /// As said for [`begun`](Self::begun), and if the server does not attach or gives no credit.
    pub fn sender(&mut self) -> Result<Attached, Stop> {
        let attach = frames::attach_sender("sender", 0, self.node());
        self.sender_with(attach)
    }

    /// The same with an attach of the case's own.
    ///
    /// # Errors
    ///
    /// As said for [`sender`](Self::sender).
    pub fn sender_with(&mut self, attach: Attach) -> Result<Attached, Stop> {
        let mut attached = self.attached(attach)?;
        attached.credit =
            attached.connection.credited(&attached.link).map_err(|unexpected| Stop::set_up(&unexpected))?;
        Ok(attached)
    }

    /// A connection with a link on which the tool receives from the queue. It has given no credit.
    ///
    /// # Errors
    ///
    /// As said for [`begun`](Self::begun), and if the server does not attach.
    pub fn receiver(&mut self) -> Result<Attached, Stop> {
        let attach = frames::attach_receiver("receiver", 0, self.node());
        self.attached(attach)
    }

    /// A connection with a link that this attach asks for, in either role; no credit is waited for.
    ///
    /// # Errors
    ///
    /// As said for [`begun`](Self::begun), and if the server does not attach, or detaches at once.
    pub fn attached(&mut self, attach: Attach) -> Result<Attached, Stop> {
        let Begun { mut connection, open, session } = self.begun()?;
        let link = connection.attached(&session, attach).map_err(|unexpected| Stop::set_up(&unexpected))?;
        Ok(Attached { connection, open, session, link, credit: 0, progress: Progress::default() })
    }
}
