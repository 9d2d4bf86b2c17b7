//! Tokens, put and renewed.
#![cfg(feature = "cbs")]

use crate::support::{pair, soon};
use amqp1::{
    AcceptedLink, Connection, ErrorKind, Retry, ServerConnection,
    auth::cbs::{PutToken, Reply, Request},
    cbs::{Cbs, Token},
    error::ErrorCondition,
    message::EncodeStyle,
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// What the node was sent, and what it answers: a status.
#[derive(Clone, Default)]
struct Node {
    tokens: Arc<Mutex<Vec<String>>>,
    status: Arc<AtomicU32>,
}

impl Node {
    fn answer(&self, status: u32) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn tokens(&self) -> Vec<String> {
        self.tokens.lock().expect("no panic under the lock").clone()
    }

    async fn serve(self, mut connection: ServerConnection) {
        let mut to_client = None;
        while let Some(link) = connection.next_link().await {
            assert_eq!(link.address(), Some("$cbs"));
            match link.accept_default().expect("accepted") {
                AcceptedLink::Sender(sender) => to_client = Some(sender),
                AcceptedLink::Receiver(mut receiver) => {
                    let (node, sender) = (self.clone(), to_client.clone().expect("the receiver is attached first"));
                    tokio::spawn(async move {
                        while let Ok(Some(delivery)) = receiver.recv().await {
                            let request = Request::parse(delivery.message());
                            delivery.accept().expect("settled");
                            let put = request.operation.as_ref().expect("put-token");
                            let token = put.token().to_owned();
                            node.tokens.lock().expect("no panic under the lock").push(token);
                            let reply = match node.status.load(Ordering::SeqCst) {
                                0 => Reply::accepted(),
                                status => Reply::new(i32::try_from(status).expect("small"), "as the test says"),
                            };
                            let reply = reply.encode(&request, EncodeStyle::Compact);
                            sender.send(reply).await.expect("sent").into_result().expect("accepted");
                        }
                    });
                }
            }
        }
    }
}

async fn connected() -> (Connection, Node, tokio::task::JoinHandle<()>) {
    let pair = pair().await;
    let node = Node::default();
    let serving = tokio::spawn(node.clone().serve(pair.server));
    (pair.client, node, serving)
}

#[tokio::test]
async fn a_token_is_put_and_accepted() {
    let (connection, node, serving) = connected().await;
    let cbs = Cbs::open(&connection).await.expect("a node");
    cbs.put_token(&PutToken::sas("hub.test", "first")).await.expect("accepted");
    let second = PutToken::sas("hub.test", "second");
    let third = PutToken::sas("hub.test", "third");
    let (second, third) = tokio::join!(cbs.put_token(&second), cbs.put_token(&third));
    second.and(third).expect("accepted");
    assert_eq!(node.tokens(), ["first", "second", "third"]);
    drop((cbs, connection));
    soon(serving).await.expect("the last handle closes the connection");
}

#[tokio::test]
async fn a_refused_token_is_an_error_of_authentication_with_the_condition() {
    let (connection, node, _serving) = connected().await;
    let cbs = Cbs::open(&connection).await.expect("a node");
    node.answer(401);
    let error = cbs.put_token(&PutToken::sas("hub.test", "bad")).await.expect_err("refused");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Authentication, Retry::Never));
    assert_eq!(error.condition(), Some(&ErrorCondition::UNAUTHORIZED_ACCESS));
    node.answer(500);
    let error = cbs.put_token(&PutToken::sas("hub.test", "bad")).await.expect_err("refused");
    assert!(matches!(error.retry(), Retry::After(_)));
    // The links are still good.
    node.answer(0);
    cbs.put_token(&PutToken::sas("hub.test", "good")).await.expect("accepted");
}

