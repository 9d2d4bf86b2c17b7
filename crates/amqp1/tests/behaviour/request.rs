//! Requests and their answers over a link each way.

use crate::support::{self, Pair, gated_pair, pair, pair_with, receiver_request, soon};
use amqp1::{
    AcceptedLink, Connection, Delivered, Error, ErrorKind, Message, Outcome, Retry, ServerConnection, Symbol, Value,
    codec::messaging::TerminusExpiryPolicy,
    error::{AmqpError, ErrorCondition},
    link::{Role, SenderSettleMode, capability::LINK_PAIR},
    message::{MessageId, Properties},
    request::{IncomingRequest, Pairing, Requester, RequesterBuilder, Responder, Strays},
};
use std::{future::Future, pin::pin, time::Duration};

/// The next two links that belong together.
async fn responder(server: &mut ServerConnection) -> Responder {
    let mut pairing = Pairing::new();
    loop {
        let link = server.next_link().await.expect("a link");
        if let Some(responder) = pairing.accept(link).expect("accepted") {
            return responder;
        }
    }
}

async fn attached(pair: &mut Pair, how: impl FnOnce(RequesterBuilder) -> RequesterBuilder) -> (Requester, Responder) {
    let session = pair.session().await;
    let (requester, responder) = tokio::join!(how(session.requester("node")).attach(), responder(&mut pair.server));
    (requester.expect("two links"), responder)
}

async fn next(responder: &mut Responder) -> IncomingRequest {
    soon(responder.next()).await.expect("a link").expect("a request")
}

fn text(message: &Message) -> String {
    String::from_utf8(message.data().expect("a data section").to_vec()).expect("a text")
}

/// Asks in a task, so that the test goes on.
fn ask(requester: &Requester, body: &'static str) -> tokio::task::JoinHandle<Result<Message, Error>> {
    let requester = requester.clone();
    tokio::spawn(async move { requester.request(Message::builder().data(body)).await })
}

async fn failure(asked: tokio::task::JoinHandle<Result<Message, Error>>) -> Error {
    soon(asked).await.expect("no panic").expect_err("no answer")
}

/// Lets everything happen that can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn answers_find_their_requests_whatever_their_order() {
    let mut pair = pair().await;
    let (requester, mut responder) = attached(&mut pair, |builder| builder).await;
    let mut asked = Vec::new();
    for number in 0..100 {
        let requester = requester.clone();
        let question = move || Message::builder().data(format!("{number}").into_bytes());
        asked.push((number, tokio::spawn(async move { requester.request(question()).await })));
    }
    let mut requests = Vec::new();
    for _ in 0..100 {
        requests.push(next(&mut responder).await);
    }
    assert_eq!(requester.waiting(), 100);
    let answering = tokio::spawn(async move {
        while let Some(request) = requests.pop() {
            let answer = format!("answer {}", text(request.message()));
            request.answer(Message::builder().data(answer.into_bytes())).await.expect("answered");
        }
    });
    for (number, asked) in asked {
        let answer = soon(asked).await.expect("no panic").expect("an answer");
        assert_eq!(text(&answer), format!("answer {number}"));
    }
    soon(answering).await.expect("all are accepted");
    assert_eq!((requester.waiting(), requester.strays()), (0, Strays::default()));
}

#[tokio::test]
async fn a_request_names_itself_and_the_place_for_its_answer() {
    let mut pair = pair().await;
    let (requester, mut responder) = attached(&mut pair, |builder| builder.reply_to_link("here")).await;
    let request = Message::builder().subject("GET").message_id("mine").correlation_id("mine").reply_to("elsewhere");
    let request = request.data("x");
    let (answer, ()) = tokio::join!(requester.request(request), async {
        let request = next(&mut responder).await;
        let properties = request.message().properties().expect("sections").expect("properties");
        assert_eq!(properties.subject.as_deref(), Some("GET"));
        assert_eq!(properties.reply_to.as_deref(), Some("here"));
        assert_eq!((properties.message_id.as_ref(), properties.correlation_id), (request.message_id(), None));
        let answer = Message::builder().subject("200").to("elsewhere").correlation_id("other").data("y");
        request.answer(answer).await.expect("answered");
    });
    let properties = answer.expect("an answer").properties().expect("sections").expect("properties");
    assert_eq!((properties.to.as_deref(), properties.subject.as_deref()), (Some("here"), Some("200")));
}

