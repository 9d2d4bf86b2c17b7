//! The hub behind its lock, with all that is needed to be woken by it.

use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::clock::Clock;
use crate::hub::{
    ClientCertificate, ErrorCode, Hub, MethodAnswer, MethodCallId, MethodInvocation, Operation, ServiceError,
    UnixMillis, Wake,
};
use crate::signal::{Signal, Waiter};
use crate::x509::DeviceAuthorities;

/// What all connections of an emulator share.
pub(crate) struct Shared {
    hub: Mutex<Hub>,
    clock: Arc<dyn Clock>,
    /// Whether no tier bounds what is done.
    unbounded: bool,
    waiters: Mutex<Waiters>,
    /// Told when the hub's next deadline may have moved.
    deadline_moved: Notify,
    /// Cloud-to-device messages that are to be accepted and lost.
    drops: AtomicUsize,
    device_authorities: DeviceAuthorities,
    stop: watch::Sender<bool>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared(..)")
    }
}

/// Those who wait, by what they wait for.
#[derive(Debug, Default)]
struct Waiters {
    by_wake: HashMap<Wake, Arc<Signal>>,
    /// The number of entries at which those that nothing waits for any more are dropped.
    prune_at: usize,
}

impl Waiters {
    /// Entries that are kept without looking whether something waits.
    const FEW: usize = 1024;

    fn add(&mut self, wake: Wake) -> Waiter {
        if self.by_wake.len() >= self.prune_at.max(Self::FEW) {
            self.by_wake.retain(|_, signal| is_waited_for(signal));
            self.prune_at = self.by_wake.len() * 2;
        }
        Waiter::new(self.by_wake.entry(wake).or_default().clone())
    }
}

/// Whether anybody but the table, which is locked, has it.
fn is_waited_for(signal: &Arc<Signal>) -> bool {
    Arc::strong_count(signal) > 1
}

impl Shared {
    pub(crate) fn new(hub: Hub, clock: Arc<dyn Clock>) -> Self {
        Self {
            unbounded: hub.settings().scale.is_none(),
            hub: Mutex::new(hub),
            clock,
            waiters: Mutex::default(),
            deadline_moved: Notify::new(),
            drops: AtomicUsize::new(0),
            device_authorities: DeviceAuthorities::default(),
            stop: watch::Sender::new(false),
        }
    }

    pub(crate) fn with_device_authorities(self, device_authorities: DeviceAuthorities) -> Self {
        Self { device_authorities, ..self }
    }

