//! No message is reported as accepted unless its receiver said so.

use crate::peers::raw::Raw;
use crate::support::{self, body, pair, pair_with, soon};
use amqp1::{
    AcceptedLink, Acceptor, Connection, Credit, Delivered, Error, ErrorKind, Message, Outcome, Receipt, Retry, Sender,
    Session, Source, Target,
    codec::{
        Encode, EncodeStyle, SequenceNo,
        frame::{FrameWriter, ProtocolHeader, write_frame},
        messaging::{MessageId, Properties, Received},
        performative::{Begin, Close, Detach, Disposition, End, Flow, Open, Performative, Transfer},
        transaction::TransactionalState,
    },
    error::ErrorCondition,
    link::{Attach, DeliveryState, Role},
};
use bytes::BytesMut;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// As many as were sent to a full address in the field.
const MANY: u32 = 300;

async fn begun() -> (Connection, Session, Raw) {
    let (connection, mut raw) = soon(Raw::connected()).await;
    let (session, ()) = tokio::join!(connection.begin(), raw.begin());
    (connection, session.expect("a session"), raw)
}

/// A sender whose receiver answers with this source, and gives credit.
async fn sender(
    session: &Session,
    raw: &mut Raw,
    ours: Option<DeliveryState>,
    theirs: Option<DeliveryState>,
) -> Sender {
    let builder = session.sender("q").source(Source { default_outcome: ours, ..Source::default() });
    let (sender, ()) = tokio::join!(builder.attach(), async {
        let attach = raw.attach().await;
        raw.send(Attach {
            name: attach.name,
            role: Role::Receiver,
            source: Some(Box::new(Source { default_outcome: theirs, ..Source::default() })),
            target: Some(Target::at("q").into()),
            ..Attach::default()
        })
        .await;
        raw.send(flow(Some(MANY))).await;
    });
    sender.expect("a sender")
}

fn flow(credit: Option<u32>) -> Flow {
    Flow {
        next_incoming_id: Some(SequenceNo(0)),
        incoming_window: 1000,
        outgoing_window: 1000,
        handle: credit.map(|_| 0),
        delivery_count: credit.map(|_| SequenceNo(0)),
        link_credit: credit,
        ..Flow::default()
    }
}

/// Sends, and waits until the peer has it all.
async fn send(sender: &Sender, raw: &mut Raw, count: u32) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for number in 0..count {
        receipts.push(soon(sender.reserve()).await.expect("credit").send(body(number)).expect("queued"));
    }
    for _ in 0..count {
        raw.delivery().await;
    }
    receipts
}

fn settles(last: u32, state: Option<DeliveryState>) -> Disposition {
    let (first, last) = (SequenceNo(0), Some(SequenceNo(last)));
    Disposition { role: Role::Receiver, first, last, settled: true, state, ..Disposition::default() }
}

fn received() -> DeliveryState {
    DeliveryState::Received(Received { section_number: 0, section_offset: 0 })
}

