//! The two links of a twin: requests go out on one, answers and notifications come on the other.

use super::{
    super::links::{Identity, Subscription},
    notified,
    tracker::Notification,
};
use crate::{
    connect::Hub,
    error::{Error, ErrorKind, Subject},
    random::uuid,
};
use amqp1::{
    Delivered, Message, Permit, Receiver, Sender, Symbol, Value,
    message::{EncodedMessage, MessageId, Properties},
};
use bytes::Bytes;
use std::{
    collections::HashMap,
    convert::Infallible,
    future::pending,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    sync::{Notify, broadcast, oneshot},
    task::AbortHandle,
};

/// Notifications that wait for an application; what comes when they are more is made up for by reading the twin.
const MAX_NOTIFICATIONS: usize = 64;

/// Requests whose answers may be waited for at a time.
const MAX_REQUESTS: usize = 1000;

const CREDIT: u32 = 50;

const REPORTED: &str = "/properties/reported";
const DESIRED: &str = "/notifications/twin/properties/desired";

/// What is asked of the hub.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operation {
    Read,
    Report { version: Option<i64>, patch: String },
    Subscribe,
    Unsubscribe,
}

impl Operation {
    fn encode(self, id: &str) -> EncodedMessage {
        let (operation, resource, version, body) = match self {
            Self::Read => ("GET", None, None, " ".to_owned()),
            Self::Report { version, patch } => ("PATCH", Some(REPORTED), version, patch),
            Self::Subscribe => ("PUT", Some(DESIRED), None, " ".to_owned()),
            Self::Unsubscribe => ("DELETE", Some(DESIRED), None, " ".to_owned()),
        };
        let correlation_id = Some(MessageId::from(id));
        let mut builder = Message::builder()
            .properties(Properties { correlation_id, ..Properties::default() })
            .message_annotation(Symbol::from_static("operation"), operation);
        if let Some(resource) = resource {
            builder = builder.message_annotation(Symbol::from_static("resource"), resource);
        }
        if let Some(version) = version {
            // An int where it fits, as others send it.
            let version = i32::try_from(version).map_or(Value::Long(version), Value::Int);
            builder = builder.message_annotation(Symbol::from_static("version"), version);
        }
        builder.data(body).build()
    }

    const fn changes_something(&self) -> bool {
        matches!(self, Self::Report { .. })
    }
}

/// What the hub has answered.
#[derive(Debug)]
pub(super) struct Answer {
    status: i32,
    pub(super) version: Option<i64>,
    pub(super) body: Bytes,
}

impl Answer {
    /// What stands for the answer to a request that was not sent.
    fn nothing() -> Self {
        Self { status: 200, version: None, body: Bytes::new() }
    }

    fn parse(message: &Message) -> Self {
        let integer = |name: &str| {
            let annotation = message.message_annotation(name).ok().flatten()?;
            let value = annotation.to_value().ok()?;
            value.as_integer().or_else(|| value.as_text()?.parse().ok())
        };
        let body = message.data().unwrap_or_default();
        Self {
            // An answer without a status is one without an error.
            status: integer("status").and_then(|status| i32::try_from(status).ok()).unwrap_or(200),
            version: integer("version").and_then(|version| i64::try_from(version).ok()),
            body,
        }
    }

    fn into_result(self) -> Result<Self, Error> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let text = match serde_json::from_slice::<serde_json::Value>(&self.body) {
            Ok(json) => {
                json.get("message").or_else(|| json.get("Message")).and_then(|text| text.as_str().map(str::to_owned))
            }
            Err(_) => std::str::from_utf8(&self.body).ok().map(str::to_owned),
        };
        Err(Subject::Device.status(self.status, text.as_deref()).about(Delivered::No))
    }
}

#[derive(Debug, Default)]
struct Rows {
    waiting: HashMap<String, oneshot::Sender<Answer>>,
    /// `None` when the links have ended.
    notifications: Option<broadcast::Sender<Arc<Notification>>>,
    /// Whether the hub was asked for notifications, and not asked to stop since.
    subscribed: bool,
    /// Why the links have ended, if it was for an error.
    ended: Option<Error>,
}

