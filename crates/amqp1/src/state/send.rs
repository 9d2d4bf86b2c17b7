//! How deliveries are queued on a link.

use crate::{
    state::{
        aside::Aside,
        ids::LinkKey,
        shared::{Shared, State},
        suspended::new_token,
    },
    types::{
        error::{Error, ErrorKind},
        options::SendOptions,
    },
};
use amqp1_codec::{EncodedMessage, messaging::DeliveryState};
use amqp1_engine::SendError;

/// The error of a permit that was used when too much was queued. The link goes on.
pub(crate) fn crowded_out() -> Error {
    let text = "more is queued than even a permit may add to, since many permits were used at once: reserve again";
    Error::new(ErrorKind::CreditRevoked, text)
}

/// The error of a permit whose credit is gone. The link goes on.
pub(crate) fn revoked() -> Error {
    let text =
        "the credit of the permit is gone, since the receiver drained the link or took credit back: reserve again";
    Error::new(ErrorKind::CreditRevoked, text)
}

/// Stands for the receipt of a message that has none, on a link that is not resumed.
const NO_RECEIPT: u64 = u64::MAX >> 1;

/// Which messages have a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receipts {
    All,
    /// Nothing is reported of a message that is settled when it is sent.
    Unsettled,
}

/// How a message is queued.
#[derive(Debug)]
pub(crate) struct Queueing<'a> {
    pub(crate) options: SendOptions,
    /// The state of the delivery at this end, if there is one: that of a transaction, for example.
    pub(crate) stated: Option<DeliveryState>,
    pub(crate) receipts: Receipts,
    /// Has the time from which the outcome is waited for.
    pub(crate) clock: &'a Shared,
}

fn engine_options(options: SendOptions, settled: bool, token: u64, unreported: bool) -> amqp1_engine::SendOptions {
    let SendOptions { tag, message_format, .. } = options;
    amqp1_engine::SendOptions {
        settled,
        tag,
        message_format,
        state: None,
        acquired: false,
        // Whether there is room was asked before: a permit is not to fail because of it.
        admitted: true,
        unreported,
        token,
    }
}

impl State {
    /// Queues a message, whatever was promised to others. Returns the slot of its receipt, if it has one. A message that is
    /// refused is dropped when the lock is released.
    pub(crate) fn queue(
        &mut self,
        id: LinkKey,
        message: EncodedMessage,
        queueing: Queueing<'_>,
        aside: &mut Aside<'_>,
    ) -> Result<Option<u64>, Error> {
        self.queue_or_return(id, message, queueing, aside).map_err(|(error, message)| {
            aside.drop_later(message.into_parts());
            error
        })
    }

    /// As [`queue`](Self::queue); returns a message that is refused, with the reason.
    pub(crate) fn queue_or_return(
        &mut self,
        id: LinkKey,
        message: EncodedMessage,
        queueing: Queueing<'_>,
        aside: &mut Aside<'_>,
    ) -> Result<Option<u64>, (Error, EncodedMessage)> {
        let Queueing { options, stated, receipts, clock } = queueing;
        let outcome_timeout = self.outcome_timeout;
        let (settled, lasts, limit) = match self.live_link(id) {
            Ok(link) => {
                let limit = link.outcome_timeout.unwrap_or(outcome_timeout);
                (link.settles(options.settled), link.resume.is_some(), limit)
            }
            Err(error) => return Err((error, message)),
        };
        let Some(settled) = settled else { return Err((SendError::SettleMode.into(), message)) };
        let is_resource = self.is_resource();
        if is_resource {
            // A message that is refused must not become part of a transaction.
            if let Some(error) = self.refusal(id, message.len()) {
                return Err((error, message));
            }
        }
        // A resource does not send settled what is acquired within a transaction.
        let slot = match (settled && receipts == Receipts::Unsettled && !is_resource, limit) {
            (true, _) => None,
            (false, Some(_)) => Some(self.receipts.insert(clock.now(), limit)),
            (false, None) => Some(self.receipts.insert_unarmed()),
        };
        let token = match slot {
            Some(slot) => self.token(id, slot, lasts),
            // The next endpoint knows it by its token: no two are to have the same.
            None if lasts => new_token(),
            None => NO_RECEIPT,
        };
        let mut options = engine_options(options, settled, token, slot.is_none());
        options.state = stated;
        if let Err(error) = self.acquire_with(id, &mut options, aside) {
            self.take_back(token, slot);
            return Err((error, message));
        }
        let sent = match self.engine.sender(id) {
            Ok(mut sender) => sender.send(message, options).map_err(|unsent| (unsent.reason(), unsent.into_inner())),
            Err(_) => Err((SendError::Detached, message)),
        };
        match sent {
            Ok(()) => {
                self.count_queued(id);
                Ok(slot)
            }
            Err((error, message)) => {
                self.not_acquired(id, token);
                self.take_back(token, slot);
                Err((self.refusal(id, message.len()).unwrap_or_else(|| self.explain(error)), message))
            }
        }
    }

    /// Why a message of this many octets is not queued on a link that lives.
    #[cold]
    fn refusal(&mut self, id: LinkKey, length: usize) -> Option<Error> {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        match self.max_message_size(id) {
            Some(max) if length > max => Some(SendError::TooLarge { max }.into()),
            _ if self.engine.sender(id).map_or(0, |sender| sender.credit()) == 0 => Some(revoked()),
            _ => None,
        }
    }

    /// Begins a delivery that is written piece by piece. Returns the slot of its receipt, whose time does not run yet.
    pub(crate) fn begin_delivery(
        &mut self,
        id: LinkKey,
        options: SendOptions,
        aside: &mut Aside<'_>,
    ) -> Result<u64, Error> {
        let link = self.live_link(id)?;
        let (settled, lasts) = (link.settles(options.settled).ok_or(SendError::SettleMode)?, link.resume.is_some());
        let slot = self.receipts.insert_unarmed();
        let token = self.token(id, slot, lasts);
        let mut options = engine_options(options, settled, token, false);
        if let Err(error) = self.acquire_with(id, &mut options, aside) {
            self.take_back(token, Some(slot));
            return Err(error);
        }
        let begun = self.engine.sender(id).map_err(|_| SendError::Detached);
        match begun.and_then(|mut sender| sender.begin_delivery(options)) {
            Ok(()) => {
                self.count_queued(id);
                Ok(slot)
            }
            Err(error) => {
                self.not_acquired(id, token);
                self.take_back(token, Some(slot));
                Err(match error {
                    SendError::NoCredit | SendError::TooManyUnsettled { .. } => revoked(),
                    error => self.explain(error),
                })
            }
        }
    }

    /// The largest message that the receiver takes.
    pub(crate) fn max_message_size(&mut self, id: LinkKey) -> Option<u64> {
        self.engine.sender(id).ok()?.remote_max_message_size()
    }
}
