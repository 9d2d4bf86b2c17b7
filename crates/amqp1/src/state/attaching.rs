//! An endpoint that goes on with what another has left. If it does not come about, that is put back.

use crate::{
    state::{
        aside::Aside,
        engine::Engine,
        ids::LinkKey,
        link::LinkState,
        shared::{Shared, State},
        suspended::{Continued, Left, Modes, Part, Shelf},
    },
    types::error::{Error, ErrorKind},
};
use amqp1_codec::{
    Str,
    definitions::{AmqpError, ErrorCondition, ReceiverSettleMode, SenderSettleMode},
};
use amqp1_engine::{ApiMisuse, AttachReply, LinkId, SentSoFar, Settlement, Suspended};
use std::sync::Arc;

/// The link's part of an attach.
#[derive(Clone, Debug)]
pub(crate) struct Resumption {
    pub(crate) name: Str,
    pub(crate) modes: Modes,
    /// The state of an earlier endpoint.
    pub(crate) shelf: Option<Shelf>,
}

impl Resumption {
    pub(crate) fn of(name: &Str, sender: SenderSettleMode, receiver: ReceiverSettleMode, shelf: Option<Shelf>) -> Self {
        Self { name: name.clone(), modes: Modes { sender, receiver }, shelf }
    }
}

/// State that is put back if the link is not attached after all.
#[derive(Debug)]
struct Backup {
    shelf: Shelf,
    left: Left,
}

/// A link that waits for its peer. Dropped before [`done`](Self::done), it is given up, and what it was to go on with is
/// as it was, but for what has been learnt meanwhile.
#[derive(Debug)]
pub(crate) struct Attaching {
    shared: Arc<Shared>,
    id: LinkKey,
    backup: Option<Backup>,
}

impl Attaching {
    /// Attaches, and keeps a part for a link that can be resumed. `attach` is called under the lock.
    pub(crate) fn begin(
        shared: &Arc<Shared>,
        resumption: Option<Resumption>,
        attach: impl FnOnce(&mut State, Option<Suspended>) -> Result<LinkKey, Error>,
    ) -> Result<Self, Error> {
        let (id, backup) = shared.command(|state, aside| state.attach_resuming(resumption, aside, attach))??;
        Ok(Self { shared: shared.clone(), id, backup })
    }

    pub(crate) fn id(&self) -> LinkKey {
        self.id
    }

    /// The link is attached. From now on the time of what is under way runs.
    pub(crate) fn done(mut self) {
        if self.backup.take().is_none() {
            return;
        }
        let (id, now) = (self.id, self.shared.now());
        let _ = self.shared.command(|state, _| {
            let State { links, receipts, outcome_timeout, .. } = state;
            let Some(link) = links.get(&id) else { return };
            let limit = link.outcome_timeout.unwrap_or(*outcome_timeout);
            for continued in link.resume.iter().flat_map(|part| &part.continued) {
                receipts.arm(continued.slot, now, limit);
            }
        });
    }
}

impl Drop for Attaching {
    fn drop(&mut self) {
        let Some(backup) = self.backup.take() else { return };
        let id = self.id;
        // Whatever is the matter with the connection, what is left is not to be lost with it.
        let backup = std::cell::Cell::new(Some(backup));
        let _ = self.shared.command(|state, aside| {
            if let Some(backup) = backup.take() {
                state.give_up(id, backup, aside);
            }
        });
        if let Some(Backup { shelf, left }) = backup.take() {
            shelf.put_back(left);
        }
    }
}

