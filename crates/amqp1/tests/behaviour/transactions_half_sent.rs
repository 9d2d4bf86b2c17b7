//! A transaction that is discharged while a message that was acquired within it is half sent (§4.4.3).

use crate::peers::raw::Raw;
use crate::support::{coordinator_request, soon};
use amqp1::{
    AcceptedLink, Outcome, Source, Symbol, Target,
    codec::{
        Encode, EncodeStyle, SequenceNo,
        definitions::Fields,
        frame::FrameWriter,
        performative::{Flow, Performative, Transfer},
        transaction::Coordinator as CoordinatorTarget,
    },
    engine::transaction::Controller as Rules,
    link::{Attach, DeliveryState, Role, TargetArchetype},
    message::EncodedMessage,
    transaction::{Coordinator, CoordinatorConfig, Discharge},
};
use bytes::BytesMut;

/// A message of the controller's.
async fn ask(raw: &mut Raw, id: u32, message: EncodedMessage) {
    let transfer = Transfer {
        handle: 0,
        delivery_id: Some(SequenceNo(id)),
        delivery_tag: Some(id.into()),
        message_format: Some(0),
        ..Transfer::default()
    };
    let mut out = BytesMut::new();
    let frame = FrameWriter::begin(0, &mut out);
    Performative::from(transfer).encode(EncodeStyle::Compact, &mut out);
    message.into_parts().iter().for_each(|part| out.extend_from_slice(part));
    frame.finish(0, &mut out);
    raw.octets(&out).await;
}

/// A session that takes this many transfers more.
fn window(next: u32, window: u32) -> Flow {
    Flow { next_incoming_id: Some(SequenceNo(next)), incoming_window: window, outgoing_window: 1000, ..Flow::default() }
}

#[tokio::test]
async fn x_4_4_3_4_what_is_half_sent_is_given_up_before_the_rollback_is_answered() {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (mut raw, mut server) = soon(Raw::client(near, far)).await;
    let coordinator: Coordinator<()> = server.coordinator(CoordinatorConfig::default()).expect("the first");
    let control = Attach {
        name: "control".into(),
        role: Role::Sender,
        source: Some(Box::new(Source::default())),
        target: Some(TargetArchetype::Coordinator(CoordinatorTarget::default())),
        initial_delivery_count: Some(SequenceNo(0)),
        ..Attach::default()
    };
    let taker = Attach {
        name: "taker".into(),
        handle: 1,
        role: Role::Receiver,
        source: Some(Box::new(Source::at("q"))),
        target: Some(Target::default().into()),
        ..Attach::default()
    };
    raw.send(control).await;
    let mut control = coordinator_request(soon(server.next_link()).await.expect("a link"))
        .coordinate(&coordinator)
        .expect("a control link");
    let undone = tokio::spawn(async move { (control.next().await, control) });
    raw.send(taker).await;
    let link = soon(server.next_link()).await.expect("a link").accept_default().expect("accepted");
    let AcceptedLink::Sender(sender) = link else { panic!("the client receives") };

    let mut rules = Rules::new(None);
    ask(&mut raw, 0, rules.declare(0, None).expect("a message")).await;
    let declared = soon(raw.until(|body| matches!(body, Performative::Disposition(_)))).await;
    let Performative::Disposition(declared) = declared else { panic!("{declared:?}") };
    let settlement = amqp1::engine::Settlement::Outcome(declared.state);
    let Some(amqp1::engine::transaction::Answer::Declared(txn)) = rules.handle_settled(0, &settlement) else {
        panic!("declared")
    };
    // One delivery, one transfer of it.
    let properties: Fields =
        [(Symbol::from_static("txn-id"), bytes::Bytes::copy_from_slice(txn.as_slice()))].into_iter().collect();
    let acquires = Flow {
        handle: Some(1),
        delivery_count: Some(SequenceNo(0)),
        link_credit: Some(1),
        properties: Some(properties),
        ..window(0, 1)
    };
    raw.send(acquires).await;
    let receipt = soon(sender.reserve()).await.expect("credit").send("x".repeat(1 << 20)).expect("queued");
    soon(raw.until(|body| matches!(body, Performative::Transfer(transfer) if transfer.more))).await;
    ask(&mut raw, 1, rules.discharge(1, &txn, true, |_| 0).expect("a message")).await;
    let (undone, _control) = soon(undone).await.expect("no panic");
    assert!(matches!(undone, Some(Discharge::RolledBack(_))), "{undone:?}");
    assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Released);
    // The rest of the message has nowhere to go before this.
    raw.send(window(1, 10)).await;
    let said = |body: &Performative| matches!(body, Performative::Transfer(_) | Performative::Disposition(_));
    let Performative::Transfer(rest) = soon(raw.until(said)).await else { panic!("the message is given up first") };
    assert!(rest.aborted, "{rest:?}");
    let Performative::Disposition(answer) = soon(raw.until(said)).await else { panic!("the answer") };
    assert_eq!((answer.first, answer.state), (SequenceNo(1), Some(DeliveryState::Accepted)));
}