    /// Reads the chain that a client has shown in TLS; `None` if it has shown none.
    pub(crate) fn client_certificate(&self, chain: Option<&[CertificateDer<'_>]>) -> Option<Arc<ClientCertificate>> {
        self.device_authorities.read(chain?, self.clock.now())
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Works on the hub, then wakes those that it concerns. `work` must be brief.
    pub(crate) fn hub<R>(&self, work: impl FnOnce(&mut Hub, UnixMillis) -> R) -> R {
        let now = self.clock.now();
        let (result, wakes, moved) = {
            let mut hub = lock(&self.hub);
            let before = hub.next_deadline();
            let result = work(&mut hub, now);
            let wakes = hub.take_wakes();
            (result, wakes, hub.next_deadline() != before)
        };
        self.wake(&wakes);
        if moved {
            self.deadline_moved.notify_one();
        }
        result
    }

    fn wake(&self, wakes: &[Wake]) {
        if wakes.is_empty() {
            return;
        }
        let woken: Vec<Arc<Signal>> = {
            let mut waiters = lock(&self.waiters);
            wakes
                .iter()
                .filter_map(|wake| {
                    let signal = waiters.by_wake.get(wake)?;
                    if is_waited_for(signal) {
                        return Some(signal.clone());
                    }
                    waiters.by_wake.remove(wake);
                    None
                })
                .collect()
        };
        for signal in woken {
            signal.raise();
        }
    }

    /// To be made before the hub is asked, so that nothing falls in between.
    pub(crate) fn waiter(&self, wake: Wake) -> Waiter {
        lock(&self.waiters).add(wake)
    }

    /// Lets time pass in the hub, until the emulator stops.
    pub(crate) async fn keep_time(&self) {
        loop {
            let deadline = self.hub(|hub, now| {
                hub.handle_timeout(now);
                hub.next_deadline()
            });
            let due = async {
                match deadline {
                    Some(at) => self.clock.sleep_until(at).await,
                    None => core::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.deadline_moved.notified() => {}
                () = self.stopping() => return,
            }
        }
    }

    /// Whether a tier bounds what is done.
    pub(crate) fn is_bounded(&self) -> bool {
        !self.unbounded
    }

    /// Counts what is a message against the day's quota, and waits until an operation of that many octets may be done. What
    /// counts when it is done is refused where the quota is used up; the rest does not count.
    pub(crate) async fn throttle(&self, operation: Operation, octets: usize) -> Result<(), ServiceError> {
        match operation {
            Operation::DeviceToCloud | Operation::CloudToDevice => self.meter(octets)?,
            Operation::Method
            | Operation::TwinRead
            | Operation::TwinUpdate
            | Operation::Query
            | Operation::FileUpload => self.check_quota()?,
            Operation::Connection | Operation::Registry => {}
        }
        self.pace(operation, octets).await
    }

    /// Whether the day's quota allows what is counted when it is done.
    pub(crate) fn check_quota(&self) -> Result<(), ServiceError> {
        if self.unbounded { Ok(()) } else { self.hub(|hub, now| hub.check_quota(now)) }
    }

    /// Counts something that was done against the day's quota; `octets` gives its size.
    pub(crate) fn charge(&self, octets: impl FnOnce() -> usize) {
        if !self.unbounded {
            self.hub(|hub, now| hub.charge(now, octets));
        }
    }

    /// Counts a message of that many octets against the day's quota.
    pub(crate) fn meter(&self, octets: usize) -> Result<(), ServiceError> {
        if self.unbounded {
            return Ok(());
        }
        self.hub(|hub, now| hub.meter(now, octets))
    }

    /// Waits until an operation of that many octets may be done. When the emulator stops, what has arrived is not held up.
    pub(crate) async fn pace(&self, operation: Operation, octets: usize) -> Result<(), ServiceError> {
        if self.unbounded || self.is_stopping() {
            return Ok(());
        }
        let (delay, now) = self.hub(|hub, now| hub.throttle(now, operation, octets).map(|delay| (delay, now)))?;
        if !delay.is_zero() {
            tokio::select! {
                () = self.clock.sleep_until(now.after(delay)) => {}
                () = self.stopping() => {}
            }
        }
        Ok(())
    }

    /// Calls a direct method, and waits for its outcome.
    ///
    /// # Cancel safety
    /// Dropping it forgets the call; the device may have been given it.
    pub(crate) async fn invoke_method(&self, invocation: MethodInvocation) -> Result<MethodAnswer, ServiceError> {
        let size = if self.unbounded { 0 } else { invocation.payload.to_string().len() };
        if !self.unbounded {
            self.throttle(Operation::Method, size).await?;
        }
        let outcome = self.method_outcome(invocation).await;
        // The request and the answer count, also where the hub answers that the device is not there.
        match &outcome {
            Ok(answer) => {
                self.charge(|| size);
                self.charge(|| answer.payload.to_string().len());
            }
            Err(error) if error.code() == ErrorCode::DeviceNotOnline => {
                self.charge(|| size);
                self.charge(|| 0);
            }
            Err(error) if error.code() == ErrorCode::GatewayTimeout => self.charge(|| size),
            Err(_) => {}
        }
        outcome
    }

    async fn method_outcome(&self, invocation: MethodInvocation) -> Result<MethodAnswer, ServiceError> {
        let call = self.hub(|hub, now| hub.invoke_method(now, invocation))?;
        let _forgotten = CancelledCall { shared: self, call };
        let mut waiter = self.waiter(Wake::Method(call));
        loop {
            if let Some(outcome) = self.hub(|hub, now| hub.take_method_outcome(now, call)) {
                return outcome;
            }
            waiter.woken().await;
        }
    }

    /// Tells everybody to stop.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether the emulator is to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Resolves when the emulator is to stop.
    pub(crate) async fn stopping(&self) {
        // An error would mean that the sender is gone; it is in `self`.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Loses one more cloud-to-device message.
    pub(crate) fn add_drop(&self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether this message is to be lost.
    pub(crate) fn take_drop(&self) -> bool {
        self.drops.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// Forgets a call when it is dropped.
struct CancelledCall<'a> {
    shared: &'a Shared,
    call: MethodCallId,
}

impl Drop for CancelledCall<'_> {
    fn drop(&mut self) {
        self.shared.hub(|hub, _| hub.cancel_method(self.call));
    }
}

/// A panic under the lock leaves the hub as it was at some point between two of its steps, which is good enough for
/// an emulator; the others go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::hub::{AckMode, CloudToDevice, DeviceId, Policies, Settings};
    use bytes::Bytes;

    fn shared() -> (Arc<Shared>, ManualClock, DeviceId) {
        let clock = ManualClock::new(UnixMillis(1000));
        let mut hub = Hub::new(Settings::default(), Policies::new()).unwrap();
        hub.add_device("d1=c2VjcmV0".parse().unwrap()).unwrap();
        (Arc::new(Shared::new(hub, Arc::new(clock.clone()))), clock, DeviceId::new("d1").unwrap())
    }

    fn message() -> CloudToDevice {
        CloudToDevice { message_id: None, ack: AckMode::None, expiry: None, size: 1, payload: Bytes::new() }
    }

    #[tokio::test]
    async fn a_waiter_is_woken_also_when_the_work_came_before_the_waiting() {
        let (shared, _, device) = shared();
        let mut waiter = shared.waiter(Wake::DeviceQueue(device.clone().into()));
        shared.hub(|hub, now| hub.enqueue(now, &device, message())).unwrap();
        waiter.woken().await;
    }

    #[tokio::test]
    async fn time_passes_in_the_hub_without_anybody_asking() {
        let (shared, clock, device) = shared();
        let time = tokio::spawn({
            let shared = shared.clone();
            async move { shared.keep_time().await }
        });
        shared.hub(|hub, now| hub.enqueue(now, &device, message())).unwrap();
        let consumer = shared.hub(|hub, _| hub.add_consumer());
        assert!(shared.hub(|hub, now| hub.take_next(now, &device, consumer)).is_some());
        let mut waiter = shared.waiter(Wake::DeviceQueue(device.clone().into()));
        clock.advance(core::time::Duration::from_secs(60));
        waiter.woken().await;
        assert!(shared.hub(|hub, now| hub.take_next(now, &device, consumer)).is_some());
        shared.stop();
        time.await.unwrap();
    }

    #[test]
    fn a_waiter_that_is_gone_is_forgotten() {
        let (shared, _, device) = shared();
        drop(shared.waiter(Wake::DeviceQueue(device.clone().into())));
        shared.hub(|hub, now| hub.enqueue(now, &device, message())).unwrap();
        assert!(lock(&shared.waiters).by_wake.is_empty());
    }

    #[test]
    fn waiters_of_devices_that_come_and_go_are_forgotten() {
        let (shared, _, device) = shared();
        let stays = shared.waiter(Wake::Device(device.clone()));
        for n in 0..100_000 {
            drop(shared.waiter(Wake::Device(DeviceId::new(&format!("dev{n}")).unwrap())));
        }
        assert!(lock(&shared.waiters).by_wake.len() <= Waiters::FEW);
        shared.hub(|hub, _| hub.remove_device(&device));
        assert!(stays.is_raised());
    }
}
