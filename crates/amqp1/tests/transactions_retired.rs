//! Deliveries that were retired in a transaction, at a resource that leaves their settlement to the one who received
//! them.
#![allow(missing_docs)]

mod support;

use amqp1::{
    AcceptedLink, AmqpError, Credit, DeliveryState, ErrorCondition, ErrorKind, OnDrop, Outcome, Receiver,
    ReceiverSettleMode, Sender, codec::transaction::Declared, transaction::Controller,
};
use bytes::Bytes;
use support::{Pair, pair, soon};

/// A controller and a receiver, and opposite them a coordinator and a queue.
struct Bank {
    _pair: Pair,
    controller: Controller,
    coordinator: Receiver,
    receiver: Receiver,
    queue: Sender,
}

impl Bank {
    async fn open(mode: ReceiverSettleMode, credit: Credit) -> Self {
        let mut pair = pair().await;
        let session = pair.session().await;
        let (controller, link) = tokio::join!(session.transactions(), async {
            let link = pair.server.next_link().await.expect("a link");
            let reply = link.reply();
            link.accept(reply).expect("accepted")
        });
        let AcceptedLink::Receiver(coordinator) = link else { panic!("the client sends") };
        let attach = session.receiver("q").receiver_settle_mode(mode).credit(credit).attach();
        let (receiver, link) = tokio::join!(attach, async {
            pair.server.next_link().await.expect("a link").accept_default().expect("accepted")
        });
        let AcceptedLink::Sender(queue) = link else { panic!("the client receives") };
        let (controller, receiver) = (controller.expect("a coordinator"), receiver.expect("a receiver"));
        Self { _pair: pair, controller, coordinator, receiver, queue }
    }

    /// Sends a message and retires it, then answers the discharge so. What became of the message at the queue.
    async fn retire(&mut self, outcome: DeliveryState, answer: DeliveryState) -> (Option<ErrorKind>, Outcome) {
        let Self { controller, coordinator, receiver, queue, .. } = self;
        let work = async {
            let transaction = controller.declare().await.expect("a transaction");
            let delivery = receiver.recv().await.expect("a link").expect("a delivery");
            transaction.retire(delivery, outcome).expect("retired");
            transaction.commit().await.err().map(|error| error.kind())
        };
        let coordinate = async {
            let declared = Declared { txn_id: Bytes::from_static(b"t") };
            let answers = [DeliveryState::Declared(Box::new(declared)), answer];
            for answer in answers {
                let asked = coordinator.recv().await.expect("a link").expect("a delivery");
                asked.settle(answer).expect("settled");
            }
        };
        let (committed, (), sent) = soon(async { tokio::join!(work, coordinate, queue.send("x")) }).await;
        (committed, sent.expect("an outcome"))
    }
}

/// The resource may settle, and need not (§4.4.2). Where nobody does, no more would come after some thousands.
#[tokio::test]
async fn x_4_4_2_1_what_was_retired_is_settled_after_the_commit_whoever_does_it() {
    for mode in [ReceiverSettleMode::First, ReceiverSettleMode::Second] {
        let mut bank = Bank::open(mode, Credit::Window(2)).await;
        for outcome in [DeliveryState::Accepted, DeliveryState::Rejected(None), DeliveryState::Released] {
            for _ in 0..3 {
                let (error, became) = bank.retire(outcome.clone(), DeliveryState::Accepted).await;
                assert_eq!((error, became.into_state()), (None, Some(outcome.clone())));
            }
        }
    }
}

#[tokio::test]
async fn x_4_4_2_3_what_was_retired_in_vain_is_dealt_with_as_what_is_dropped() {
    let mut bank = Bank::open(ReceiverSettleMode::First, Credit::Window(2)).await;
    bank.receiver.set_on_drop(OnDrop::Release);
    let refused = DeliveryState::rejected(AmqpError::new(ErrorCondition::TRANSACTION_ROLLBACK, "no"));
    let (error, became) = bank.retire(DeliveryState::Accepted, refused).await;
    assert_eq!((error, became), (Some(ErrorKind::RolledBack), Outcome::Released));
}
