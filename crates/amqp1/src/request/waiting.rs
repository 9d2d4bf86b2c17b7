//! Who waits for which answer.

use crate::types::error::{Delivered, Error};
use amqp1_codec::{Message, Str, messaging::MessageId};
use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};
use tokio::sync::oneshot;

/// Messages that answered no request, since the links were attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Strays {
    /// Answers to requests that are over: given up, cancelled, or answered before.
    pub late: u64,
    /// Messages that answer no request that was ever made here.
    pub unasked: u64,
}

/// How requests are named.
#[derive(Clone, Debug, Default)]
pub(super) enum Naming {
    /// By numbers from 0, where answers come that no other requester is sent.
    #[default]
    Numbers,
    /// By texts that begin with this one, which no other requester has.
    Texts(Str),
}

impl Naming {
    fn name(&self, number: u64) -> MessageId {
        match self {
            Self::Numbers => MessageId::Ulong(number),
            Self::Texts(first) => MessageId::String(format!("{first}.{number}").into()),
        }
    }

    /// The number in a name. An id of another type is another id.
    fn number(&self, name: &MessageId) -> Option<u64> {
        match (self, name) {
            (Self::Numbers, MessageId::Ulong(number)) => Some(*number),
            (Self::Texts(first), MessageId::String(text)) => {
                let digits = text.strip_prefix(first.as_str())?.strip_prefix('.')?;
                digits.parse().ok().filter(|number| self.name(*number) == *name)
            }
            _ => None,
        }
    }
}

type Answer = Result<Message, Error>;

#[derive(Debug, Default)]
struct Rows {
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    next: u64,
    strays: Strays,
    /// Why nothing will be answered any more.
    over: Option<Error>,
}

/// The requests of a pair of links that wait for their answers.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    naming: Naming,
    rows: Mutex<Rows>,
}

impl Waiting {
    pub(super) fn new(naming: Naming) -> Self {
        Self { naming, rows: Mutex::default() }
    }

    // Nothing can panic halfway through a change, and no task is woken under this lock.
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more, under a number that no other request of these links has.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Place, Error> {
        let (give, take) = oneshot::channel();
        let mut rows = self.rows();
        if let Some(error) = &rows.over {
            return Err(error.clone());
        }
        let number = rows.next;
        rows.next = rows.next.wrapping_add(1);
        rows.waiting.insert(number, give);
        Ok(Place { waiting: self.clone(), number, take })
    }

    /// Gives a message to the one who waits for it, or counts it; whether somebody waited.
    pub(super) fn answer(&self, message: Message) -> bool {
        // An id that cannot be read is of no request.
        let number = correlation(&message).and_then(|id| self.naming.number(&id));
        let give = {
            let mut rows = self.rows();
            let give = number.and_then(|number| rows.waiting.remove(&number));
            match number {
                _ if give.is_some() => {}
                Some(number) if number < rows.next => rows.strays.late = rows.strays.late.saturating_add(1),
                _ => rows.strays.unasked = rows.strays.unasked.saturating_add(1),
            }
            give
        };
        give.is_some_and(|give| give.send(Ok(message)).is_ok())
    }

    /// Fails all who wait and all who come.
    pub(super) fn end(&self, error: &Error) {
        let (waiting, error) = {
            let mut rows = self.rows();
            let error = rows.over.get_or_insert_with(|| error.clone()).clone();
            (std::mem::take(&mut rows.waiting), error)
        };
        for give in waiting.into_values() {
            let _ = give.send(Err(error.clone()));
        }
    }

    /// Why nothing is answered any more, if so.
    pub(super) fn over(&self) -> Option<Error> {
        self.rows().over.clone()
    }

    pub(super) fn strays(&self) -> Strays {
        self.rows().strays
    }

    pub(super) fn count(&self) -> usize {
        self.rows().waiting.len()
    }
}

fn correlation(message: &Message) -> Option<MessageId> {
    Some(message.properties_ref().ok()??.correlation_id().ok()??.to_owned())
}

/// A place among those who wait, given up when it is dropped: a future of the answer.
#[derive(Debug)]
pub(super) struct Place {
    waiting: Arc<Waiting>,
    number: u64,
    take: oneshot::Receiver<Answer>,
}

impl Place {
    /// The message-id of the request.
    pub(super) fn message_id(&self) -> MessageId {
        self.waiting.naming.name(self.number)
    }
}

impl Future for Place {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let answer = ready!(Pin::new(&mut self.take).poll(cx));
        let lost = |_| Err(Error::internal("the answer was asked for again").with_delivered(Delivered::Unknown));
        Poll::Ready(answer.unwrap_or_else(lost))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let give = self.waiting.rows().waiting.remove(&self.number);
        // Its content is dropped when the lock is released.
        drop(give);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_codec::{Uuid, messaging::Properties};

    fn answer_to(id: impl Into<MessageId>) -> Message {
        let properties = Properties { correlation_id: Some(id.into()), ..Properties::default() };
        Message::from_chunks(Message::builder().properties(properties).data("x").build().into_parts())
            .expect("sections")
    }

    #[test]
    fn an_answer_finds_its_request_by_number_and_type_only() {
        let waiting = Arc::new(Waiting::default());
        let place = waiting.enter().expect("nothing has ended");
        assert_eq!(place.message_id(), MessageId::Ulong(0));
        for other in ["0".into(), MessageId::Binary(vec![0].into()), Uuid([0; 16]).into(), MessageId::Ulong(1)] {
            assert!(!waiting.answer(answer_to(other)));
        }
        assert_eq!(waiting.strays(), Strays { late: 0, unasked: 4 });
        assert!(waiting.answer(answer_to(0)));
        assert!(!waiting.answer(answer_to(0)), "once");
        assert_eq!(waiting.strays(), Strays { late: 1, unasked: 4 });
    }

    #[test]
    fn answers_of_another_requester_of_the_queue_are_not_taken() {
        let waiting = Arc::new(Waiting::new(Naming::Texts("request-1a".into())));
        let place = waiting.enter().expect("nothing has ended");
        assert_eq!(place.message_id(), MessageId::from("request-1a.0"));
        for other in ["request-1b.0", "request-1a.", "request-1a.00", "request-1a.+0", "request-1a.1", "0"] {
            assert!(!waiting.answer(answer_to(other)), "{other}");
        }
        assert!(!waiting.answer(answer_to(0)));
        assert_eq!(waiting.strays(), Strays { late: 0, unasked: 7 });
        assert!(waiting.answer(answer_to("request-1a.0")));
    }

    #[test]
    fn those_who_leave_are_forgotten_and_those_who_come_too_late_are_told() {
        let waiting = Arc::new(Waiting::default());
        drop(waiting.enter().expect("nothing has ended"));
        assert_eq!(waiting.count(), 0);
        let mut place = waiting.enter().expect("nothing has ended");
        waiting.end(&Error::internal("first"));
        waiting.end(&Error::internal("second"));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(Err(error)) = Pin::new(&mut place).poll(&mut cx) else { panic!("told at once") };
        assert_eq!(error.to_string(), "first");
        assert_eq!(waiting.enter().expect_err("over").to_string(), "first");
    }
}
