//! Drains as the application of a sender sees them (§2.6.7).

use crate::{handle::sender::Sender, state::ids::Place, types::error::Error};
use std::future::Future;

impl Sender {
    /// Waits until the receiver drains the link: it wants what there is to send now, and the rest of the credit given up.
    /// Holds the link while it waits, but does not borrow this.
    ///
    /// On a link with [`DrainMode::Application`](crate::link::DrainMode::Application) the credit can be used until [`drained`](Self::drained); this resolves at
    /// once again until then. On others the drain is answered when those who wait in [`send`](Self::send) or
    /// [`reserve`](Self::reserve) have sent, and nothing was sent for 10 ms. A sender that looks for its messages
    /// elsewhere, and may need longer for that, should answer by itself.
    ///
    /// An acceptor chooses by [`SenderRequest::drain_mode`](crate::acceptor::SenderRequest::drain_mode), a client by
    /// [`SenderBuilder::drain_mode`](crate::link::SenderBuilder::drain_mode).
    ///
    /// ```no_run
    /// # use amqp1::{Error, Sender};
    /// # use std::collections::VecDeque;
    /// # async fn serve(sender: &Sender, mut messages: VecDeque<&'static str>) -> Result<(), Error> {
    /// loop {
    ///     sender.drain_requested().await?;
    ///     while let Some(message) = messages.front().copied() {
    ///         let Ok(permit) = sender.try_reserve() else { break };
    ///         // Revoked, if the drain was answered meanwhile: the message stays.
    ///         let Ok(receipt) = permit.send(message) else { break };
    ///         messages.pop_front();
    ///         println!("{:?}", receipt.await?);
    ///     }
    ///     sender.drained()?;
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the link ends.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub fn drain_requested(&self) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let handle = self.handle().clone();
        async move {
            let id = handle.id;
            let requested = handle.shared.wait(Place::Link(id), |state| match state.live_link(id) {
                Ok(_) => state.is_drain_requested(id).then_some(Ok(())),
                Err(error) => Some(Err(error)),
            });
            requested.await?
        }
    }

    /// Answers the receiver's drain: what is queued is sent, and the credit that is left is given up (§2.6.7). Permits
    /// that are held are revoked. Nothing happens unless the receiver drains the link.
    ///
    /// # Errors
    ///
    /// If the link has ended.
    pub fn drained(&self) -> Result<(), Error> {
        let id = self.handle().id;
        self.handle().shared.command(|state, _| {
            state.live_link(id)?;
            if state.is_drain_requested(id) {
                let answered = state.engine.sender(id).and_then(|mut sender| sender.drained());
                answered.map_err(|misuse| state.explain(misuse))?;
                state.live_link(id)?.revoke_permits();
            }
            Ok(())
        })?
    }
}
