//! Which links belong together, and which to nothing that answers.

use crate::support::{pair, soon};
use amqp1::{
    Error, ErrorKind, Message, ServerConnection, Session,
    error::{AmqpError, ErrorCondition},
    link::Role,
    request::{Pairing, Requester, RequesterBuilder, Responder},
};

/// Two requesters of one node in one session, whose links come in the order that misleads most.
async fn crossed(
    session: &Session,
    server: &mut ServerConnection,
    how: fn(RequesterBuilder) -> RequesterBuilder,
) -> ([Requester; 2], Vec<Responder>) {
    let attach = || how(session.requester("node")).attach();
    let (one, two, responders) = soon(async {
        tokio::join!(attach(), attach(), async {
            let (mut pairing, mut responders) = (Pairing::new(), Vec::new());
            let receivers = [server.next_link().await.expect("a link"), server.next_link().await.expect("a link")];
            for link in receivers {
                assert_eq!(link.role(), Role::Receiver);
                assert!(pairing.accept(link).expect("accepted").is_none());
            }
            let senders = [server.next_link().await.expect("a link"), server.next_link().await.expect("a link")];
            for link in senders.into_iter().rev() {
                responders.extend(pairing.accept(link).expect("accepted"));
            }
            responders
        })
    })
    .await;
    ([one.expect("two links"), two.expect("two links")], responders)
}

fn answering(responders: Vec<Responder>) {
    for mut responder in responders {
        tokio::spawn(async move {
            while let Some(request) = responder.next().await? {
                let body = request.message().data().unwrap_or_default();
                request.answer(Message::builder().data(body.to_vec())).await?;
            }
            Ok::<_, Error>(())
        });
    }
}

/// Requests of both have the same numbers: an answer that goes astray answers the wrong one.
#[tokio::test]
async fn two_requesters_of_one_node_and_session_get_their_own_answers() {
    let ways: [fn(RequesterBuilder) -> RequesterBuilder; 2] =
        [|builder| builder, |builder: RequesterBuilder| builder.reply_to_unique_link()];
    for how in ways {
        let mut pair = pair().await;
        let session = pair.session().await;
        let ([one, two], responders) = crossed(&session, &mut pair.server, how).await;
        assert_eq!(responders.len(), 2);
        answering(responders);
        let ask = |requester: Requester, body: &'static str| async move {
            let answer = requester.request(Message::builder().data(body)).await.expect("an answer");
            String::from_utf8(answer.data().expect("data").to_vec()).expect("a text")
        };
        let answers = soon(async { tokio::join!(ask(one.clone(), "one"), ask(two.clone(), "two")) }).await;
        assert_eq!(answers, ("one".to_owned(), "two".to_owned()));
        // The end of one is not the end of the other.
        soon(one.close()).await.expect("closed");
        assert_eq!(soon(ask(two, "again")).await, "again");
    }
}

/// They have no address, and are no links for answers all the same.
#[tokio::test]
async fn links_to_a_coordinator_and_to_nobody_are_refused_and_not_taken_for_a_half() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let (transactions, relay, requester, mut responders) = soon(async {
        tokio::join!(
            session.transactions(),
            async { session.anonymous_sender().attach().await },
            session.requester("node").attach(),
            async {
                let (mut pairing, mut responders) = (Pairing::new(), Vec::new());
                for _ in 0..4 {
                    let link = pair.server.next_link().await.expect("a link");
                    responders.extend(pairing.accept(link).expect("answered"));
                }
                responders
            }
        )
    })
    .await;
    let refused = [transactions.expect_err("refused"), relay.expect_err("refused")];
    let conditions = refused.each_ref().map(|error| (error.kind(), error.condition().cloned()));
    let expected = [ErrorCondition::NOT_IMPLEMENTED, ErrorCondition::NOT_ALLOWED];
    assert_eq!(conditions, expected.map(|condition| (ErrorKind::LinkRefused, Some(condition))));
    assert_eq!(responders.len(), 1);
    let (requester, mut responder) = (requester.expect("two links"), responders.remove(0));
    let (answer, ()) = soon(async {
        tokio::join!(requester.request(Message::builder().data("x")), async {
            let request = responder.next().await.expect("a link").expect("a request");
            request.reject(AmqpError::new(ErrorCondition::NOT_FOUND, "none")).expect("rejected");
        })
    })
    .await;
    assert_eq!(answer.expect_err("rejected").condition(), Some(&ErrorCondition::NOT_FOUND));
}
