//! A client, and an acceptor that serves transactions.
#![allow(dead_code, reason = "each test uses a part")]

use crate::support::{self, coordinator_request, gate::Gate, soon};
use amqp1::{
    AcceptedLink, Credit, Receipt, Receiver, Sender, ServerConnection, Session,
    link::ReceiverSettleMode,
    transaction::{Controller, Coordinator, CoordinatorConfig, Discharge},
};
use bytes::Bytes;
use std::{future::Future, pin::Pin, task::Poll};
use tokio::sync::mpsc;

pub(crate) struct Node {
    pub(crate) server: ServerConnection,
    pub(crate) session: Session,
    pub(crate) controller: Controller,
    pub(crate) coordinator: Coordinator<Bytes>,
    /// What the control link has handed out; closed when that is over.
    discharges: mpsc::UnboundedReceiver<Discharge<Bytes>>,
    gate: Gate,
    /// The client's end, which lives as long as this.
    _client: amqp1::Connection,
}

impl Node {
    pub(crate) async fn open() -> Self {
        Self::with(CoordinatorConfig::default()).await
    }

    pub(crate) async fn with(config: CoordinatorConfig) -> Self {
        let (support::Pair { client, mut server }, gate) = support::gated_pair().await;
        let coordinator = server.coordinator(config).expect("the first");
        let session = client.begin().await.expect("a session");
        let (controller, control) = tokio::join!(session.transactions(), async {
            let link = server.next_link().await.expect("a link");
            coordinator_request(link).coordinate(&coordinator).expect("a control link")
        });
        let controller = controller.expect("a coordinator");
        let (handed, discharges) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut control = control;
            while let Some(discharge) = control.next().await {
                if handed.send(discharge).is_err() {
                    return;
                }
            }
        });
        Self { server, session, controller, coordinator, discharges, gate, _client: client }
    }

    /// The connection breaks.
    pub(crate) fn cut(&self) {
        self.gate.break_off();
    }

    /// The next transaction that ends.
    pub(crate) async fn discharge(&mut self) -> Discharge<Bytes> {
        self.next().await.expect("a control link")
    }

    pub(crate) async fn next(&mut self) -> Option<Discharge<Bytes>> {
        soon(self.discharges.recv()).await
    }

    /// Commits the next transaction, and says what was done.
    pub(crate) async fn commit_next(&mut self) -> Vec<Bytes> {
        let Discharge::Commit(mut commit) = self.discharge().await else { panic!("not a commit") };
        let done = commit.take_work();
        commit.confirm().expect("told");
        done
    }

    /// Takes the next message within its transaction.
    pub(crate) async fn post_next(&self, receiver: &mut Receiver) {
        let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
        let body = delivery.message().data().expect("a body");
        self.coordinator.post(delivery, body).expect("posted");
    }

    /// A link on which the client sends, and the server's end.
    pub(crate) async fn sender(&mut self, address: &'static str) -> (Sender, Receiver) {
        let attaching = self.session.sender(address).attach();
        let (sender, link) = tokio::join!(attaching, async {
            self.server.next_link().await.expect("a link").accept_default().expect("accepted")
        });
        let AcceptedLink::Receiver(receiver) = link else { panic!("the client sends") };
        (sender.expect("a sender"), receiver)
    }

    /// A link on which the client receives, and the server's end.
    pub(crate) async fn receiver(&mut self, address: &'static str, mode: ReceiverSettleMode) -> (Receiver, Sender) {
        let attaching = self.session.receiver(address).receiver_settle_mode(mode).credit(Credit::Manual(10)).attach();
        let (receiver, link) = tokio::join!(attaching, async {
            self.server.next_link().await.expect("a link").accept_default().expect("accepted")
        });
        let AcceptedLink::Sender(sender) = link else { panic!("the client receives") };
        (receiver.expect("a receiver"), sender)
    }
}

/// Whether there is no outcome yet, when all that was said has arrived.
pub(crate) async fn is_pending(receipt: &mut Receipt) -> bool {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *receipt).poll(cx).is_pending())).await
}