impl Rows {
    /// Whether the hub sends notifications that are not watched.
    fn is_unwatched(&self) -> bool {
        let watches = self.notifications.as_ref().map(broadcast::Sender::receiver_count);
        self.subscribed && watches == Some(0)
    }

    /// Sends a request; `None` if it is not wanted any more. Under the lock, so that no subscription of a new watch is
    /// sent before an unsubscription that was decided on without it.
    fn send(&mut self, permit: Permit, operation: Operation, id: &str) -> Option<Result<(), amqp1::Error>> {
        match operation {
            Operation::Subscribe => self.subscribed = true,
            Operation::Unsubscribe if !self.is_unwatched() => return None,
            Operation::Unsubscribe => self.subscribed = false,
            Operation::Read | Operation::Report { .. } => {}
        }
        // It is sent settled: its receipt says nothing.
        Some(permit.send(operation.encode(id)).map(drop))
    }
}

#[derive(Debug, Default)]
struct Shared {
    rows: Mutex<Rows>,
    /// Raised when a watch has ended.
    unwatched: Notify,
}

impl Shared {
    // Nothing can panic halfway through a change.
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, error: Option<Error>) {
        let (waiting, notifications) = {
            let mut rows = self.rows();
            rows.ended = rows.ended.take().or(error);
            (std::mem::take(&mut rows.waiting), rows.notifications.take())
        };
        // Those who wait learn it by this.
        drop((waiting, notifications));
    }
}

/// The links, and who waits for what comes on them.
#[derive(Debug)]
pub(super) struct Links {
    sender: Sender,
    hub: Arc<Hub>,
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Links {
    pub(super) async fn attach(hub: Arc<Hub>, identity: &Identity) -> Result<Self, Error> {
        let (sender, receiver) = Subscription::Twin.attach_pair(&hub, identity, CREDIT).await?;
        let shared = Arc::new(Shared::default());
        shared.rows().notifications = Some(broadcast::channel(MAX_NOTIFICATIONS).0);
        let task = tokio::spawn(serve(receiver, sender.clone(), hub.clone(), Ending(shared.clone())));
        Ok(Self { sender, hub, shared, task: task.abort_handle() })
    }

    pub(super) fn is_over(&self) -> bool {
        self.shared.rows().notifications.is_none()
    }

    /// Why the links have ended, if it was for an error.
    pub(super) fn ended(&self) -> Option<Error> {
        self.shared.rows().ended.clone()
    }

    pub(super) fn notifications(&self) -> Result<broadcast::Receiver<Arc<Notification>>, Error> {
        let rows = self.shared.rows();
        let notifications = rows.notifications.as_ref().map(broadcast::Sender::subscribe);
        notifications.ok_or_else(|| self.over(rows.ended.clone()))
    }

    fn over(&self, ended: Option<Error>) -> Error {
        ended.unwrap_or_else(|| {
            Error::new(ErrorKind::ConnectionLost, "the connection to the hub was lost: the hub has detached the twin")
        })
    }

    /// Has the hub asked to send no more notifications, unless there is a watch. Does not wait.
    pub(super) fn unwatched(&self) {
        if self.shared.rows().is_unwatched() {
            self.shared.unwatched.notify_one();
        }
    }

    /// Asks, and waits for the answer. While there is a watch, the hub is not asked to stop notifying.
    pub(super) async fn ask(&self, operation: Operation) -> Result<Answer, Error> {
        self.hub.check()?;
        let id = uuid().to_string();
        let (give, take) = oneshot::channel();
        {
            let mut rows = self.shared.rows();
            if rows.notifications.is_none() {
                return Err(self.over(rows.ended.clone()).about(Delivered::No));
            }
            if rows.waiting.len() >= MAX_REQUESTS {
                return Err(Error::new(ErrorKind::Throttled, "too many requests wait for their answers: send fewer"));
            }
            rows.waiting.insert(id.clone(), give);
        }
        let _place = Place { shared: &self.shared, id: &id };
        let unsubscribes = operation == Operation::Unsubscribe;
        let delivered = if operation.changes_something() { Delivered::Unknown } else { Delivered::No };
        let asking = async {
            let permit = self.sender.reserve().await.map_err(|error| self.hub.error(error))?;
            match self.shared.rows().send(permit, operation, &id) {
                Some(sent) => sent.map_err(|error| self.hub.error(error))?,
                None => return Ok(Answer::nothing()),
            }
            take.await.map_err(|_| self.over(self.ended()).about(delivered))
        };
        let answer = tokio::time::timeout(self.hub.operation_timeout(), asking).await;
        let late = || Error::new(ErrorKind::Timeout, "the hub did not answer in time").about(delivered);
        let answer = answer.unwrap_or_else(|_| Err(late())).and_then(Answer::into_result);
        if unsubscribes && answer.is_err() {
            // The hub may notify on: the watch asks once more when it is dropped.
            self.shared.rows().subscribed = true;
        }
        answer
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A place among those who wait, given up when it is dropped.
struct Place<'a> {
    shared: &'a Shared,
    id: &'a str,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.rows().waiting.remove(self.id);
    }
}

/// Ends what waits, however the task ends.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end(None);
    }
}

