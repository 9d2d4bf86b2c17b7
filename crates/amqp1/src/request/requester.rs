//! The asking end.

use super::{
    Request,
    waiting::{Naming, Place, Strays, Waiting},
};
use crate::{
    handle::{counted::LinkHandle, permit::Receipt, receiver::Receiver, sender::Sender},
    types::{
        detached::Detached,
        error::{Delivered, Error, ErrorKind, Retry},
        options::SendOptions,
    },
};
use amqp1_codec::{EncodedMessage, Message, Str, messaging::MessageId};
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::task::AbortHandle;

/// The caller's end of requests and answers: a link to a node, and one for its answers. Many requests may be in flight,
/// and answers may come in any order. Clones are handles of the same links; when the last is dropped, the links are closed.
///
/// A message that answers no waiting request is accepted, counted ([`strays`](Self::strays)) and logged.
#[derive(Clone, Debug)]
pub struct Requester {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    sender: Sender,
    receiver: Arc<LinkHandle>,
    reply_to: Option<Str>,
    waiting: Arc<Waiting>,
    timeout: Duration,
    task: AbortHandle,
}

impl Requester {
    pub(super) fn start(
        sender: Sender,
        receiver: Receiver,
        reply_to: Option<Str>,
        naming: Naming,
        timeout: Duration,
    ) -> Self {
        let waiting = Arc::new(Waiting::new(naming));
        let handle = receiver.handle().clone();
        let detached = sender.detached();
        // Not in the task, so that it speaks even if the task is never polled.
        let epitaph = Epitaph(waiting.clone());
        let task = tokio::spawn(async move {
            let error = serve(receiver, detached, &epitaph.0).await;
            epitaph.0.end(&error);
        });
        let inner = Inner { sender, receiver: handle, reply_to, waiting, timeout, task: task.abort_handle() };
        Self { inner: Arc::new(inner) }
    }

    /// Sends a request and waits for its answer: a [`MessageBuilder`](crate::MessageBuilder), or a
    /// [`Request`](crate::request::Request) with a time-out of its own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`] if no answer comes in time; why the node did not take the request; or why its links or the
    /// connection have ended. [`Error::delivered`] says whether the node has the request: `No` if it was not sent or
    /// was given back, `Yes` if the node had accepted it, `Unknown` if it was sent and nothing was heard of it.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing waits for the answer any more; the request may have been sent.
    pub async fn request(&self, request: impl Into<Request>) -> Result<Message, Error> {
        let Request { mut message, timeout } = request.into();
        let encode = |message_id: &MessageId, reply_to: Option<&Str>| {
            let properties = message.properties_mut();
            properties.message_id = Some(message_id.clone());
            properties.reply_to = reply_to.cloned();
            // Many nodes would answer to this instead.
            properties.correlation_id = None;
            message.build()
        };
        self.request_with(timeout.unwrap_or(self.inner.timeout), encode).await
    }

    /// As [`request`](Self::request), for requests that are encoded elsewhere. `encode` is given the message-id and the
    /// reply-to that the request has to have; `timeout` bounds sending and the wait for the answer together.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    ///
    /// # Cancel safety
    ///
    /// As [`request`](Self::request).
    pub async fn request_with(
        &self,
        timeout: Duration,
        encode: impl FnOnce(&MessageId, Option<&Str>) -> EncodedMessage,
    ) -> Result<Message, Error> {
        let mut place = self.inner.waiting.enter()?;
        let message = encode(&place.message_id(), self.inner.reply_to.as_ref());
        let mut delivered = Delivered::No;
        let exchange = self.exchange(message, &mut place, &mut delivered);
        match tokio::time::timeout(timeout, exchange).await {
            Ok(answer) => answer,
            Err(_) => {
                let error = Error::timeout("waiting for the answer to a request", timeout).with_delivered(delivered);
                // A peer that was silent for longer than any operation may take is not there any more.
                let silence = self.inner.receiver.shared.silence();
                let dead = silence >= timeout.max(self.inner.receiver.timeout());
                Err(error.with_retry(if dead { Retry::ReopenConnection } else { Retry::Now }))
            }
        }
    }

