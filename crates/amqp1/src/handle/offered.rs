//! A link that a client offers, until it is answered.

use crate::{
    handle::{
        counted::{LinkHandle, SessionHandle},
        session::Session,
        undecodable,
    },
    state::{
        attaching::{Attaching, answer_resuming, check_streamed, resumption_of},
        ids::LinkKey,
        shared::Shared,
        suspended::Shelf,
    },
    types::{
        error::{Error, ErrorKind},
        options::DEFAULT_MAX_MESSAGE_SIZE,
    },
};
use amqp1_broker::terminus;
use amqp1_codec::{
    Str,
    definitions::{AmqpError, ErrorCondition, Role},
    messaging::DeliveryState,
    performative::{Attach, TargetArchetype},
};
use amqp1_engine::AttachReply;
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

/// The common part of requests for links. Dropped without an answer, the link is refused.
#[derive(Debug)]
pub(crate) struct Offered {
    id: LinkKey,
    handle: Arc<LinkHandle>,
    attach: Attach,
    answered: bool,
}

impl Offered {
    /// A link that the engine has offered. From here on it has a handle.
    pub(crate) fn new(shared: Arc<Shared>, id: LinkKey, session: Arc<SessionHandle>, attach: Attach) -> Self {
        let handle = Arc::new(LinkHandle { shared, id, session, close_on_drop: true, trace: OnceLock::new() });
        Self { id, handle, attach, answered: false }
    }

    pub(crate) fn attach(&self) -> &Attach {
        &self.attach
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    pub(crate) fn session(&self) -> Session {
        Session::new(self.handle.session.clone())
    }

    pub(crate) fn address(&self) -> Option<&str> {
        match self.attach.role {
            Role::Sender => self.attach.target.as_ref().and_then(TargetArchetype::as_target)?.address.as_deref(),
            Role::Receiver => self.attach.source.as_ref()?.address.as_deref(),
        }
    }

    pub(crate) fn is_dynamic(&self) -> bool {
        match self.attach.role {
            Role::Sender => self.attach.target.as_ref().and_then(TargetArchetype::as_target).is_some_and(|t| t.dynamic),
            Role::Receiver => self.attach.source.as_ref().is_some_and(|source| source.dynamic),
        }
    }

    /// An answer that grants what needs no support by the node.
    pub(crate) fn basic_reply(&self) -> AttachReply {
        let attach = &self.attach;
        let rcv_settle_mode = self.shared().look(|state| state.engine.receiver_settle_mode_to_answer(attach));
        AttachReply { rcv_settle_mode, ..AttachReply::basic(attach) }
    }

    /// Whether what is left is of the link of this name.
    pub(crate) fn check_name(&self, left: &Str) -> Result<(), Error> {
        if self.attach.name == *left {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Config, "what is to be resumed is of a link of another name"))
    }

    pub(crate) fn accept(
        mut self,
        mut reply: AttachReply,
        shelf: Option<Shelf>,
        outcome_timeout: Option<Option<Duration>>,
    ) -> Result<Arc<LinkHandle>, Error> {
        if let Some(error) = terminus::refusal(&self.attach, &reply) {
            let text = "the link cannot be accepted with this answer";
            self.answered = true;
            self.refuse(error.clone());
            return Err(Error::new(ErrorKind::Config, text).with_amqp(Some(error)));
        }
        let name = self.attach.name.clone();
        let resumption = resumption_of(name, &mut reply, shelf);
        check_streamed(reply.streamed, reply.resumable)?;
        undecodable::check(reply.streamed, reply.reject_undecodable)?;
        let id = self.id;
        let (mode, streamed) = (reply.snd_settle_mode, reply.streamed);
        if self.attach.role == Role::Sender && !streamed {
            reply.max_message_size.get_or_insert(DEFAULT_MAX_MESSAGE_SIZE);
        }
        // §3.5.3: a node without a default takes back a message without an outcome.
        let default = reply.source.as_ref().map_or(DeliveryState::Released, terminus::default_outcome);
        let (remote, timeout) = (self.attach.snd_settle_mode, self.handle.timeout());
        let attaching = Attaching::begin(&self.handle.shared, resumption, |state, left| {
            let link = state.live_link(id)?;
            reply.drain_mode = link.drain.choose(reply.drain_mode, timeout);
            answer_resuming(&mut reply, left, self.attach.unsettled.is_some());
            state.engine.link(id).and_then(|mut link| link.accept(reply)).map_err(|misuse| state.explain(misuse))?;
            let link = state.live_link(id)?;
            link.attached = true;
            link.default_outcome = Some(Box::new(default));
            link.outcome_timeout = outcome_timeout;
            link.negotiate(Some(mode));
            link.negotiate(Some(remote));
            Ok(id)
        })?;
        self.answered = true;
        attaching.done();
        Ok(self.handle.clone())
    }

    pub(crate) fn reject(mut self, error: AmqpError) {
        self.answered = true;
        self.refuse(error);
    }

    fn refuse(&self, error: AmqpError) {
        let id = self.id;
        let _ = self.handle.shared.command(|state, _| state.engine.link(id).and_then(|mut link| link.reject(error)));
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        if !self.answered {
            self.refuse(AmqpError::new(ErrorCondition::NOT_ALLOWED, "the link was not accepted"));
        }
    }
}
