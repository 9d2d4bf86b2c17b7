//! Direct methods: calls that wait for their device, and the device's answers.

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::clock::UnixMillis;
use super::ids::{ConsumerId, IdentityId};
use super::random::LockToken;
use super::service_error::{ErrorCode, ServiceError};
use super::{Hub, Wake};

/// Most octets of the payload of a call or an answer, as JSON text.
pub const MAX_METHOD_PAYLOAD: usize = 128 * 1024;

/// Most octets of the name of a method.
pub const MAX_METHOD_NAME: usize = 100;

/// Most calls that wait for one device or module.
pub const MAX_IN_FLIGHT_METHODS: usize = 100;

/// Most calls that wait in the whole hub.
const MAX_WAITING_CALLS: usize = 10_000;

/// Names one call: the correlation-id of its request and its answer, a UUID of version 4.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MethodCallId(LockToken);

impl MethodCallId {
    /// From the octets of a UUID.
    #[must_use]
    pub fn from_octets(octets: [u8; 16]) -> Self {
        Self(LockToken(octets))
    }

    /// From the text of a UUID. `None` if it is not one.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    /// The octets of the UUID.
    #[must_use]
    pub fn as_octets(&self) -> &[u8; 16] {
        self.0.as_octets()
    }
}

impl fmt::Debug for MethodCallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for MethodCallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A call of a method, as the service makes it.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodInvocation {
    /// The device or module that is called.
    pub id: IdentityId,
    /// The name of the method.
    pub name: String,
    /// What it is called with.
    pub payload: Value,
    /// How long the device may take to answer. Begins when it can be called.
    pub response_timeout: Duration,
    /// How long the call waits for a device that cannot be called yet.
    pub connect_timeout: Duration,
}

impl MethodInvocation {
    /// A call with a response time-out of 30 s, and without waiting for the device.
    #[must_use]
    pub fn new(id: impl Into<IdentityId>, name: impl Into<String>, payload: Value) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            payload,
            response_timeout: Duration::from_secs(30),
            connect_timeout: Duration::ZERO,
        }
    }
}

/// A call, as the device gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodRequest {
    /// Which call the answer is for.
    pub call: MethodCallId,
    /// The name of the method.
    pub name: Arc<str>,
    /// JSON text.
    pub payload: Bytes,
}

/// What the device has answered.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodAnswer {
    /// The status that the device's handler gave.
    pub status: i32,
    /// The payload; null if the device sent none.
    pub payload: Value,
}

#[derive(Debug)]
enum State {
    /// The device cannot be called.
    Connecting,
    /// The device can be called, and has not been given the call yet.
    Queued,
    /// The device has it, on the link of this consumer.
    Sent(ConsumerId),
    Done(Result<MethodAnswer, ServiceError>),
}

#[derive(Debug)]
struct Call {
    id: IdentityId,
    request: MethodRequest,
    state: State,
    /// When the call gives up connecting.
    connect_by: UnixMillis,
    response_timeout: Duration,
    /// When the present wait is over.
    deadline: UnixMillis,
}

#[derive(Debug, Default)]
struct Target {
    /// The links on which it takes calls; the newest is last.
    links: Vec<ConsumerId>,
    /// Calls that it has not been given, in order.
    waiting: VecDeque<MethodCallId>,
    /// Calls that are not done.
    in_flight: usize,
}

/// All calls of a hub.
#[derive(Debug, Default)]
pub(super) struct Methods {
    calls: BTreeMap<MethodCallId, Call>,
    targets: BTreeMap<IdentityId, Target>,
    deadlines: BTreeSet<(UnixMillis, MethodCallId)>,
}

impl Methods {
    pub(super) fn next_deadline(&self) -> Option<UnixMillis> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    fn finish(&mut self, call: MethodCallId, result: Result<MethodAnswer, ServiceError>) -> Option<Wake> {
        let found = self.calls.get_mut(&call)?;
        if matches!(found.state, State::Done(_)) {
            return None;
        }
        self.deadlines.remove(&(found.deadline, call));
        found.state = State::Done(result);
        let id = found.id.clone();
        self.leave(&id, call);
        Some(Wake::Method(call))
    }

    /// Takes a call that is over out of its target.
    fn leave(&mut self, id: &IdentityId, call: MethodCallId) {
        if let Some(target) = self.targets.get_mut(id) {
            target.in_flight = target.in_flight.saturating_sub(1);
            target.waiting.retain(|waiting| *waiting != call);
        }
        self.tidy(id);
    }

    fn tidy(&mut self, id: &IdentityId) {
        if self.targets.get(id).is_some_and(|target| target.links.is_empty() && target.in_flight == 0) {
            self.targets.remove(id);
        }
    }

    /// Begins another wait of a call.
    fn enter(&mut self, call: MethodCallId, state: State, deadline: UnixMillis) {
        if let Some(found) = self.calls.get_mut(&call) {
            self.deadlines.remove(&(found.deadline, call));
            self.deadlines.insert((deadline, call));
            (found.state, found.deadline) = (state, deadline);
        }
    }
}

