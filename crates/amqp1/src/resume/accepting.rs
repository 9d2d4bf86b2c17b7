//! The acceptor's side: links that clients resume.

use super::{Left, Resumption, Shelf, SuspendedReceiver, SuspendedSender};
use crate::{
    handle::{
        incoming::{AcceptedLink, IncomingLink},
        receiver::Receiver,
        sender::Sender,
    },
    types::error::{Error, ErrorKind},
};
use amqp1_codec::{Str, definitions::Role};
use amqp1_engine::{AttachReply, Suspended};

/// What an answer says of resumption.
pub(crate) fn of_reply(name: Str, reply: &mut AttachReply, shelf: Option<Shelf>) -> Option<Resumption> {
    // What was put in there by hand goes the same way.
    let (sender, receiver) = (reply.resume_sender.take(), reply.resume_receiver.take());
    let sender = sender.map(|kept| SuspendedSender::from_engine(name.clone(), kept).shelf);
    let receiver = receiver.map(|kept| SuspendedReceiver::from_engine(name.clone(), kept).shelf);
    let shelf = shelf.or(sender).or(receiver);
    reply.resumable |= shelf.is_some();
    let (sender, receiver) = (reply.snd_settle_mode, reply.rcv_settle_mode);
    reply.resumable.then(|| Resumption::of(&name, sender, receiver, shelf))
}

/// Has the answer go on with what is left. Nothing, opposite a client that resumes, is said too (§2.7.3).
pub(crate) fn go_on(reply: &mut AttachReply, left: Option<Suspended>, resumes: bool) {
    match left {
        Some(left @ Suspended::Sender(_)) => reply.resume_sender = Left::sender(left),
        Some(left @ Suspended::Receiver(_)) => reply.resume_receiver = Left::receiver(left),
        None if reply.resumable && resumes => {
            reply.resume_sender = Some(amqp1_engine::SuspendedSender::new());
            reply.resume_receiver = Some(amqp1_engine::SuspendedReceiver::new());
        }
        None => {}
    }
}

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
