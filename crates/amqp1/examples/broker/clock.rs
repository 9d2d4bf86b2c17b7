//! The broker's time.

use amqp1::engine::Instant;

/// The broker's time, on tokio's clock.
#[derive(Clone, Copy)]
pub(crate) struct Clock(tokio::time::Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(tokio::time::Instant::now())
    }

    pub(crate) fn now(self) -> Instant {
        Instant::default() + self.0.elapsed()
    }

    /// Waits until then; forever if there is no such time.
    pub(crate) async fn until(self, instant: Option<Instant>) {
        match instant {
            Some(instant) => tokio::time::sleep_until(self.0 + (instant - Instant::default())).await,
            None => std::future::pending().await,
        }
    }
}