/// A state that names a transaction and no outcome.
fn within_a_transaction() -> DeliveryState {
    DeliveryState::Transactional(Box::new(TransactionalState { txn_id: vec![1].into(), outcome: None }))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ends {
    Link,
    Session,
    Connection,
    Transport,
}

/// Settles without a state, or not at all; then one end or the other ends the link, or what it is on.
#[tokio::test]
async fn nothing_is_accepted_that_is_outstanding_when_a_link_a_session_or_a_connection_ends() {
    for settled in [false, true] {
        for by_peer in [true, false] {
            for ends in [Ends::Link, Ends::Session, Ends::Connection, Ends::Transport] {
                if ends == Ends::Transport && !by_peer {
                    continue;
                }
                soon(one_end(settled, by_peer, ends)).await;
            }
        }
    }
}

async fn one_end(settled: bool, by_peer: bool, ends: Ends) {
    let (connection, session, mut raw) = begun().await;
    let sender = sender(&session, &mut raw, None, None).await;
    let receipts = send(&sender, &mut raw, MANY).await;
    let detach = || Detach { handle: 0, closed: true, error: None };
    if by_peer {
        if settled {
            raw.send(settles(MANY - 1, None)).await;
        }
        match ends {
            Ends::Link => raw.send(detach()).await,
            Ends::Session => raw.send(End::default()).await,
            Ends::Connection => raw.send(Close::default()).await,
            Ends::Transport => drop(raw),
        }
    } else {
        let answers = async {
            let leaves = |body: &Performative| {
                matches!(body, Performative::Detach(_) | Performative::End(_) | Performative::Close(_))
            };
            raw.until(leaves).await;
            if settled {
                raw.send(settles(MANY - 1, None)).await;
            }
            match ends {
                Ends::Link => raw.send(detach()).await,
                Ends::Session => raw.send(End::default()).await,
                _ => raw.send(Close::default()).await,
            }
        };
        let leaves = async {
            match ends {
                Ends::Link => sender.close().await,
                Ends::Session => session.end().await,
                _ => connection.close().await,
            }
        };
        let (left, ()) = tokio::join!(leaves, answers);
        left.expect("answered");
    }
    let mut count = 0;
    for receipt in receipts {
        let error = receipt.await.and_then(Outcome::into_result).expect_err("the peer has accepted nothing");
        assert_eq!(error.delivered(), Delivered::Unknown, "{settled} {by_peer} {ends:?}: {error}");
        count += 1;
    }
    assert_eq!(count, MANY);
}

#[tokio::test]
async fn what_is_settled_without_an_outcome_is_not_known_to_be_accepted() {
    for state in [None, Some(received()), Some(within_a_transaction())] {
        let (_connection, session, mut raw) = begun().await;
        let sender = sender(&session, &mut raw, None, None).await;
        let receipts = send(&sender, &mut raw, 1).await;
        raw.send(settles(0, state.clone())).await;
        for receipt in receipts {
            let error = soon(receipt).await.and_then(Outcome::into_result).expect_err("nothing was said");
            // A transaction that nobody has declared ends the link.
            let unknown = error.condition() == Some(&ErrorCondition::TRANSACTION_UNKNOWN_ID);
            let kind = if unknown { ErrorKind::LinkDetached } else { ErrorKind::NoOutcome };
            assert_eq!((error.kind(), error.delivered()), (kind, Delivered::Unknown), "{state:?}");
            assert_eq!(unknown, state == Some(within_a_transaction()), "{state:?}");
        }
    }
}

#[tokio::test]
async fn m_3_5_3_6_what_is_settled_without_an_outcome_has_the_default_one_of_its_source() {
    let (accepted, released) = (DeliveryState::Accepted, DeliveryState::Released);
    for (ours, theirs, expected) in [
        (Some(accepted.clone()), None, Outcome::Accepted),
        (None, Some(released.clone()), Outcome::Released),
        (Some(released), Some(accepted), Outcome::Released),
        (Some(DeliveryState::Rejected(None)), None, Outcome::Rejected(None)),
    ] {
        for state in [None, Some(received())] {
            let (_connection, session, mut raw) = begun().await;
            let sender = sender(&session, &mut raw, ours.clone(), theirs.clone()).await;
            let receipts = send(&sender, &mut raw, 2).await;
            raw.send(settles(1, state)).await;
            for receipt in receipts {
                assert_eq!(soon(receipt).await.expect("an outcome"), expected);
            }
        }
    }
}

/// What a resumable link learns after it was suspended has the default outcome too.
#[tokio::test]
async fn m_3_5_3_6_the_default_outcome_counts_for_what_is_settled_after_the_link_was_suspended() {
    let (_connection, session, mut raw) = begun().await;
    let source = Source { default_outcome: Some(DeliveryState::Released), ..Source::default() };
    let (sender, ()) = tokio::join!(session.sender("q").source(source).resumable(true).attach(), async {
        let attach = raw.attach().await;
        raw.answer(&attach, None).await;
    });
    let sender = sender.expect("a sender");
    let receipts = send(&sender, &mut raw, 1).await;
    let (left, ()) = tokio::join!(sender.suspend(), raw.detach());
    let left = left.expect("left");
    drop((receipts, sender));
    raw.send(settles(0, None)).await;
    let outcome = async {
        loop {
            match left.deliveries().first().and_then(|delivery| delivery.outcome.clone()) {
                Some(outcome) => break outcome,
                None => tokio::task::yield_now().await,
            }
        }
    };
    assert_eq!(soon(outcome).await, Outcome::Released);
}

/// A client that takes one delivery from an acceptor and settles it like this; what the acceptor is told.
async fn at_an_acceptor(default: Option<DeliveryState>, state: Option<DeliveryState>) -> Result<Outcome, Error> {
    let (mut near, far) = tokio::io::duplex(64 * 1024);
    let mut out = BytesMut::new();
    out.extend_from_slice(&ProtocolHeader::AMQP.encode());
    let attach = Attach {
        name: "l".into(),
        role: Role::Receiver,
        source: Some(Box::new(Source { default_outcome: default, ..Source::at("q") })),
        target: Some(Target::default().into()),
        ..Attach::default()
    };
    let begin = Begin { incoming_window: 100, outgoing_window: 100, ..Begin::default() };
    let open = Open { container_id: "raw".into(), ..Open::default() };
    let frames: [Performative; 4] = [open.into(), begin.into(), attach.into(), flow(Some(1)).into()];
    for frame in frames {
        write_frame(0, Some(&frame), EncodeStyle::Compact, &mut out);
    }
    near.write_all(&out).await.expect("written");
    let mut server = support::accept(&Acceptor::builder().build(), far).await;
    let link = server.next_link().await.expect("a link").accept_default().expect("accepted");
    let AcceptedLink::Sender(sender) = link else { panic!("the client receives") };
    let receipt = soon(sender.reserve()).await.expect("credit").send("x").expect("queued");
    server.connection().flush().await.expect("written");
    let mut out = BytesMut::new();
    write_frame(0, Some(&settles(0, state)), EncodeStyle::Compact, &mut out);
    near.write_all(&out).await.expect("written");
    soon(receipt).await
}

#[tokio::test]
async fn m_3_5_3_6_an_acceptor_takes_back_what_is_settled_without_an_outcome() {
    for (default, state, expected) in [
        (None, None, Outcome::Released),
        (None, Some(received()), Outcome::Released),
        (Some(DeliveryState::Accepted), None, Outcome::Accepted),
        (None, Some(DeliveryState::Accepted), Outcome::Accepted),
    ] {
        assert_eq!(at_an_acceptor(default, state).await.expect("settled"), expected);
    }
}

/// The node settles the request without an outcome, and answers it or not.
#[tokio::test(start_paused = true)]
async fn an_answer_says_what_became_of_a_request_that_is_settled_without_an_outcome() {
    for answered in [true, false] {
        let (_connection, session, mut raw) = begun().await;
        let (requester, ()) = tokio::join!(session.requester("node").attach(), async {
            for _ in 0..2 {
                let attach = raw.attach().await;
                let receives = attach.role == Role::Sender;
                raw.send(Attach {
                    name: attach.name,
                    handle: attach.handle,
                    role: attach.role.opposite(),
                    source: Some(Box::new(Source { address: Some("node".into()), ..Source::default() })),
                    target: Some(Target::at("node").into()),
                    initial_delivery_count: (!receives).then_some(SequenceNo(0)),
                    ..Attach::default()
                })
                .await;
                if receives {
                    raw.send(Flow { handle: Some(attach.handle), ..flow(Some(5)) }).await;
                }
            }
        });
        let requester = requester.expect("a requester");
        let request = amqp1::request::Request::new(Message::builder().data("?")).timeout(Duration::from_secs(5));
        let (answer, ()) = tokio::join!(requester.request(request), async {
            raw.delivery().await;
            raw.send(settles(0, None)).await;
            if answered {
                answer(&mut raw).await;
            }
        });
        match answer {
            Ok(answer) => assert!(answered && answer.data().is_some()),
            Err(error) => {
                assert!(!answered, "{error}");
                let all = (error.kind(), error.delivered(), error.retry());
                assert_eq!(all, (ErrorKind::Timeout, Delivered::Unknown, Retry::Now));
            }
        }
    }
}

/// Answers request 0 on the first of the client's links, which is the one for answers.
async fn answer(raw: &mut Raw) {
    let properties = Properties { correlation_id: Some(MessageId::Ulong(0)), ..Properties::default() };
    let payload = Message::builder().properties(properties).data("!").build();
    let transfer = Transfer {
        handle: 0,
        delivery_id: Some(SequenceNo(0)),
        delivery_tag: Some(0.into()),
        message_format: Some(0),
        settled: Some(true),
        ..Transfer::default()
    };
    let mut out = BytesMut::new();
    let frame = FrameWriter::begin(0, &mut out);
    transfer.encode(EncodeStyle::Compact, &mut out);
    for part in payload.into_parts() {
        out.extend_from_slice(&part);
    }
    frame.finish(0, &mut out);
    raw.octets(&out).await;
}

// Time. The clock is virtual.

#[tokio::test(start_paused = true)]
async fn an_acceptor_waits_for_an_outcome_for_as_long_as_its_client_works() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_receives(Credit::Window(5)).await;
    let receipt = sender.reserve().await.expect("credit").send("work").expect("queued");
    let delivery = receiver.recv().await.expect("a link").expect("a delivery");
    let worked = async {
        tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
        delivery.accept().expect("settled");
    };
    let (outcome, ()) = tokio::join!(receipt, worked);
    assert_eq!(outcome.expect("an outcome"), Outcome::Accepted);
}

