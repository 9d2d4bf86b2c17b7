//! Where transactions are declared.

use super::{
    capability,
    control::Control,
    work::{Transaction, Work},
};
use crate::{
    handle::{builders::SenderBuilder, counted::SessionHandle, session::Session},
    state::transaction::errors,
    types::{
        detached::Detached,
        error::{Error, ErrorKind},
        names,
    },
};
use amqp1_codec::{Symbol, performative::TargetArchetype};
use amqp1_engine::transaction::{Answer, Controller as Rules};
use std::{future::Future, sync::Arc};
use tokio::runtime::Handle;

/// The controller's end of a control link (§4.1), made by [`Session::transactions`](crate::Session::transactions).
///
/// Clones are handles of the same one. When the last of them and of its transactions is gone, the link is closed.
#[derive(Clone, Debug)]
pub struct Controller {
    control: Arc<Control>,
}

impl Controller {
    pub(crate) async fn attach(session: Arc<SessionHandle>) -> Result<Self, Error> {
        let runtime =
            Handle::try_current().map_err(|_| Error::new(ErrorKind::Config, "transactions need a tokio runtime"))?;
        let wanted = [capability::LOCAL_TRANSACTIONS, capability::MULTI_TXNS_PER_SSN, capability::MULTI_SSNS_PER_TXN];
        let config = Rules::link(names::link("coordinator"), wanted.map(Symbol::from_static));
        let limit = session.connection.timeout;
        session.connection.shared.command(|state, _| state.controls_transactions())?;
        let link = SenderBuilder::of(session, config).outcome_timeout(limit).attach().await?;
        let granted = link.remote_attach().target;
        if !matches!(granted, Some(TargetArchetype::Coordinator(_))) {
            // Dropped, the link is closed.
            return Err(Error::new(ErrorKind::LinkRefused, "the peer's end of the control link is no coordinator"));
        }
        Ok(Self { control: Arc::new(Control::new(link, Rules::new(granted.as_ref()), runtime)) })
    }

    /// Whether the coordinator offers this (§4.5.7): one of the names in [`capability`].
    pub fn offers(&self, capability: &str) -> bool {
        match self.control.link().remote_attach().target {
            Some(TargetArchetype::Coordinator(coordinator)) => {
                coordinator.capabilities.iter().any(|offered| offered.as_str() == capability)
            }
            _ => false,
        }
    }

    /// Declares a transaction (§4.2).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Rejected`] with the coordinator's reason; or if the control link ends, or there is no answer in
    /// time. What is declared too late stays until the coordinator gives it up, or the control link ends.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the transaction is rolled back as soon as it is declared.
    pub async fn declare(&self) -> Result<Transaction, Error> {
        let control = self.control.clone();
        let declared = self.control.spawn(async move {
            let (answer, failure) = control.ask(|rules, token| rules.declare(token, None)).await?;
            match answer {
                Answer::Declared(txn) => Ok(Transaction::new(Work::new(control, txn))),
                Answer::NotDeclared(refusal) => Err(errors::not_declared(refusal, failure)),
                _ => Err(Error::internal("a declare was answered as a discharge")),
            }
        });
        declared.await
    }

    /// Closes the control link: transactions that are live are rolled back (§4.2).
    ///
    /// # Errors
    ///
    /// If the coordinator does not answer in time, or has detached with an error.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it goes on by itself.
    pub async fn close(&self) -> Result<(), Error> {
        self.control.link().close().await
    }

    /// Waits until the control link is over, for whatever reason. Holds the link while it waits.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub fn detached(&self) -> impl Future<Output = Detached> + Send + use<> {
        self.control.link().detached()
    }
}

impl Session {
    /// Attaches a control link to the peer's transaction coordinator (§4.1): for transactions on this session and, where
    /// the coordinator offers that, on the others of the connection.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LinkRefused`] if the peer coordinates no transactions; otherwise as for any link that is attached.
    ///
    /// # Cancel safety
    ///
    /// A link that is attached and not returned is closed.
    pub async fn transactions(&self) -> Result<Controller, Error> {
        Controller::attach(self.handle().clone()).await
    }
}