    async fn exchange(
        &self,
        message: EncodedMessage,
        place: &mut Place,
        delivered: &mut Delivered,
    ) -> Result<Message, Error> {
        let mut receipt = {
            let mut queued = pin!(self.inner.sender.queue(message, SendOptions::default(), None));
            // That the answers' link has gone is known at once, even where there is no credit.
            poll_fn(|cx| match Pin::new(&mut *place).poll(cx) {
                Poll::Ready(answer) => Poll::Ready(answer.and_then(|_| Err(early()))),
                Poll::Pending => queued.as_mut().poll(cx),
            })
            .await
            .map(Some)?
        };
        *delivered = Delivered::Unknown;
        poll_fn(|cx| {
            let answer = Pin::new(&mut *place).poll(cx);
            if !matches!(answer, Poll::Ready(Ok(_))) {
                if let Poll::Ready(Err(error)) = poll_receipt(&mut receipt, delivered, cx) {
                    return Poll::Ready(Err(error));
                }
            }
            answer.map_err(|error| error.with_delivered(*delivered))
        })
        .await
    }

    /// Where answers are sent to, as requests say it; `None` if they do not say.
    pub fn reply_to(&self) -> Option<&Str> {
        self.inner.reply_to.as_ref()
    }

    /// How many requests wait for their answers now.
    pub fn waiting(&self) -> usize {
        self.inner.waiting.count()
    }

    /// Messages that answered no waiting request.
    pub fn strays(&self) -> Strays {
        self.inner.waiting.strays()
    }

    /// Why no request is answered any more; `None` while the links live.
    pub fn error(&self) -> Option<Error> {
        self.inner.waiting.over()
    }

    /// Closes both links. Requests that wait for their answers fail.
    ///
    /// # Errors
    ///
    /// If the peer does not answer in time, or has detached with an error.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, a link may be left open, until the last handle is dropped.
    pub async fn close(&self) -> Result<(), Error> {
        let Inner { sender, receiver, waiting, .. } = &*self.inner;
        waiting.end(&Error::new(ErrorKind::LinkDetached, "the requester was closed"));
        let sent = sender.close().await;
        receiver.detach(true, None).await.and(sent)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Looks what became of the request. An error is the node's refusal; where nothing will be heard of it, the answer may
/// still come, or the end of the links be told.
fn poll_receipt(
    receipt: &mut Option<Receipt>,
    delivered: &mut Delivered,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    let Some(waiting) = receipt else { return Poll::Pending };
    let Poll::Ready(outcome) = Pin::new(waiting).poll(cx) else { return Poll::Pending };
    *receipt = None;
    match outcome {
        Ok(crate::Outcome::SentSettled) => Poll::Pending,
        Ok(outcome) => {
            let accepted = outcome.into_result();
            *delivered = accepted.as_ref().map_or_else(Error::delivered, |()| Delivered::Yes);
            match accepted {
                // Settled without an outcome: only the answer can say what became of it.
                Err(error) if error.kind() != ErrorKind::NoOutcome => Poll::Ready(Err(error)),
                _ => Poll::Pending,
            }
        }
        Err(error) => {
            *delivered = error.delivered();
            Poll::Pending
        }
    }
}

fn early() -> Error {
    Error::new(ErrorKind::Protocol, "the answer came before its request was sent")
}

/// Hands the answers out until a link ends. Why it did.
async fn serve(mut receiver: Receiver, detached: impl Future<Output = Detached>, waiting: &Waiting) -> Error {
    let mut detached = pin!(detached);
    loop {
        let next = {
            let mut next = pin!(receiver.recv());
            // Answers that are there are handed out, whatever became of the other link.
            poll_fn(|cx| match next.as_mut().poll(cx) {
                Poll::Ready(next) => Poll::Ready(Ok(next)),
                Poll::Pending => detached.as_mut().poll(cx).map(Err),
            })
            .await
        };
        let delivery = match next {
            Ok(Ok(Some(delivery))) => delivery,
            Ok(Ok(None)) => return Error::new(ErrorKind::LinkDetached, "the link that answers come on was detached"),
            Ok(Err(error)) => return error,
            Err(Detached { by: amqp1_engine::Cause::Connection, .. }) => {
                // The connection's own reason says more.
                return receiver.handle().failure();
            }
            Err(detached) => return detached.to_error(),
        };
        let (message, handle) = delivery.into_parts();
        if !waiting.answer(message) {
            tracing::debug!("an answer to no waiting request");
        }
        // If it cannot be settled the link has ended, which the next turn sees.
        let _ = handle.accept();
    }
}

/// Tells everyone when the task goes, for whatever reason.
struct Epitaph(Arc<Waiting>);

impl Drop for Epitaph {
    fn drop(&mut self) {
        self.0.end(&Error::internal("the task of the requester is gone"));
    }
}