/// What the client's two links ask for, and what its requests are to say.
async fn asked_for(
    how: impl FnOnce(RequesterBuilder) -> RequesterBuilder,
) -> (Vec<amqp1::link::Attach>, Option<String>) {
    let mut pair = pair().await;
    let session = pair.session().await;
    let (requester, (attaches, _responder)) = tokio::join!(how(session.requester("node")).attach(), async {
        let (mut pairing, mut attaches, mut responder) = (Pairing::new(), Vec::new(), None);
        for _ in 0..2 {
            let link = pair.server.next_link().await.expect("a link");
            attaches.push(link.attach().clone());
            responder = pairing.accept(link).expect("accepted").or(responder);
        }
        (attaches, responder.expect("they belong together"))
    });
    (attaches, requester.expect("two links").reply_to().map(ToString::to_string))
}

fn addresses(attach: &amqp1::link::Attach) -> (Option<&str>, Option<&str>) {
    let target = attach.target.as_ref().and_then(|target| target.as_target());
    (attach.source.as_ref().and_then(|source| source.address.as_deref()), target.and_then(|at| at.address.as_deref()))
}

#[tokio::test]
async fn the_place_for_answers_is_made_by_the_peer_or_chosen_or_left_unsaid() {
    let (attaches, reply_to) = asked_for(|builder| builder).await;
    assert!(attaches[0].role == Role::Receiver && attaches[0].source.as_ref().is_some_and(|source| source.dynamic));
    assert_eq!(addresses(&attaches[1]), (None, Some("node")));
    assert!(reply_to.is_some_and(|address| address.starts_with("answers-")));

    let (attaches, reply_to) = asked_for(|builder| builder.reply_to_link("here")).await;
    assert_eq!(addresses(&attaches[0]), (Some("node"), Some("here")));
    assert_eq!(addresses(&attaches[1]), (Some("here"), Some("node")));
    assert_eq!(reply_to.as_deref(), Some("here"));

    let (first, second) = (
        asked_for(|builder| builder.reply_to_unique_link()).await.1,
        asked_for(|builder| builder.reply_to_unique_link()).await.1,
    );
    assert!(first.is_some() && first != second);

    let (attaches, reply_to) = asked_for(|builder| builder.reply_to_unsaid()).await;
    assert_eq!(addresses(&attaches[0]), (Some("node"), Some("node")));
    assert_eq!(addresses(&attaches[1]), (Some("node"), Some("node")));
    assert_eq!(reply_to, None);
}

/// A broker: answers come from a queue that the client names, by a responder that is another client.
#[tokio::test]
async fn answers_come_from_a_queue_that_is_there() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let requester = session.requester("/queues/node").reply_to("/queues/answers");
    let (requester, (answers, requests)) = tokio::join!(requester.attach(), async {
        let first = pair.server.next_link().await.expect("a link");
        assert_eq!(addresses(first.attach()), (Some("/queues/answers"), None));
        assert!(first.attach().source.as_ref().is_some_and(|source| !source.dynamic && source.capabilities.is_empty()));
        let first = first.accept_default().expect("accepted");
        let second = pair.server.next_link().await.expect("a link");
        assert_eq!(addresses(second.attach()), (None, Some("/queues/node")));
        (first, second.accept_default().expect("accepted"))
    });
    let requester = requester.expect("two links");
    let (AcceptedLink::Sender(answers), AcceptedLink::Receiver(requests)) = (answers, requests) else {
        panic!("answers are sent, requests received")
    };
    assert_eq!(requester.reply_to().map(|address| address.as_str()), Some("/queues/answers"));
    let mut responder = Responder::new(requests, answers.clone());
    let (answer, ()) = tokio::join!(requester.request(Message::builder().data("x")), async {
        let request = next(&mut responder).await;
        assert_eq!(request.reply_to().map(|address| address.as_str()), Some("/queues/answers"));
        let Some(MessageId::String(id)) = request.message_id().cloned() else { panic!("{request:?}") };
        // Left in the queue by an earlier requester.
        for other in [MessageId::from(0), "request-0.0".into()] {
            let properties = Properties { correlation_id: Some(other), ..Properties::default() };
            let stale = Message::builder().properties(properties).data("stale").build();
            answers.send(stale).await.expect("an outcome").into_result().expect("accepted");
        }
        assert!(id.ends_with(".0"), "{id}");
        request.answer(Message::builder().data("y")).await.expect("answered");
    });
    assert_eq!(text(&answer.expect("an answer")), "y");
    assert_eq!((requester.strays().unasked, requester.strays().late), (2, 0));
}