impl State {
    fn attach_resuming(
        &mut self,
        resumption: Option<Resumption>,
        aside: &mut Aside<'_>,
        attach: impl FnOnce(&mut Self, Option<Suspended>) -> Result<LinkKey, Error>,
    ) -> Result<(LinkKey, Option<Backup>), Error> {
        let Some(Resumption { name, modes, shelf }) = resumption else { return Ok((attach(self, None)?, None)) };
        let mut part = Part::named(name, modes);
        let Some(shelf) = shelf else {
            let id = attach(self, None)?;
            self.set_part(id, part);
            return Ok((id, None));
        };
        let mut left = shelf.take()?;
        // Settlements of earlier endpoints are found when this one is over.
        part.late = left.late.clone();
        let mut backup = Backup { shelf, left: left.clone() };
        if let Suspended::Sender(sender) = &mut left.kept {
            for delivery in &sender.deliveries {
                let SentSoFar { tag, token, begun, .. } = *delivery;
                let (message, slot) = (delivery.message.clone(), self.receipts.insert_unarmed());
                part.continued.push(Continued { tag, begun, late: None, message, token, slot });
            }
            // Outcomes that were learnt since then are not asked for again.
            for (token, state) in left.late.lock().drain() {
                sender.settle(token);
                if let Some(known) = part.continued.iter_mut().find(|continued| continued.token == token) {
                    known.late = Some(state.clone());
                    self.receipts.settle(known.slot, Settlement::Outcome(state), aside);
                }
            }
        }
        match attach(self, Some(left.kept)) {
            Ok(id) => {
                for continued in &part.continued {
                    if self.receipts.is_owed(continued.slot) {
                        self.tokens.insert(continued.token, id, continued.slot);
                    }
                }
                self.set_part(id, part);
                if let Some(link) = self.links.get_mut(&id) {
                    link.undelivered.extend(left.undelivered);
                }
                Ok((id, Some(backup)))
            }
            Err(error) => {
                self.harvest(part.continued, &mut backup.left);
                backup.shelf.put_back(backup.left);
                Err(error)
            }
        }
    }

    fn set_part(&mut self, id: LinkKey, part: Part) {
        if let Some(link) = self.links.get_mut(&id) {
            link.resume = Some(Box::new(part));
        }
    }

    /// The link is not attached after all.
    fn give_up(&mut self, id: LinkKey, Backup { shelf, mut left }: Backup, aside: &mut Aside<'_>) {
        if self.closed.is_none() {
            let error = AmqpError::new(ErrorCondition::DETACH_FORCED, "the link is given up while it is attached");
            // With an error it is over at once at this end.
            let _ = self.engine.link(id).and_then(|mut link| link.detach(false, Some(error)));
            self.dispatch(aside, &mut None);
        }
        if let Some(link) = self.links.get_mut(&id) {
            let undelivered = std::mem::take(&mut link.undelivered);
            let part = link.resume.as_mut().map(|part| (part.kept.take(), std::mem::take(&mut part.continued)));
            let (kept, continued) = part.unwrap_or_default();
            if let Some(kept) = kept {
                // It knows better what has become of them meanwhile.
                left.kept = kept;
            }
            left.undelivered = undelivered;
            self.harvest(continued, &mut left);
        }
        shelf.put_back(left);
    }

    /// Gives slots back whose outcomes will not be asked for. Outcomes that stand in them are kept for the next endpoint.
    fn harvest(&mut self, continued: Vec<Continued>, left: &mut Left) {
        for Continued { tag, message, token, slot, .. } in continued {
            self.tokens.remove(token);
            let Some(Settlement::Outcome(state)) = self.receipts.harvest(slot) else { continue };
            left.late.lock().insert(token, state);
            // It stands among the others until somebody can be told.
            if let Suspended::Sender(sender) = &mut left.kept {
                if sender.deliveries.iter().all(|delivery| delivery.token != token) {
                    sender.deliveries.push_back(SentSoFar {
                        tag,
                        token,
                        message_format: 0,
                        settled: false,
                        begun: true,
                        state: None,
                        message,
                    });
                }
            }
        }
    }
}

/// The link's state, as it is before the peer answers.
pub(crate) fn insert(
    state: &mut State,
    link: LinkState,
    attach: impl FnOnce(&mut Engine) -> Result<LinkId, ApiMisuse>,
) -> Result<LinkKey, Error> {
    let id = attach(&mut state.engine).map_err(|misuse| state.explain(misuse))?;
    let id = state.engine.name_link(id);
    state.links.insert(id, Box::new(link));
    Ok(id)
}

/// The part of an answer that is about resumption.
pub(crate) fn resumption_of(name: Str, reply: &mut AttachReply, shelf: Option<Shelf>) -> Option<Resumption> {
    reply.resumable |= shelf.is_some();
    let (sender, receiver) = (reply.snd_settle_mode, reply.rcv_settle_mode);
    reply.resumable.then(|| Resumption::of(&name, sender, receiver, shelf))
}

/// Has the answer go on with what is left. Nothing, opposite a client that resumes, is said too (§2.7.3).
pub(crate) fn answer_resuming(reply: &mut AttachReply, left: Option<Suspended>, resumes: bool) {
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

/// A message whose pieces are handed out as they come is not kept.
pub(crate) fn check_streamed(streamed: bool, resumable: bool) -> Result<(), Error> {
    let text = "a link whose messages are received piece by piece cannot be resumed";
    if streamed && resumable { Err(Error::new(ErrorKind::Config, text)) } else { Ok(()) }
}
