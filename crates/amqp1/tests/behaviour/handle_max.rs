//! Peers that allow fewer links than are asked for (§2.7.2, handle-max).

use crate::support::{body, number, pair_with, soon, warnings::Warnings};
use amqp1::{AcceptedLink, Acceptor, ErrorKind, Retry, connection::SessionConfig, error::ErrorCondition};
use std::time::Duration;

fn one_handle() -> SessionConfig {
    SessionConfig { handle_max: 0, ..SessionConfig::default() }
}

#[tokio::test(start_paused = true)]
async fn t_2_7_2_2_an_attach_beyond_the_peers_handle_max_is_refused_without_a_retry_hint() {
    let acceptor = Acceptor::builder().session_config(one_handle()).build();
    let mut pair = pair_with(|builder| builder, &acceptor).await;
    let session = pair.session().await;
    let (first, _accepted) = tokio::join!(session.sender("q").attach(), async {
        pair.server.next_link().await.expect("a link").accept_default().expect("accepted")
    });
    let first = first.expect("a sender");
    let refused = soon(session.receiver("q").attach()).await.expect_err("there is no handle");
    assert_eq!((refused.kind(), refused.retry()), (ErrorKind::LinkRefused, Retry::Never), "{refused}");
    assert!(refused.to_string().contains("handle-max"), "{refused}");
    // What is attached lives on, and its handle comes back.
    soon(first.close()).await.expect("closed");
    let (again, _accepted) = tokio::join!(session.sender("q").attach(), async {
        pair.server.next_link().await.expect("a link").accept_default().expect("accepted")
    });
    again.expect("a sender");
}

#[tokio::test(start_paused = true)]
async fn t_2_7_2_2_an_acceptor_answers_when_a_handle_is_free() {
    let acceptor = Acceptor::builder().build();
    let mut pair = pair_with(|builder| builder, &acceptor).await;
    let session = pair.client.begin_with(one_handle()).await.expect("a session");
    let (first, _accepted) = tokio::join!(session.sender("first").attach(), async {
        pair.server.next_link().await.expect("a link").accept_default().expect("accepted")
    });
    let first = first.expect("a sender");
    let attaching = tokio::spawn(session.sender("second").attach());
    let AcceptedLink::Receiver(mut second) = soon(pair.offered()).await.accept_default().expect("accepted") else {
        panic!("the client sends")
    };
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!attaching.is_finished());
    soon(first.close()).await.expect("closed");
    let sender = soon(attaching).await.expect("no panic").expect("attached");
    let sending = tokio::spawn(async move { sender.send(body(7)).await });
    let delivery = soon(second.recv()).await.expect("the link lives").expect("a delivery");
    assert_eq!(number(&delivery), 7);
    delivery.accept().expect("settled");
    soon(sending).await.expect("no panic").expect("sent").into_result().expect("accepted");
}

#[tokio::test(start_paused = true)]
async fn t_2_7_2_2_without_a_handle_in_time_the_session_ends_and_the_application_is_told() {
    let warnings = Warnings::listen();
    let acceptor = Acceptor::builder().operation_timeout(Duration::from_secs(5)).build();
    let mut pair = pair_with(|builder| builder, &acceptor).await;
    let session = pair.client.begin_with(one_handle()).await.expect("a session");
    let other = pair.session().await;
    let (first, _accepted) = tokio::join!(session.sender("first").attach(), async {
        pair.server.next_link().await.expect("a link").accept_default().expect("accepted")
    });
    let _first = first.expect("a sender");
    let start = tokio::time::Instant::now();
    let attaching = tokio::spawn(session.sender("second").attach());
    let AcceptedLink::Receiver(mut second) = soon(pair.offered()).await.accept_default().expect("accepted") else {
        panic!("the client sends")
    };
    let told = soon(second.recv()).await.expect_err("the session ends");
    let warned = warnings.logged();
    assert!(warned.len() == 1 && warned[0].contains("handle-max"), "{warned:?}");
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(
        (told.kind(), told.condition()),
        (ErrorKind::SessionEnded, Some(&ErrorCondition::RESOURCE_LIMIT_EXCEEDED))
    );
    let error = soon(attaching).await.expect("no panic").expect_err("the session ends");
    assert_eq!(error.condition(), Some(&ErrorCondition::RESOURCE_LIMIT_EXCEEDED), "{error}");
    assert!(!pair.client.is_closed());
    let (lives, _accepted) = tokio::join!(other.sender("q").attach(), async {
        pair.server.next_link().await.expect("a link").accept_default().expect("accepted")
    });
    lives.expect("the other session lives");
}
