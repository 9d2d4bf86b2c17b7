//! Credit that is withheld because too many deliveries are unsettled.

use crate::{
    handle::receiver::Receiver,
    state::{
        aside::Aside,
        ids::{LinkKey, Place},
        shared::State,
    },
    types::error::Error,
};
use std::future::Future;

/// How many characters of a link's name are logged.
const NAME: usize = 64;

impl State {
    pub(crate) fn on_credit_withheld(&mut self, id: LinkKey, aside: &mut Aside<'_>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.waiting.wake(aside);
        // Once: a link whose deliveries are settled as they are processed is at its bound again and again.
        if std::mem::replace(&mut link.withheld_reported, true) {
            return;
        }
        let name = self.engine.link(id).map(|link| link.name().chars().take(NAME).collect::<String>());
        let name = name.unwrap_or_default();
        self.warnings.push(format!(
            "link {name:?} gets no more credit: too many of its deliveries are unsettled (max_unsettled). If the sender \
             asked for receiver-settle-mode second, it may never settle them"
        ));
    }
}

impl Receiver {
    /// Whether credit is withheld: as many deliveries are unsettled as the link may have
    /// ([`ReceiverConfig::max_unsettled`](crate::engine::ReceiverConfig::max_unsettled)), so its window of credit is not
    /// filled until some are settled. With receiver-settle-mode second, the sender has to settle them as well.
    pub fn is_credit_withheld(&self) -> bool {
        self.handle()
            .shared
            .look(|state| state.engine.receiver(self.handle().id).is_ok_and(|receiver| receiver.is_credit_withheld()))
    }

    /// Waits until [credit is withheld](Self::is_credit_withheld): no more deliveries come until some are settled. A
    /// warning is logged as well, unless the bound was set by
    /// [`ReceiverBuilder::max_unsettled`](crate::link::ReceiverBuilder::max_unsettled) and this end alone settles. Holds the link while it waits, but does not borrow this, so that it can be waited for
    /// beside [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// If the link ends.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub fn credit_withheld(&self) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let handle = self.handle().clone();
        async move {
            let id = handle.id;
            let withheld = handle.shared.wait(Place::Link(id), |state| match state.live_link(id) {
                Ok(_) => {
                    state.engine.receiver(id).is_ok_and(|receiver| receiver.is_credit_withheld()).then_some(Ok(()))
                }
                Err(error) => Some(Err(error)),
            });
            withheld.await?
        }
    }
}