/// Numbers the tokens; each lives for an hour.
fn numbered() -> impl Fn(&str) -> Result<Token, amqp1::Error> {
    let count = AtomicU32::new(0);
    move |audience| {
        let text = format!("{audience}#{}", count.fetch_add(1, Ordering::SeqCst));
        Ok(Token::new(PutToken::sas(audience, text), Token::expiry_in(3600)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_it_expires_for_as_long_as_it_is_wanted() {
    let (connection, node, _serving) = connected().await;
    let cbs = Cbs::open(&connection).await.expect("a node");
    let renewal = cbs.keep_renewed("hub.test", numbered()).await.expect("accepted");
    assert_eq!(node.tokens().len(), 1);
    tokio::time::sleep(Duration::from_secs(3 * 3600)).await;
    let tokens = node.tokens();
    assert!((4..=6).contains(&tokens.len()), "{tokens:?}");
    assert!(renewal.failure().is_none());
    drop(renewal);
    tokio::time::sleep(Duration::from_secs(3 * 3600)).await;
    assert_eq!(node.tokens(), tokens);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_renewed_is_said_to_be_lost() {
    let (connection, node, _serving) = connected().await;
    let cbs = Cbs::open(&connection).await.expect("a node");
    let renewal = cbs.keep_renewed("hub.test", numbered()).await.expect("accepted");
    node.answer(500);
    let start = tokio::time::Instant::now();
    let error = renewal.failed().await;
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
    assert!(start.elapsed() >= Duration::from_secs(3590), "it is tried until the expiry: {:?}", start.elapsed());
    assert!(node.tokens().len() > 10, "it was tried often");
    assert!(renewal.failure().expect("a failure").is_final);
}

#[tokio::test]
async fn a_first_token_that_is_refused_is_the_callers() {
    let (connection, node, _serving) = connected().await;
    node.answer(401);
    let cbs = Cbs::open(&connection).await.expect("a node");
    let error = cbs.keep_renewed("hub.test", numbered()).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Authentication);
    let none = |_: &str| Err::<Token, _>(amqp1::Error::no_token("the clock is not set"));
    let error = cbs.keep_renewed("hub.test", none).await.expect_err("none");
    assert!(error.to_string().contains("the clock is not set"), "{error}");
}

#[tokio::test]
async fn a_renewal_ends_with_its_connection_and_does_not_hold_it_open() {
    let (connection, _node, serving) = connected().await;
    let cbs = Cbs::open(&connection).await.expect("a node");
    let renewal = cbs.keep_renewed("hub.test", numbered()).await.expect("accepted");
    drop((cbs, connection));
    soon(serving).await.expect("the last handle closes the connection");
    assert_eq!(soon(renewal.failed()).await.kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn links_that_failed_are_attached_anew() {
    let mut pair = pair().await;
    let (opened, links) = tokio::join!(Cbs::open(&pair.client), async {
        let mut links = Vec::new();
        for _ in 0..2 {
            let link = pair.server.next_link().await.expect("a link");
            links.push(link.accept_default().expect("accepted"));
        }
        links
    });
    let cbs = opened.expect("a node");
    for link in links {
        match link {
            AcceptedLink::Sender(sender) => sender.close().await.expect("closed"),
            AcceptedLink::Receiver(receiver) => receiver.close().await.expect("closed"),
        }
    }
    assert!(cbs.put_token(&PutToken::sas("hub.test", "lost")).await.is_err());
    let node = Node::default();
    tokio::spawn(node.clone().serve(pair.server));
    cbs.put_token(&PutToken::sas("hub.test", "found")).await.expect("accepted");
    assert_eq!(node.tokens(), ["found"]);
}

/// Time passes only when nothing else can happen.
#[tokio::test(start_paused = true)]
async fn a_bounded_number_of_tokens_is_in_flight_and_answers_come_in_any_order() {
    let pair = pair().await;
    let (connection, mut server) = (pair.client, pair.server);
    let node = tokio::spawn(async move {
        let (mut to_client, mut requests) = (None, None);
        while requests.is_none() {
            match server.next_link().await.expect("a link").accept_default().expect("accepted") {
                AcceptedLink::Sender(sender) => to_client = Some(sender),
                AcceptedLink::Receiver(receiver) => requests = Some(receiver),
            }
        }
        let (sender, mut requests) = (to_client.expect("the receiver is attached first"), requests.expect("attached"));
        let mut rounds = Vec::new();
        while rounds.iter().sum::<usize>() < 40 {
            let mut waiting = Vec::new();
            while let Ok(next) = tokio::time::timeout(Duration::from_millis(1), requests.recv()).await {
                let delivery = next.expect("the link is there").expect("not detached");
                waiting.push(Request::parse(delivery.message()));
                delivery.accept().expect("settled");
            }
            rounds.push(waiting.len());
            for request in waiting.iter().rev() {
                let reply = Reply::accepted().encode(request, EncodeStyle::Compact);
                sender.send(reply).await.expect("sent").into_result().expect("accepted");
            }
        }
        (rounds, server)
    });
    let cbs = Cbs::open(&connection).await.expect("a node");
    let puts: Vec<_> = (0..40)
        .map(|number| {
            let cbs = cbs.clone();
            tokio::spawn(async move { cbs.put_token(&PutToken::sas(format!("device {number}"), "token")).await })
        })
        .collect();
    for put in puts {
        put.await.expect("no panic").expect("accepted");
    }
    let (rounds, _server) = node.await.expect("no panic");
    assert_eq!(rounds, [16, 16, 8]);
}
