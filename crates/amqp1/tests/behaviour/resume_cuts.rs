//! A link whose transport is cut again and again, in the middle of messages, of outcomes and of its own attach.

use crate::peers::world::{World, long, number, receives};
use crate::support::soon;
use amqp1::{
    Error, ErrorKind, Outcome, Receipt, Receiver, Sender,
    link::{DeliveryTag, ReceiverSettleMode, SendOptions},
    resume::{SenderDelivery, SuspendedReceiver, SuspendedSender},
};
use std::{collections::BTreeMap, time::Duration};

const MESSAGES: u8 = 6;

/// What is known at the sending end and at the receiving end, whatever becomes of connections.
#[derive(Default)]
struct Ledger {
    /// Messages that were handed to a link.
    sent: u8,
    outcomes: BTreeMap<u8, u32>,
    taken: BTreeMap<u8, u32>,
}

impl Ledger {
    fn note(&mut self, number: u8, outcome: Result<Outcome, Error>) {
        match outcome {
            Ok(outcome) => {
                assert_eq!(outcome, Outcome::Accepted);
                *self.outcomes.entry(number).or_insert(0) += 1;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Suspended, "{error:?}"),
        }
    }
}

/// Takes what comes until nothing comes any more. What was taken before and comes again says so.
async fn take(receiver: &mut Receiver, taken: &mut BTreeMap<u8, u32>) {
    while let Ok(Ok(Some(delivery))) = tokio::time::timeout(Duration::from_secs(3), receiver.recv()).await {
        let number = number(&delivery);
        let body = delivery.message().data().expect("a data section");
        assert_eq!(body[..], long(number)[..]);
        let times = taken.entry(number).or_insert(0);
        assert!(*times == 0 || delivery.is_resumed(), "{number} comes twice as a new one");
        *times += 1;
        // Each third is left to the next endpoint at first.
        if number % 3 == 0 && *times == 1 {
            drop(delivery.leave_unsettled());
        } else {
            let _ = delivery.accept();
        }
    }
}

/// Queues what is still to be sent, as far as the link lives.
async fn send(sender: &Sender, ledger: &mut Ledger) -> Vec<(u8, Receipt)> {
    let mut receipts = Vec::new();
    while ledger.sent < MESSAGES {
        let Ok(permit) = soon(sender.reserve()).await else { break };
        let tag = DeliveryTag::new(&[ledger.sent]).expect("short");
        let Ok(receipt) = permit.send_with(long(ledger.sent), SendOptions { tag: Some(tag), ..Default::default() })
        else {
            break;
        };
        receipts.push((ledger.sent, receipt));
        ledger.sent += 1;
    }
    receipts
}

async fn outcomes(ledger: &mut Ledger, resumed: Vec<(SenderDelivery, Receipt)>, receipts: Vec<(u8, Receipt)>) {
    for (delivery, receipt) in resumed {
        let number = delivery.tag.as_slice()[0];
        let outcome = soon(receipt).await;
        ledger.note(number, outcome);
    }
    for (number, receipt) in receipts {
        let outcome = soon(receipt).await;
        ledger.note(number, outcome);
    }
}

/// One connection of the link. Whether an endpoint that was to go on with something was not attached.
async fn connection(
    ledger: &mut Ledger,
    left: &mut Option<SuspendedSender>,
    kept: &mut Option<SuspendedReceiver>,
    (up, down): (usize, usize),
) -> bool {
    let Some(mut world) = World::cut_after(up, down).await else { return false };
    let builder = world.session.sender("q").name("l").receiver_settle_mode(ReceiverSettleMode::Second).resumable(true);
    let builder = match left.as_ref() {
        Some(left) => builder.resume(left),
        None => builder,
    };
    let accepting = async { Some(receives(world.server.next_link().await?, kept.as_ref())) };
    let (sender, receiver) = tokio::join!(builder.attach(), soon(accepting));
    let client = world.client.clone();
    let mut taken = std::mem::take(&mut ledger.taken);
    let failed = sender.is_err() && left.is_some();
    let sending = async {
        if let Ok(sender) = sender {
            let resumed = sender.resumed();
            let receipts = send(&sender, ledger).await;
            // What comes no further is given up with the connection.
            let patience = Duration::from_secs(20);
            tokio::join!(outcomes(ledger, resumed, receipts), async {
                tokio::time::sleep(patience).await;
                let _ = client.close().await;
            });
            *left = Some(soon(sender.suspend()).await.expect("left"));
        } else {
            let _ = client.close().await;
        }
    };
    let receiving = async {
        if let Some(mut receiver) = receiver {
            take(&mut receiver, &mut taken).await;
            receiver.detached().await;
            *kept = Some(soon(receiver.suspend()).await.expect("kept"));
        }
    };
    tokio::join!(sending, receiving);
    ledger.taken = taken;
    failed
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_cut_again_and_again_delivers_each_message_once_and_tells_each_outcome_once() {
    let (mut rounds, mut failed) = (0, 0);
    for first in (0..60).map(|number| 290 + number * 37) {
        let mut ledger = Ledger::default();
        let (mut left, mut kept) = (None, None);
        for round in 0.. {
            assert!(round < 60, "{first}: no end: {:?} {left:?} {kept:?}", ledger.outcomes);
            // Sooner or later it is cut late enough to get on, but each third one in the middle of the answer to the attach.
            let down =
                if round % 3 == 1 { 170 + (first + round * 13) % 80 } else { 230 + (first * 7) % 350 + round * 23 };
            let limits = (first + round * 101, down);
            let attach_failed = connection(&mut ledger, &mut left, &mut kept, limits).await;
            failed += usize::from(attach_failed);
            rounds += 1;
            let done = left.as_ref().is_some_and(|left: &SuspendedSender| left.deliveries().is_empty());
            if ledger.sent == MESSAGES && done && ledger.outcomes.len() == usize::from(MESSAGES) {
                break;
            }
        }
        assert!(ledger.outcomes.values().all(|times| *times == 1), "{first}: {:?}", ledger.outcomes);
        assert_eq!(ledger.taken.len(), usize::from(MESSAGES), "{first}");
    }
    assert!(rounds > 200 && failed > 30, "{rounds} {failed}");
}
