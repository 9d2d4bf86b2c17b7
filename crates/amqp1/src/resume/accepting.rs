//! The acceptor's side: links that clients resume.

use super::{SuspendedReceiver, SuspendedSender};
use crate::{
    handle::{
        incoming::{AcceptedLink, IncomingLink},
        receiver::Receiver,
        sender::Sender,
    },
    types::error::{Error, ErrorKind},
};
use amqp1_codec::{Str, definitions::Role};
use amqp1_engine::AttachReply;

impl IncomingLink {
    /// Whether the client resumes a link, and says what it knows of it (§2.6.13).
    pub fn is_resumed(&self) -> bool {
        self.attach().unsettled.is_some()
    }

    /// Accepts a link on which the client receives, and goes on with what an earlier endpoint of it has left. Otherwise as
    /// [`accept`](Self::accept) with [`AttachReply::resumable`] set.
    ///
    /// # Errors
    ///
    /// If the link has ended meanwhile; what is left is as it was then. [`ErrorKind::Config`](crate::ErrorKind::Config) if
    /// the client sends, or what is left was taken already: then the link is refused.
    pub fn resume_sender(self, reply: AttachReply, left: &SuspendedSender) -> Result<Sender, Error> {
        self.check(Role::Receiver, left.name())?;
        match self.accept_with(reply, Some(left.shelf.clone()))? {
            AcceptedLink::Sender(sender) => Ok(sender),
            AcceptedLink::Receiver(_) => Err(wrong_role()),
        }
    }

    /// Accepts a link on which the client sends, and goes on with what an earlier endpoint of it has left, in the
    /// receiver-settle-mode that it had. Otherwise as [`accept`](Self::accept) with [`AttachReply::resumable`] set.
    ///
    /// # Errors
    ///
    /// If the link has ended meanwhile; what is left is as it was then. [`ErrorKind::Config`](crate::ErrorKind::Config) if
    /// the client receives, or what is left was taken already: then the link is refused.
    pub fn resume_receiver(self, mut reply: AttachReply, left: &SuspendedReceiver) -> Result<Receiver, Error> {
        self.check(Role::Sender, left.name())?;
        if let Some(modes) = left.modes {
            reply.rcv_settle_mode = modes.receiver;
        }
        match self.accept_with(reply, Some(left.shelf.clone()))? {
            AcceptedLink::Receiver(receiver) => Ok(receiver),
            AcceptedLink::Sender(_) => Err(wrong_role()),
        }
    }

    fn check(&self, role: Role, name: &Str) -> Result<(), Error> {
        if self.role() != role {
            return Err(wrong_role());
        }
        if self.attach().name != *name {
            return Err(Error::new(ErrorKind::Config, "what is left is of a link of another name"));
        }
        Ok(())
    }
}

fn wrong_role() -> Error {
    Error::new(ErrorKind::Config, "what is left is of the link's other end")
}