/// Hands out what comes until a link ends.
async fn serve(mut receiver: Receiver, sender: Sender, hub: Arc<Hub>, ending: Ending) {
    let shared = &ending.0;
    let mut unsubscribing = pin!(unsubscribe(shared, &sender));
    let ended = loop {
        let delivery = tokio::select! {
            biased;
            next = receiver.recv() => next,
            never = &mut unsubscribing => match never {},
            // Without the link for requests nothing is answered.
            detached = sender.detached() => break Some(hub.error(detached.to_error())),
        };
        let delivery = match delivery {
            Ok(Some(delivery)) => delivery,
            Ok(None) => break hub.check().err(),
            Err(error) => break Some(hub.error(error)),
        };
        hand_out(shared, delivery.message());
        if !delivery.is_settled()
            && let Err(error) = delivery.accept()
        {
            tracing::debug!(%error, "what the hub said of a twin was not accepted");
        }
    };
    shared.end(ended);
}

/// Asks the hub to send no more notifications when the last watch was dropped. The answer says nothing that matters.
async fn unsubscribe(shared: &Shared, sender: &Sender) -> Infallible {
    loop {
        shared.unwatched.notified().await;
        match sender.reserve().await {
            Ok(permit) => {
                let sent = shared.rows().send(permit, Operation::Unsubscribe, &uuid().to_string());
                if let Some(Err(error)) = sent {
                    tracing::debug!(%error, "the hub was not asked to stop notifying");
                }
            }
            // With the link, the subscription has ended.
            Err(_) => return pending().await,
        }
    }
}

fn hand_out(shared: &Shared, message: &Message) {
    let properties = message.properties_ref().ok().flatten().map(|properties| properties.readable());
    match properties.and_then(|properties| properties.correlation_id) {
        // By its text: a uuid is the same in either type.
        Some(id) => {
            let give = shared.rows().waiting.remove(&id.to_string());
            if give.is_none_or(|give| give.send(Answer::parse(message)).is_err()) {
                tracing::debug!("an answer about the twin came too late");
            }
        }
        None => {
            let Answer { version, body, .. } = Answer::parse(message);
            let notification = match notified(&body, version) {
                Some((values, version)) => Notification { values, version },
                // Something has changed: those who watch read it.
                None => Notification { values: serde_json::Map::new(), version: None },
            };
            let rows = shared.rows();
            if let Some(notifications) = &rows.notifications
                && notifications.send(Arc::new(notification)).is_err()
            {
                tracing::trace!("a change of desired properties, which are not watched");
            }
        }
    }
}
