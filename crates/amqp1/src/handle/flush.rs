//! Waiting until messages are written.

use crate::{
    handle::sender::Sender,
    state::{ids::Place, shared::Shared, wait::within},
    types::error::Error,
};
use std::time::Duration;

impl Shared {
    /// Waits until what the engine has given out by now is written to the transport.
    pub(crate) async fn written(&self, limit: Duration, what: &'static str) -> Result<(), Error> {
        let asked = self.command(|state, _| {
            state.flush.asked = state.flush.asked.wrapping_add(1);
            state.flush.asked
        })?;
        let flushed = self.wait(Place::Connection, |state| {
            if state.flush.done >= asked { Some(Ok(())) } else { state.closed_error().map(Err) }
        });
        within(self, limit, what, flushed).await?
    }
}

impl Sender {
    /// Waits until every message that was queued on the link before this call is written to the transport. What the peer
    /// makes of them is not known by that. Messages that were sent settled have no other confirmation.
    /// A stream that is not finished yet is not waited for.
    ///
    /// # Errors
    ///
    /// If the link ends before that, or nothing more can leave within the operation time-out.
    /// [`Error::unsent`] says how many of the messages were not sent.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: the messages stay queued.
    pub async fn flush(&self) -> Result<(), Error> {
        const WHAT: &str = "writing what is queued";
        let handle = self.handle();
        let (id, shared) = (handle.id, &handle.shared);
        let mark = shared.command(|state, _| state.mark(id))?;
        let left =
            within(shared, handle.timeout(), WHAT, shared.wait(Place::Link(id), |state| state.left_before(mark)));
        let flushed = match left.await {
            Ok(Ok(())) => shared.written(handle.timeout(), WHAT).await,
            Ok(Err(error)) | Err(error) => Err(error),
        };
        flushed.map_err(|error| {
            let unsent = shared.look(|state| state.unsent_before(mark));
            error.with_unsent(unsent)
        })
    }
}