/// How long an outcome that does not come is waited for.
async fn given_up(receipt: Receipt) -> u64 {
    let start = tokio::time::Instant::now();
    let Ok(outcome) = tokio::time::timeout(Duration::from_secs(10_000), receipt).await else { return 10_000 };
    let error = outcome.expect_err("there is none");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::Timeout, Delivered::Unknown));
    assert!(error.to_string().contains(&format!("{:?}", start.elapsed())), "{error}");
    start.elapsed().as_secs()
}

async fn queued(sender: &Sender) -> Receipt {
    sender.reserve().await.expect("credit").send("x").expect("queued")
}

#[tokio::test(start_paused = true)]
async fn how_long_an_outcome_is_waited_for_can_be_said_of_a_connection_of_a_link_and_of_what_is_sent_next() {
    let acceptor = Acceptor::builder().outcome_timeout(Duration::from_secs(7)).build();
    let mut pair = pair_with(|builder| builder.outcome_timeout(None), &acceptor).await;
    let (near, _far) = pair.client_sends(Credit::Window(9)).await;
    assert_eq!(given_up(queued(&near).await).await, 10_000);
    let (far, _near) = pair.client_receives(Credit::Window(9)).await;
    assert_eq!(given_up(queued(&far).await).await, 7);
    far.set_outcome_timeout(Duration::from_secs(3));
    let three = queued(&far).await;
    far.set_outcome_timeout(None);
    let none = queued(&far).await;
    assert_eq!(given_up(three).await, 3);
    assert_eq!(given_up(none).await, 10_000);
    let session = pair.session().await;
    let (sender, _receiver) =
        tokio::join!(session.sender("q").outcome_timeout(Duration::from_secs(2)).attach(), async {
            pair.server.next_link().await.expect("a link").accept_default().expect("accepted")
        });
    assert_eq!(given_up(queued(&sender.expect("a sender")).await).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_waits_for_an_outcome_as_long_as_for_any_operation_unless_it_says_otherwise() {
    let short = |builder: amqp1::ClientBuilder| builder.operation_timeout(Duration::from_secs(9));
    let mut pair = pair_with(short, &Acceptor::builder().build()).await;
    let (sender, _receiver) = pair.client_sends(Credit::Window(9)).await;
    assert_eq!(given_up(queued(&sender).await).await, 9);
}
