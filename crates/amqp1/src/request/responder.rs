//! The answering end.

use crate::{
    handle::{delivery::Delivery, receiver::Receiver, sender::Sender},
    state::wait::within,
    types::error::{Delivered, Error},
};
use amqp1_codec::{
    IntoMessage, Message, MessageBuilder, Str,
    definitions::AmqpError,
    messaging::{MessageId, Properties},
};

/// Takes requests from one link and sends answers on another.
#[derive(Debug)]
pub struct Responder {
    requests: Receiver,
    answers: Sender,
}

impl Responder {
    /// A responder that takes requests from one link and sends their answers on another. For a service behind a broker,
    /// `answers` is an [anonymous sender](crate::Session::anonymous_sender): each answer goes where its request says. An
    /// acceptor has its responders from a [`Pairing`](crate::request::Pairing).
    pub fn new(requests: Receiver, answers: Sender) -> Self {
        Self { requests, answers }
    }

    /// Waits for the next request; `None` when the client has detached the link.
    ///
    /// # Errors
    ///
    /// If the link, its session or the connection ended with an error.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no request is lost.
    pub async fn next(&mut self) -> Result<Option<IncomingRequest>, Error> {
        let delivery = self.requests.recv().await?;
        Ok(delivery.map(|delivery| IncomingRequest::new(delivery, self.answers.clone())))
    }

    /// The links.
    pub fn into_parts(self) -> (Receiver, Sender) {
        (self.requests, self.answers)
    }
}

/// A request that came in. Dropped without an answer, its delivery is settled as its receiver's
/// [`OnDrop`](crate::link::OnDrop) says. A caller whose link ends here learns that and does not wait; behind a broker,
/// a queue has the request again.
#[derive(Debug)]
pub struct IncomingRequest {
    delivery: Delivery,
    answers: Sender,
    message_id: Option<MessageId>,
    reply_to: Option<Str>,
}

impl IncomingRequest {
    fn new(delivery: Delivery, answers: Sender) -> Self {
        // A field that cannot be read counts as absent; the others are read.
        let properties = delivery.message().properties_ref().ok().flatten();
        let Properties { message_id, reply_to, .. } = properties.map(|it| it.readable()).unwrap_or_default();
        Self { delivery, answers, message_id, reply_to }
    }

    /// The request.
    pub fn message(&self) -> &Message {
        self.delivery.message()
    }

    /// The request's message-id. The answer has it as its correlation-id, in the same AMQP type.
    pub fn message_id(&self) -> Option<&MessageId> {
        self.message_id.as_ref()
    }

    /// The address that the answer is to be sent to.
    pub fn reply_to(&self) -> Option<&Str> {
        self.reply_to.as_ref()
    }

    /// Accepts the request, answers it with this message, and waits until the one who asked has settled the answer. The
    /// answer's `to` and correlation-id are set from the request. To take the next request meanwhile, do this in a
    /// task.
    ///
    /// # Errors
    ///
    /// If the answer cannot be sent or is not accepted.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the answer may have been sent; the request is accepted.
    pub async fn answer(self, mut message: MessageBuilder) -> Result<(), Error> {
        let properties = message.properties_mut();
        properties.to = self.reply_to.clone();
        properties.correlation_id = self.message_id.clone();
        self.answer_encoded(message).await
    }

    /// As [`answer`](Self::answer), with a message as it is.
    ///
    /// # Errors
    ///
    /// As [`answer`](Self::answer).
    ///
    /// # Cancel safety
    ///
    /// As [`answer`](Self::answer).
    pub async fn answer_encoded(self, message: impl IntoMessage) -> Result<(), Error> {
        let Self { delivery, answers, .. } = self;
        delivery.accept()?;
        // An acceptor's links wait for outcomes without a limit; one who has asked has an answer to settle, not to work
        // on.
        let (what, limit) = ("waiting for the outcome of an answer", answers.handle().timeout());
        let sent = within(&answers.handle().shared, limit, what, async { Ok(answers.send(message).await) });
        sent.await.map_err(|error| error.with_delivered(Delivered::Unknown))??.into_result()
    }

    /// Gives the request back without an answer (§3.4.4): a queue delivers it again, and a caller whose link ends here
    /// learns that it was not taken.
    ///
    /// # Errors
    ///
    /// If the link has ended.
    pub fn release(self) -> Result<(), Error> {
        self.delivery.release()
    }

    /// Refuses the request without an answer (§3.4.3). A caller whose link ends here learns the reason. Behind a
    /// broker, the request is a dead letter, and its caller waits in vain: answer it with the error instead.
    ///
    /// # Errors
    ///
    /// If the link has ended.
    pub fn reject(self, error: impl Into<Option<AmqpError>>) -> Result<(), Error> {
        self.delivery.reject(error)
    }
}