#[tokio::test]
async fn nodes_for_answers_are_asked_for_as_rabbitmq_tells_them_apart() {
    let (attaches, _) = asked_for(|builder| builder).await;
    let source = attaches[0].source.as_ref().expect("a source");
    assert_eq!(*source.capabilities, [Symbol::from_static("temporary-queue")]);
    assert_eq!(attaches[0].snd_settle_mode, SenderSettleMode::Mixed);

    let (attaches, reply_to) = asked_for(RequesterBuilder::direct_reply_to).await;
    let source = attaches[0].source.as_ref().expect("a source");
    assert_eq!(*source.capabilities, [Symbol::from_static("rabbitmq:volatile-queue")]);
    assert!(source.dynamic && source.address.is_none() && source.dynamic_node_properties.is_none());
    assert_eq!((source.expiry_policy, source.timeout), (TerminusExpiryPolicy::LinkDetach, 0));
    assert_eq!(attaches[0].snd_settle_mode, SenderSettleMode::Settled);
    assert!(reply_to.is_some_and(|address| address.starts_with("answers-")));
}

#[tokio::test]
async fn a_node_that_makes_none_for_the_answers_refuses_the_requester() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let (requester, _link) = tokio::join!(session.requester("node").attach(), async {
        pair.server.next_link().await.expect("a link").accept_default().expect_err("no nodes")
    });
    let error = requester.expect_err("no address");
    assert_eq!(error.kind(), ErrorKind::LinkRefused);
    assert_eq!(error.condition(), Some(&ErrorCondition::NOT_IMPLEMENTED));
}

/// Also T-2.6.1-1.
#[tokio::test]
async fn e_pair_1_a_pair_has_one_name_and_says_so_at_both_ends() {
    let acceptor = amqp1::Acceptor::builder().config(|config| config.offered_capabilities.push(LINK_PAIR)).build();
    let mut pair =
        pair_with(|builder| builder.config(|config| config.desired_capabilities.push(LINK_PAIR)), &acceptor).await;
    assert!(pair.client.offers(&LINK_PAIR));
    assert_eq!(*pair.server.connection().remote_open().desired_capabilities, [LINK_PAIR]);
    let session = pair.session().await;
    let is_paired = |attach: &amqp1::link::Attach| {
        attach.properties.as_ref().and_then(|properties| properties.get("paired")) == Some(&Value::Boolean(true))
    };
    let (requester, mut responder) = tokio::join!(session.requester("/management").paired().attach(), async {
        let (mut pairing, mut names) = (Pairing::new(), Vec::new());
        loop {
            let link = pair.server.next_link().await.expect("a link");
            assert!(is_paired(link.attach()));
            names.push(link.attach().name.clone());
            if let Some(responder) = pairing.accept(link).expect("accepted") {
                assert_eq!(names[0], names[1]);
                break responder;
            }
        }
    });
    let requester = requester.expect("a pair");
    let (answer, ()) = tokio::join!(requester.request(Message::builder().data("x")), async {
        let request = next(&mut responder).await;
        assert_eq!(request.reply_to().map(|address| address.as_str()), Some("$me"));
        request.answer(Message::builder().data("y")).await.expect("answered");
    });
    assert_eq!(text(&answer.expect("an answer")), "y");
    let (requests, answers) = responder.into_parts();
    assert!(is_paired(&requests.remote_attach()) && is_paired(&answers.remote_attach()));
}

