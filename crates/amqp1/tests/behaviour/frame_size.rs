//! What does not fit the peer's frames (§2.7.1) is an error of the call that asks for it, and costs nothing else.

use crate::support::{self, body, pair_with, receiver_request, soon};
use amqp1::{
    AcceptedLink, Acceptor, Client, Connection, Credit, ErrorKind, Outcome, Retry, Symbol, Value,
    codec::messaging::Modified,
    connection::SessionConfig,
    error::ErrorCondition,
    link::{DeliveryState, OnDrop},
    message::Fields,
};

fn fields(octets: usize) -> Fields {
    let mut fields = Fields::new();
    fields.insert(Symbol::from_static("k"), "v".repeat(octets));
    fields
}

/// An acceptor that takes frames of 512 octets.
fn narrow() -> Acceptor {
    Acceptor::builder().config(|config| config.max_frame_size = 512).build()
}

async fn lives(connection: &Connection) {
    soon(connection.begin()).await.expect("the connection lives");
}

#[tokio::test]
async fn t_2_4_1_3_an_open_that_is_too_large_is_a_configuration_error_before_anything_is_dialled() {
    let client = || Client::builder("amqp://nowhere.invalid").config(|config| config.properties = fields(600));
    let error = client().connect().await.expect_err("too large");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Config, Retry::Never), "{error}");
    assert!(error.to_string().contains("512") && error.to_string().contains("properties"), "{error}");
    let (near, _far) = tokio::io::duplex(1024);
    assert_eq!(
        client().connect_with(support::checked::Checked::new(near)).await.expect_err("too large").kind(),
        ErrorKind::Config
    );
}

#[tokio::test(start_paused = true)]
async fn t_2_7_1_5_an_acceptor_whose_open_does_not_fit_says_so_at_both_ends() {
    let acceptor = Acceptor::builder().config(|config| config.properties = fields(600)).build();
    let (near, far) = tokio::io::duplex(16 * 1024);
    let client = Client::builder("amqp://server.test").config(|config| config.max_frame_size = 512);
    let (client, server) = tokio::join!(client.connect_with(support::checked::Checked::new(near)), async {
        acceptor.accept(support::checked::Checked::new(far)).await.expect("a handshake").accept().await
    });
    assert_eq!(server.expect_err("too large").kind(), ErrorKind::Config);
    let error = client.expect_err("refused");
    assert_eq!(error.condition(), Some(&ErrorCondition::FRAME_SIZE_TOO_SMALL), "{error}");
}

#[tokio::test(start_paused = true)]
async fn t_2_7_1_5_a_session_or_a_link_that_needs_too_large_a_frame_is_an_error_of_its_call() {
    let pair = pair_with(|builder| builder, &narrow()).await;
    let config = SessionConfig { properties: fields(600), ..SessionConfig::default() };
    let error = soon(pair.client.begin_with(config)).await.expect_err("too large");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Config, Retry::Never), "{error}");
    let session = pair.session().await;
    for error in [
        soon(session.sender("q").property(Symbol::from_static("k"), "v".repeat(600)).attach()).await.map(drop),
        soon(session.receiver("q".repeat(600)).attach()).await.map(drop),
    ] {
        let error = error.expect_err("too large");
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }
    lives(&pair.client).await;
}

#[tokio::test(start_paused = true)]
async fn t_2_7_1_5_a_link_whose_answer_is_too_large_is_refused() {
    let mut pair =
        pair_with(|builder| builder.config(|config| config.max_frame_size = 512), &Acceptor::builder().build()).await;
    let session = pair.session().await;
    let (attached, accepted) = tokio::join!(session.sender("q").attach(), async {
        let link = pair.server.next_link().await.expect("a link");
        let mut request = receiver_request(link);
        for (key, value) in fields(600).iter() {
            let Value::Symbol(key) = key else { panic!("keys are symbols") };
            request = request.property(key.clone(), value.clone());
        }
        request.accept()
    });
    assert_eq!(accepted.expect_err("too large").kind(), ErrorKind::Config);
    let refused = attached.expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::LinkRefused);
    assert_eq!(refused.condition(), Some(&ErrorCondition::FRAME_SIZE_TOO_SMALL), "{refused}");
    lives(&pair.client).await;
}

#[tokio::test(start_paused = true)]
async fn t_2_7_1_5_sessions_that_cannot_be_answered_as_configured_end_alone() {
    let config = SessionConfig { properties: fields(600), ..SessionConfig::default() };
    let acceptor = Acceptor::builder().session_config(config).build();
    let pair = pair_with(|builder| builder.config(|config| config.max_frame_size = 512), &acceptor).await;
    let session = soon(pair.client.begin()).await;
    match session {
        Ok(session) => assert!(soon(session.ended()).await.error.is_some()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::SessionEnded, "{error}"),
    }
    assert!(!pair.client.is_closed());
}

#[tokio::test(start_paused = true)]
async fn t_2_7_1_5_an_outcome_that_is_too_large_leaves_the_delivery_to_what_becomes_of_dropped_ones() {
    let mut pair = pair_with(|builder| builder, &narrow()).await;
    let session = pair.session().await;
    let attaching = session.receiver("q").credit(Credit::Manual(1)).on_drop(OnDrop::Release).attach();
    let (receiver, sender) = tokio::join!(attaching, async {
        pair.server.next_link().await.expect("a link").accept_default().expect("accepted")
    });
    let AcceptedLink::Sender(sender) = sender else { panic!("the client receives") };
    let mut receiver = receiver.expect("a receiver");
    let sent = tokio::spawn(async move { sender.send(body(1)).await });
    let delivery = soon(receiver.recv()).await.expect("the link lives").expect("a delivery");
    let modified = Modified { message_annotations: Some(fields(600)), ..Modified::default() };
    let error = delivery.settle(DeliveryState::Modified(Box::new(modified))).expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let outcome = soon(sent).await.expect("no panic").expect("an outcome");
    assert_eq!(outcome, Outcome::Released);
    lives(&pair.client).await;
}