fn not_online() -> ServiceError {
    ServiceError::new(ErrorCode::DeviceNotOnline, "Timed out waiting for device to connect.")
}

impl Hub {
    /// Begins a call of a direct method. [`Hub::take_method_outcome`] gives its outcome, when [`Wake::Method`] has been
    /// given out; a caller that no longer wants it says so with [`Hub::cancel_method`].
    ///
    /// # Errors
    /// *DeviceNotFound*, *ModuleNotFound*, *DeviceNotOnline* without a connect time-out, *MessageTooLarge*,
    /// *ArgumentInvalid*, *DeviceMaximumInflightMethodExceeded*, *ThrottlingException*.
    pub fn invoke_method(
        &mut self,
        now: UnixMillis,
        invocation: MethodInvocation,
    ) -> Result<MethodCallId, ServiceError> {
        let MethodInvocation { id, name, payload, response_timeout, connect_timeout } = invocation;
        self.registry.find(&id)?;
        if self.registry.device(&id.device).is_none_or(|device| !device.is_enabled()) {
            let text = format!("device {} is disabled", id.device);
            return Err(ServiceError::new(ErrorCode::DeviceNotFound, text));
        }
        if name.is_empty() || name.len() > MAX_METHOD_NAME {
            let text = format!("the name of a method has 1 to {MAX_METHOD_NAME} octets");
            return Err(ServiceError::new(ErrorCode::ArgumentInvalid, text));
        }
        let payload = payload.to_string();
        if payload.len() > MAX_METHOD_PAYLOAD {
            let text = format!("the payload has {} octets, at most {MAX_METHOD_PAYLOAD} are allowed", payload.len());
            return Err(ServiceError::new(ErrorCode::MessageTooLarge, text));
        }
        let target = self.methods.targets.get(&id);
        let open = target.is_some_and(|target| !target.links.is_empty());
        if target.is_some_and(|target| target.in_flight >= MAX_IN_FLIGHT_METHODS) {
            let text = format!("{id} has {MAX_IN_FLIGHT_METHODS} calls in flight, which is the most");
            return Err(ServiceError::new(ErrorCode::DeviceMaximumInflightMethodExceeded, text));
        }
        if self.methods.calls.len() >= MAX_WAITING_CALLS {
            let text = format!("{MAX_WAITING_CALLS} calls of methods are in flight, which is the most");
            return Err(ServiceError::new(ErrorCode::ThrottlingException, text));
        }
        if !open && connect_timeout.is_zero() {
            return Err(not_online());
        }
        let call = MethodCallId(self.random.lock_token());
        let connect_by = now.after(connect_timeout);
        let (state, deadline) =
            if open { (State::Queued, now.after(response_timeout)) } else { (State::Connecting, connect_by) };
        let request = MethodRequest { call, name: name.into(), payload: payload.into() };
        let target = self.methods.targets.entry(id.clone()).or_default();
        target.in_flight += 1;
        target.waiting.push_back(call);
        self.methods.deadlines.insert((deadline, call));
        if open {
            self.wakes.insert(Wake::Methods(id.clone()));
        }
        let entry = Call { id, request, state, connect_by, response_timeout, deadline };
        self.methods.calls.insert(call, entry);
        Ok(call)
    }

    /// The outcome of a call, once. `None`: it is not over, or there is no such call.
    pub fn take_method_outcome(
        &mut self,
        now: UnixMillis,
        call: MethodCallId,
    ) -> Option<Result<MethodAnswer, ServiceError>> {
        self.expire_methods(now);
        match self.methods.calls.get(&call)?.state {
            State::Done(_) => match self.methods.calls.remove(&call)?.state {
                State::Done(result) => Some(result),
                _ => None,
            },
            _ => None,
        }
    }

    /// Forgets a call. The device's answer, if there will be one, is dropped.
    pub fn cancel_method(&mut self, call: MethodCallId) {
        if let Some(cancelled) = self.methods.calls.remove(&call)
            && !matches!(cancelled.state, State::Done(_))
        {
            self.methods.deadlines.remove(&(cancelled.deadline, call));
            self.methods.leave(&cancelled.id, call);
        }
    }

    /// A device or module takes calls on a link from now on. Calls that wait for it are queued for
    /// [`Hub::take_method`], and their response time-outs begin.
    pub fn open_methods(&mut self, now: UnixMillis, id: &IdentityId, consumer: ConsumerId) {
        self.expire_methods(now);
        if self.registry.get(id).is_none() {
            return;
        }
        let target = self.methods.targets.entry(id.clone()).or_default();
        target.links.push(consumer);
        for call in target.waiting.clone() {
            let connecting = self.methods.calls.get(&call).filter(|call| matches!(call.state, State::Connecting));
            if let Some(timeout) = connecting.map(|call| call.response_timeout) {
                self.methods.enter(call, State::Queued, now.after(timeout));
            }
        }
        self.wakes.insert(Wake::Methods(id.clone()));
    }