#[tokio::test]
async fn t_2_6_1_1_one_name_may_be_used_once_in_each_direction() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let (sender, receiver, ()) =
        tokio::join!(session.sender("q").name("x").attach(), session.receiver("q").name("x").attach(), async {
            for _ in 0..2 {
                let link = pair.server.next_link().await.expect("a link");
                assert_eq!(link.attach().name.as_str(), "x");
                tokio::spawn(async move {
                    match link.accept_default().expect("accepted") {
                        AcceptedLink::Sender(sender) => drop(sender.send("from").await),
                        AcceptedLink::Receiver(mut receiver) => {
                            receiver.recv().await.expect("a link").expect("a delivery").accept().expect("settled");
                            receiver.detached().await;
                        }
                    }
                });
            }
        });
    let (sender, mut receiver) = (sender.expect("a sender"), receiver.expect("a receiver"));
    assert_eq!(soon(sender.send("to")).await.expect("an outcome"), Outcome::Accepted);
    let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
    assert_eq!(text(delivery.message()), "from");
    // One ends, and the other of the same name does not.
    soon(sender.close()).await.expect("closed");
    delivery.accept().expect("the other link lives");
}

#[tokio::test]
async fn links_are_put_together_by_what_they_say_and_not_by_their_order() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let serving = tokio::spawn(async move {
        let mut pairing = Pairing::new();
        let mut links = Vec::new();
        for _ in 0..4 {
            links.push(pair.server.next_link().await.expect("a link"));
            let link = links.pop().expect("just pushed");
            let address = link.address().map(str::to_owned);
            if let Some(mut responder) = pairing.accept(link).expect("accepted") {
                tokio::spawn(async move {
                    let request = responder.next().await.expect("a link").expect("a request");
                    let answer = address.expect("an address").into_bytes();
                    request.answer(Message::builder().data(answer)).await.expect("answered");
                });
            }
        }
        pair.server
    });
    let attach = |node| session.requester(node).reply_to_unique_link().attach();
    let (one, two) = tokio::join!(attach("one"), attach("two"));
    let server = soon(serving).await.expect("all are accepted");
    for (requester, node) in [(two, "two"), (one, "one")] {
        let answer = soon(requester.expect("two links").request(Message::builder().data("x"))).await;
        assert_eq!(text(&answer.expect("an answer")), node);
    }
    drop(server);
}

#[tokio::test]
async fn e_pair_1_pairs_of_one_node_are_told_apart_by_their_names() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let attach = || session.requester("node").paired().attach();
    let (one, two, responders) = soon(async {
        tokio::join!(attach(), attach(), async {
            let (mut pairing, mut links, mut responders) = (Pairing::new(), Vec::new(), Vec::new());
            // Both receivers come first, the sender of the second one before that of the first.
            for _ in 0..2 {
                links.push(pair.server.next_link().await.expect("a link"));
            }
            assert!(links.iter().all(|link| link.role() == Role::Receiver));
            for link in links {
                assert!(pairing.accept(link).expect("accepted").is_none());
            }
            let mut links = vec![pair.server.next_link().await, pair.server.next_link().await];
            while let Some(Some(link)) = links.pop() {
                responders.extend(pairing.accept(link).expect("accepted"));
            }
            responders
        })
    })
    .await;
    assert_eq!(responders.len(), 2);
    for responder in responders {
        let (requests, answers) = responder.into_parts();
        assert_eq!(requests.remote_attach().name, answers.remote_attach().name);
    }
    assert!(one.is_ok() && two.is_ok());
}

// What goes wrong.

#[tokio::test(start_paused = true)]
async fn each_request_has_its_own_deadline_and_a_late_answer_is_accepted_and_counted() {
    let mut pair = pair().await;
    let how = |builder: RequesterBuilder| builder.timeout(Duration::from_secs(5));
    let (requester, mut responder) = attached(&mut pair, how).await;
    let start = tokio::time::Instant::now();
    let hasty = amqp1::request::Request::new(Message::builder().data("hasty")).timeout(Duration::from_secs(2));
    let (hasty, usual) = tokio::join!(async { (requester.request(hasty).await, start.elapsed().as_secs()) }, async {
        (requester.request(Message::builder().data("usual")).await, start.elapsed().as_secs())
    },);
    for ((answer, seconds), limit) in [(hasty, 2), (usual, 5)] {
        let error = answer.expect_err("no answer");
        assert_eq!((error.kind(), error.delivered(), seconds), (ErrorKind::Timeout, Delivered::Unknown, limit));
    }
    assert_eq!(requester.waiting(), 0);
    for late in 1..=2 {
        let request = next(&mut responder).await;
        request.answer(Message::builder().data("too late")).await.expect("accepted");
        assert_eq!(requester.strays().late, late);
    }
    // The links are as good as before.
    let (answer, ()) = tokio::join!(requester.request(Message::builder().data("again")), async {
        next(&mut responder).await.answer(Message::builder().data("in time")).await.expect("answered");
    });
    assert_eq!(text(&answer.expect("an answer")), "in time");
    assert_eq!(requester.strays().unasked, 0);
}

