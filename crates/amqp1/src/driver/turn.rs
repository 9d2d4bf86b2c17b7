//! Turns of the application's tasks.

use crate::state::drain::TurnState;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// A turn of the tasks that are ready now: it is over when the runtime has come round to a task that yields.
#[derive(Debug, Default)]
pub(crate) struct Turn(Option<tokio::task::JoinHandle<()>>);

impl Turn {
    /// Begins a turn. Those whose turn it is have been woken.
    pub(crate) fn begin(&mut self) {
        // In a task of its own, so that the driver, which others wake as well, does not end it early.
        self.0 = Some(tokio::spawn(tokio::task::yield_now()));
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> TurnState {
        let Some(task) = &mut self.0 else { return TurnState::None };
        match Pin::new(task).poll(cx) {
            Poll::Pending => TurnState::UnderWay,
            Poll::Ready(_) => {
                self.0 = None;
                TurnState::Over
            }
        }
    }
}
