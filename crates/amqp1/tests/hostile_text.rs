//! What a peer names and says, in errors, in `Debug` and in log lines: escaped, and never at a length that it chooses.
#![allow(missing_docs)]

mod support;

use amqp1::{
    AcceptedLink, Acceptor, Client, Credit, Symbol,
    codec::printable::MAX_REPORT,
    error::{AmqpError, ErrorCondition},
};
use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};
use support::{Pair, soon};
use tokio::io::duplex;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// Moves the cursor, forges a line, turns the direction of text round, hides.
const HOSTILE: &str = "a\n2026-01-01 INFO all is well\r\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}\u{2066}\u{200b}\u{feff}\0b";

/// Short, and longer than anybody reads.
fn texts() -> [String; 2] {
    [HOSTILE.to_owned(), HOSTILE.repeat(200)]
}

fn error(text: &str) -> AmqpError {
    let condition: String = text.chars().filter(char::is_ascii).collect();
    let condition = ErrorCondition::new(Symbol::new(condition).expect("ASCII"));
    AmqpError { description: Some(text.into()), ..AmqpError::from(condition) }
}

#[track_caller]
fn check(shown: &str) {
    assert!(shown.len() <= MAX_REPORT, "{} octets", shown.len());
    let odd = |c: char| c.is_control() || HOSTILE.chars().any(|hostile| !hostile.is_ascii() && hostile == c);
    assert_eq!(shown.chars().find(|c| odd(*c)), None, "{}", shown.escape_unicode());
}

#[track_caller]
fn check_error(error: &amqp1::Error) {
    check(&error.to_string());
    check(&format!("{error:?}"));
    check(&format!("{error:#?}").replace('\n', ""));
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        check(&cause.to_string());
        source = cause.source();
    }
}

#[track_caller]
fn check_debug(what: &impl Debug) {
    check(&format!("{what:?}"));
}

/// Each field of each log line.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line<'a>(&'a Log);

impl Visit for Line<'_> {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        self.0.0.lock().expect("no panic under the lock").push(format!("{value:?}"));
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("amqp1")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Line(self));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

async fn pair(text: &str) -> Pair {
    let (near, far) = duplex(256 * 1024);
    let acceptor = Acceptor::builder().config(|config| config.container_id = text.into()).build();
    // A client's open has no room for more (§2.4.1).
    let connecting = Client::builder("amqp://broker.test")
        .container_id(HOSTILE)
        .hostname(HOSTILE)
        .connect_with(support::checked::Checked::new(near));
    let (client, server) = soon(async {
        tokio::join!(connecting, async {
            let incoming = acceptor.accept(support::checked::Checked::new(far)).await.expect("a handshake");
            check_debug(&incoming);
            incoming.accept().await.expect("an open connection")
        })
    })
    .await;
    Pair { client: client.expect("a connection"), server }
}

#[tokio::test]
async fn what_a_peer_names_and_says_is_escaped_and_cut_wherever_it_is_shown() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    for text in texts() {
        let mut pair = pair(&text).await;
        check_debug(&pair.client);
        check_debug(&pair.client.remote_open());
        // A link that is refused.
        let session = pair.session().await;
        let (refused, ()) = soon(async {
            tokio::join!(session.sender(text.as_str()).name(text.as_str()).attach(), async {
                let link = pair.server.next_link().await.expect("a link");
                check_debug(&link);
                check_debug(&link.attach());
                link.reject(error(&text));
            })
        })
        .await;
        let refused = refused.expect_err("refused");
        check_error(&refused);
        let said = refused.amqp_error().and_then(|error| error.description.as_deref());
        let raw = said.is_some_and(|said| said.starts_with(HOSTILE) && text.starts_with(said));
        assert!(raw, "what is kept of the text is kept as it came: {said:?}");
        // One that is somewhere else.
        let mut info = amqp1::message::Fields::new();
        // More is not kept.
        info.insert(Symbol::from_static("hostname"), HOSTILE.repeat(10));
        let elsewhere = AmqpError { info: Some(info), ..AmqpError::from(ErrorCondition::LINK_REDIRECT) };
        let (refused, ()) = soon(async {
            tokio::join!(session.sender("q").attach(), async {
                pair.server.next_link().await.expect("a link").reject(elsewhere);
            })
        })
        .await;
        let refused = refused.expect_err("refused");
        check_error(&refused);
        check_debug(&refused.redirect().expect("a redirect"));
        // A message that is rejected, and a link that is detached.
        let (sender, mut receiver) = pair.client_sends(Credit::Window(5)).await;
        let (sent, ()) = soon(async {
            tokio::join!(sender.send(amqp1::Message::builder().value(text.as_str()).build()), async {
                let delivery = receiver.recv().await.expect("a link").expect("a delivery");
                check_debug(&delivery);
                check_debug(&delivery.message().value());
                delivery.reject(error(&text)).expect("settled");
            })
        })
        .await;
        let outcome = sent.expect("an outcome");
        check_debug(&outcome);
        check_error(&outcome.into_result().expect_err("rejected"));
        let (mut near, far): (_, AcceptedLink) = {
            let session = pair.session().await;
            let (near, far) = soon(async {
                tokio::join!(session.receiver("q").attach(), async {
                    pair.server.next_link().await.expect("a link").accept_default().expect("accepted")
                })
            })
            .await;
            (near.expect("a receiver"), far)
        };
        let AcceptedLink::Sender(far) = far else { panic!("the client receives") };
        let (received, closed) =
            soon(async { tokio::join!(near.recv(), far.detach_with(Some(error(&text)), true)) }).await;
        check_error(&received.expect_err("detached"));

        closed.expect("closed");
        check_debug(&soon(near.detached()).await);
        // The connection.
        let connection = pair.server.connection().clone();
        soon(connection.close_with(Some(error(&text)))).await.expect("closed");
        check_error(&soon(pair.client.begin()).await.expect_err("closed"));
        check_debug(&soon(pair.client.closed()).await);
    }
    let lines = log.0.lock().expect("no panic under the lock");
    assert!(lines.iter().any(|line| line.contains("LinkDetached")), "nothing was logged: {lines:?}");
    lines.iter().for_each(|line| check(line));
}