#[tokio::test]
async fn what_nobody_asked_for_and_what_comes_twice_is_accepted_and_counted() {
    let mut pair = pair().await;
    let (requester, responder) = attached(&mut pair, |builder| builder).await;
    let (mut requests, answers) = responder.into_parts();
    let answer = |correlation_id: Option<MessageId>| {
        let properties = Properties { correlation_id, ..Properties::default() };
        Message::builder().properties(properties).data("y")
    };
    for unasked in [None, Some("x".into()), Some(77.into())] {
        assert_eq!(soon(answers.send(answer(unasked))).await.expect("an outcome"), Outcome::Accepted);
    }
    assert_eq!(soon(answers.send("no properties at all")).await.expect("an outcome"), Outcome::Accepted);
    let asked = ask(&requester, "x");
    let delivery = requests.recv().await.expect("a link").expect("a request");
    let id = delivery.message().properties().expect("sections").expect("properties").message_id;
    // The answer comes before the request is settled.
    for _ in 0..2 {
        assert_eq!(soon(answers.send(answer(id.clone()))).await.expect("an outcome"), Outcome::Accepted);
    }
    assert_eq!(text(&soon(asked).await.expect("no panic").expect("an answer")), "y");
    delivery.accept().expect("settled");
    let strays = requester.strays();
    assert_eq!((strays.unasked, strays.late), (4, 1));
}

#[tokio::test]
async fn a_request_that_is_dropped_is_forgotten() {
    let mut pair = pair().await;
    let (requester, mut responder) = attached(&mut pair, |builder| builder).await;
    {
        let mut asking = pin!(requester.request(Message::builder().data("x")));
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(asking.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        assert_eq!(requester.waiting(), 1);
    }
    assert_eq!(requester.waiting(), 0);
    soon(next(&mut responder).await.answer(Message::builder().data("y"))).await.expect("accepted");
    assert_eq!(requester.strays().late, 1);
}

#[tokio::test]
async fn a_request_that_the_node_does_not_take_fails_at_once() {
    let mut pair = pair().await;
    let (requester, mut responder) = attached(&mut pair, |builder| builder).await;
    let asked = ask(&requester, "x");
    next(&mut responder).await.reject(AmqpError::new(ErrorCondition::DECODE_ERROR, "what?")).expect("settled");
    let error = failure(asked).await;
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::Rejected, Delivered::No));
    assert_eq!(error.condition(), Some(&ErrorCondition::DECODE_ERROR));
    let asked = ask(&requester, "x");
    drop(next(&mut responder).await);
    assert_eq!(failure(asked).await.kind(), ErrorKind::Modified);
    assert_eq!(requester.waiting(), 0);
}

/// Three requests: one accepted, one sent and not settled, and one that waits for credit.
async fn three(
    pair: &mut Pair,
) -> (Requester, amqp1::Receiver, amqp1::Sender, [tokio::task::JoinHandle<Result<Message, Error>>; 3]) {
    let session = pair.session().await;
    let (requester, (mut requests, answers)) =
        tokio::join!(session.requester("node").reply_to_link("here").attach(), async {
            let AcceptedLink::Sender(answers) =
                pair.server.next_link().await.expect("a link").accept_default().expect("accepted")
            else {
                panic!("the link for answers is attached first")
            };
            let link = pair.server.next_link().await.expect("a link");
            let requests = receiver_request(link).credit(amqp1::Credit::Manual(2)).accept().expect("accepted");
            (requests, answers)
        });
    let requester = requester.expect("two links");
    let accepted = ask(&requester, "accepted");
    requests.recv().await.expect("a link").expect("a request").accept().expect("settled");
    let sent = ask(&requester, "sent");
    drop(requests.recv().await.expect("a link").expect("a request").leave_unsettled());
    let waits = ask(&requester, "no credit");
    settle().await;
    assert_eq!(requester.waiting(), 3);
    (requester, requests, answers, [accepted, sent, waits])
}

