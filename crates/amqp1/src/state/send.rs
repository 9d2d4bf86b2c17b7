//! How deliveries are queued on a link.

use crate::{
    state::{aside::Aside, shared::State},
    types::{
        error::{Error, ErrorKind},
        options::SendOptions,
    },
};
use amqp1_codec::{EncodedMessage, messaging::DeliveryState};
use amqp1_engine::{Instant, LinkId, SendError};

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

fn engine_options(options: SendOptions, settled: bool, token: u64) -> amqp1_engine::SendOptions {
    let SendOptions { tag, message_format, .. } = options;
    // Whether there is room was asked before: a permit is not to fail because of it.
    amqp1_engine::SendOptions { settled, tag, message_format, state: None, acquired: false, admitted: true, token }
}

impl State {
    /// Queues a message, whatever was promised to others, with a state of the delivery at this end if there is one: that of
    /// a transaction, for example. Returns the slot of its receipt. A message that is refused is dropped when the lock is
    /// released.
    pub(crate) fn queue(
        &mut self,
        id: LinkId,
        message: EncodedMessage,
        options: SendOptions,
        stated: Option<DeliveryState>,
        now: Instant,
        aside: &mut Aside<'_>,
    ) -> Result<u64, Error> {
        self.queue_or_return(id, message, options, stated, now, aside).map_err(|(error, message)| {
            aside.drop_later(message.into_parts());
            error
        })
    }

    /// As [`queue`](Self::queue); returns a message that is refused, with the reason.
    fn queue_or_return(
        &mut self,
        id: LinkId,
        message: EncodedMessage,
        options: SendOptions,
        stated: Option<DeliveryState>,
        now: Instant,
        aside: &mut Aside<'_>,
    ) -> Result<u64, (Error, EncodedMessage)> {
        let outcome_timeout = self.outcome_timeout;
        let (settled, lasts, limit) = match self.live_link(id) {
            Ok(link) => {
                let limit = link.outcome_timeout.unwrap_or(outcome_timeout);
                (link.settles(options.settled), link.resume.is_some(), limit)
            }
            Err(error) => return Err((error, message)),
        };
        let Some(settled) = settled else { return Err((SendError::SettleMode.into(), message)) };
        let length = u64::try_from(message.len()).unwrap_or(u64::MAX);
        match self.max_message_size(id) {
            Some(max) if length > max => return Err((SendError::TooLarge { max }.into(), message)),
            _ => {}
        }
        if self.engine.sender(id).map_or(0, |sender| sender.credit()) == 0 {
            return Err((revoked(), message));
        }
        let slot = self.receipts.insert(now, limit);
        let mut options = engine_options(options, settled, self.token(id, slot, lasts));
        options.state = stated;
        let token = options.token;
        if let Err(error) = self.acquire_with(id, &mut options, aside) {
            self.take_back(token, slot);
            return Err((error, message));
        }
        let sent = match self.engine.sender(id) {
            Ok(mut sender) => sender.send(message, options).map_err(|unsent| (unsent.reason(), unsent.into_inner())),
            Err(_) => Err((SendError::Detached, message)),
        };
        sent.map(|()| slot).map_err(|(error, message)| {
            self.not_acquired(id, token);
            self.take_back(token, slot);
            (self.explain(error), message)
        })
    }

    /// Begins a delivery that is written piece by piece. Returns the slot of its receipt, whose time does not run yet.
    pub(crate) fn begin_delivery(
        &mut self,
        id: LinkId,
        options: SendOptions,
        aside: &mut Aside<'_>,
    ) -> Result<u64, Error> {
        let link = self.live_link(id)?;
        let (settled, lasts) = (link.settles(options.settled).ok_or(SendError::SettleMode)?, link.resume.is_some());
        let slot = self.receipts.insert_unarmed();
        let token = self.token(id, slot, lasts);
        let mut options = engine_options(options, settled, token);
        if let Err(error) = self.acquire_with(id, &mut options, aside) {
            self.take_back(token, slot);
            return Err(error);
        }
        let begun = self.engine.sender(id).map_err(|_| SendError::Detached);
        begun.and_then(|mut sender| sender.begin_delivery(options)).map(|()| slot).map_err(|error| {
            self.not_acquired(id, token);
            self.take_back(token, slot);
            match error {
                SendError::NoCredit | SendError::TooManyUnsettled { .. } => revoked(),
                error => self.explain(error),
            }
        })
    }

    /// The largest message that the receiver takes.
    pub(crate) fn max_message_size(&mut self, id: LinkId) -> Option<u64> {
        self.engine.sender(id).ok()?.remote_max_message_size()
    }
}