    /// The link of `consumer` takes no more calls. Those that it was given fail with *DeviceConnectionClosedRemotely*;
    /// those that no device has been given wait for one as long as their connect time-outs say.
    pub fn close_methods(&mut self, now: UnixMillis, id: &IdentityId, consumer: ConsumerId) {
        self.expire_methods(now);
        let Some(target) = self.methods.targets.get_mut(id) else { return };
        target.links.retain(|link| *link != consumer);
        let waiting = if target.links.is_empty() { target.waiting.clone() } else { VecDeque::new() };
        let given = self
            .methods
            .calls
            .iter()
            .filter(|(_, call)| matches!(call.state, State::Sent(link) if link == consumer) && call.id == *id);
        let mut gone: Vec<MethodCallId> = given.map(|(call, _)| *call).collect();
        for call in waiting {
            match self.methods.calls.get(&call).map(|call| call.connect_by) {
                Some(connect_by) if connect_by > now => self.methods.enter(call, State::Connecting, connect_by),
                _ => gone.push(call),
            }
        }
        for call in gone {
            let error = ServiceError::new(
                ErrorCode::DeviceConnectionClosedRemotely,
                "Device unavailable: its connection was closed while its answer was awaited.",
            );
            self.wakes.extend(self.methods.finish(call, Err(error)));
        }
        self.methods.tidy(id);
    }

    /// The next call for the link of `consumer`. `None`: wait for [`Wake::Methods`].
    pub fn take_method(&mut self, now: UnixMillis, id: &IdentityId, consumer: ConsumerId) -> Option<MethodRequest> {
        self.expire_methods(now);
        let target = self.methods.targets.get_mut(id).filter(|target| target.links.contains(&consumer))?;
        let call = target.waiting.pop_front()?;
        let found = self.methods.calls.get_mut(&call)?;
        found.state = State::Sent(consumer);
        Some(found.request.clone())
    }

    /// A call that was taken could not be sent: it is the next one again.
    pub fn give_back_method(&mut self, call: MethodCallId) {
        let Some(found) = self.methods.calls.get_mut(&call) else { return };
        if matches!(found.state, State::Sent(_))
            && let Some(target) = self.methods.targets.get_mut(&found.id)
        {
            found.state = State::Queued;
            target.waiting.push_front(call);
            self.wakes.insert(Wake::Methods(found.id.clone()));
        }
    }

    /// The device's answer to a call; `status` is `None` where the answer has none. `false`: nothing waits for it, so it is
    /// dropped.
    pub fn answer_method(
        &mut self,
        now: UnixMillis,
        id: &IdentityId,
        call: MethodCallId,
        status: Option<i32>,
        payload: &[u8],
    ) -> bool {
        self.expire_methods(now);
        self.touched(now, id);
        let waits = |call: &&Call| call.id == *id && matches!(call.state, State::Sent(_));
        if self.methods.calls.get(&call).filter(waits).is_none() {
            return false;
        }
        let result = answer(status, payload).map_err(|text| ServiceError::new(ErrorCode::BadDeviceResponse, text));
        self.wakes.extend(self.methods.finish(call, result));
        true
    }

    /// Ends the calls of an identity that is removed.
    pub(super) fn forget_methods(&mut self, id: &IdentityId) {
        let calls: Vec<MethodCallId> =
            self.methods.calls.iter().filter(|(_, call)| call.id == *id).map(|(call, _)| *call).collect();
        for call in calls {
            let error = ServiceError::new(ErrorCode::DeviceNotFound, id.to_string());
            self.wakes.extend(self.methods.finish(call, Err(error)));
        }
        self.methods.targets.remove(id);
    }

    /// Ends the calls whose time is over.
    pub(super) fn expire_methods(&mut self, now: UnixMillis) {
        while let Some(due) = self.methods.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            self.methods.deadlines.remove(&due);
            let call = due.1;
            let connecting = self.methods.calls.get(&call).is_some_and(|call| matches!(call.state, State::Connecting));
            let error = if connecting {
                not_online()
            } else {
                ServiceError::new(ErrorCode::GatewayTimeout, "Timed out waiting for the response from device.")
            };
            self.wakes.extend(self.methods.finish(call, Err(error)));
        }
    }
}

fn answer(status: Option<i32>, payload: &[u8]) -> Result<MethodAnswer, &'static str> {
    let status = status.ok_or("the device's answer has no status")?;
    if payload.len() > MAX_METHOD_PAYLOAD {
        return Err("the device's answer is too large");
    }
    if payload.is_empty() {
        return Ok(MethodAnswer { status, payload: Value::Null });
    }
    // The error of the parser may quote what it has read.
    let payload = serde_json::from_slice(payload).map_err(|_| "the device's answer is not JSON")?;
    Ok(MethodAnswer { status, payload })
}

#[cfg(test)]
mod tests;