async fn all_fail(requester: &Requester, asked: [tokio::task::JoinHandle<Result<Message, Error>>; 3], kind: ErrorKind) {
    for (asked, delivered) in asked.into_iter().zip([Delivered::Yes, Delivered::Unknown, Delivered::No]) {
        let error = failure(asked).await;
        assert_eq!((error.kind(), error.delivered()), (kind, delivered), "{error}");
    }
    assert_eq!(requester.waiting(), 0);
    // Nothing is tried in vain afterwards.
    let error = soon(requester.request(Message::builder().data("x"))).await.expect_err("over");
    assert_eq!((error.kind(), error.delivered()), (kind, Delivered::No));
    assert_eq!(requester.error().map(|error| error.kind()), Some(kind));
}

#[tokio::test]
async fn when_either_link_is_lost_every_request_fails_and_says_whether_it_was_sent() {
    let why = || Some(AmqpError::new(ErrorCondition::DETACH_FORCED, "no more"));
    let mut pair = pair().await;
    let (requester, requests, _answers, asked) = three(&mut pair).await;
    soon(requests.detach_with(why(), true)).await.expect("detached");
    all_fail(&requester, asked, ErrorKind::LinkDetached).await;
    assert_eq!(requester.error().expect("over").condition(), Some(&ErrorCondition::DETACH_FORCED));
    let (requester, _requests, answers, asked) = three(&mut pair).await;
    soon(answers.detach_with(why(), true)).await.expect("detached");
    all_fail(&requester, asked, ErrorKind::LinkDetached).await;
    let (requester, _requests, answers, asked) = three(&mut pair).await;
    soon(answers.close()).await.expect("detached");
    all_fail(&requester, asked, ErrorKind::LinkDetached).await;
    let (requester, _requests, _answers, asked) = three(&mut pair).await;
    soon(requester.close()).await.expect("closed");
    all_fail(&requester, asked, ErrorKind::LinkDetached).await;
}

#[tokio::test]
async fn when_the_connection_is_lost_every_request_fails_and_says_whether_it_was_sent() {
    let (mut pair, gate) = gated_pair().await;
    let (requester, _requests, _answers, asked) = three(&mut pair).await;
    gate.break_off();
    all_fail(&requester, asked, ErrorKind::TransportLost).await;

    let mut pair = support::pair().await;
    let (requester, _requests, _answers, asked) = three(&mut pair).await;
    soon(pair.server.connection().close_with(Some(AmqpError::new(ErrorCondition::CONNECTION_FORCED, "bye"))))
        .await
        .expect("closed");
    all_fail(&requester, asked, ErrorKind::ClosedByPeer).await;
    assert_eq!(requester.error().expect("over").retry(), Retry::ReopenConnection);
}

#[tokio::test]
async fn answers_that_are_there_count_although_the_other_link_has_gone() {
    let mut pair = pair().await;
    let (requester, mut responder) = attached(&mut pair, |builder| builder).await;
    let asked = ask(&requester, "x");
    let request = next(&mut responder).await;
    let id = request.message_id().cloned();
    let (requests, answers) = responder.into_parts();
    let properties = Properties { correlation_id: id, ..Properties::default() };
    drop(answers.try_reserve().expect("credit").send(Message::builder().properties(properties).data("y").build()));
    soon(requests.close()).await.expect("closed");
    assert_eq!(text(&soon(asked).await.expect("no panic").expect("an answer")), "y");
    drop(request);
}

#[tokio::test]
async fn the_last_handle_closes_the_links_and_holds_nothing_open() {
    let mut pair = pair().await;
    let (requester, mut responder) = attached(&mut pair, |builder| builder).await;
    let client: Connection = pair.client;
    drop(client);
    settle().await;
    assert!(!pair.server.connection().is_closed(), "the requester holds it open");
    drop(requester);
    soon(responder.next()).await.map(|request| assert!(request.is_none())).expect("closed in peace");
    drop(responder);
    soon(pair.server.connection().closed()).await;
}
