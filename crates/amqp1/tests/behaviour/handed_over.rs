//! What real peers send although the specification forbids it reaches the application, which settles it.

use crate::peers::raw::Raw;
use crate::support::{self, pair, receiver_request, soon, warnings::Warnings};
use amqp1::{
    AcceptedLink, Credit, Delivery, ErrorKind, Message, Outcome, Receiver, Sender, Source, Target, Value,
    brokers::service_bus::{self, SESSION_FILTER},
    codec::{DecodeErrorKind, SequenceNo},
    link::{Attach, FilterSet, Role, SendOptions},
    message::{Body, EncodedMessage},
};
use bytes::Bytes;

/// A message and the section of it that cannot be read, if any.
const MESSAGES: [(&str, Option<&str>); 12] = [
    ("005373c0090240a1056775657374005375a00178", None),
    ("005373c00c07404040404040a30361c3a9005375a00178", Some("properties")),
    ("005374c11402a10130c10e02a108636c69656e744964a10167005375a00178", None),
    ("005374c10902a1016bc003015401005375a00178", None),
    ("005373c00301522a005375a00178", None),
    ("005372c10702a1016ba10176005375a00178", None),
    ("005375a00178005378c10100005371c10100", None),
    ("3c3f786d6c3f3e", Some("body")),
    ("005373c00f0e4040404040404040404040404040005375a00178", Some("properties")),
    ("005374c10904a1016b41a1016b42005375a00178", Some("application-properties")),
    ("00537345005375 40", Some("body")),
    ("00537345005375a0ff78", Some("body")),
];

fn unhex(hex: &str) -> Bytes {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

fn raw_message(octets: &Bytes) -> EncodedMessage {
    EncodedMessage::from_parts([octets.clone()])
}

/// The first section that cannot be read.
fn malformed(message: &Message) -> Option<&'static str> {
    let sections = [
        ("body", !matches!(message.body(), Body::Malformed(_))),
        ("properties", message.properties().is_ok()),
        ("application-properties", message.application_properties().is_ok()),
        ("message-annotations", message.message_annotations().is_ok()),
        ("delivery-annotations", message.delivery_annotations().is_ok()),
        ("header", message.header().is_ok()),
    ];
    sections.into_iter().find(|(_, read)| !read).map(|(section, _)| section)
}

fn octets_of(message: &Message) -> Vec<u8> {
    message.to_encoded().into_parts().concat()
}

async fn received(receiver: &mut Receiver) -> Delivery {
    soon(receiver.recv()).await.expect("a link").expect("a delivery")
}

/// At a client and at an acceptor, under the tolerances that each has by default.
#[tokio::test]
async fn m_3_2_1_a_malformed_message_is_received_and_settled_by_the_application() {
    let mut pair = pair().await;
    let (from_server, at_client) = pair.client_receives(Credit::Window(10)).await;
    let (from_client, at_server) = pair.client_sends(Credit::Window(10)).await;
    for (sender, mut receiver) in [(from_server, at_client), (from_client, at_server)] {
        for (hex, section) in MESSAGES {
            let octets = unhex(hex);
            let sent = soon(sender.reserve()).await.expect("credit").send(raw_message(&octets)).expect("queued");
            let delivery = received(&mut receiver).await;
            assert_eq!((octets_of(delivery.message()), delivery.is_settled()), (octets.to_vec(), false), "{hex}");
            assert_eq!(malformed(delivery.message()), section, "{hex}");
            if section != Some("body") {
                assert_eq!(delivery.message().data().as_deref(), Some(&b"x"[..]), "{hex}");
            }
            // The outcome is the application's, whatever that is.
            delivery.release().expect("settled");
            assert_eq!(soon(sent).await.expect("an outcome"), Outcome::Released, "{hex}");

            let settled = SendOptions { settled: true, ..SendOptions::default() };
            soon(sender.send_with(raw_message(&octets), settled)).await.expect("sent").into_result().expect("settled");
            let delivery = received(&mut receiver).await;
            assert_eq!((octets_of(delivery.message()), delivery.is_settled()), (octets.to_vec(), true), "{hex}");
        }
        assert_eq!(receiver.undecodable(), 0);
    }
}

#[tokio::test]
async fn a_message_of_another_format_is_opaque_octets() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_receives(Credit::Window(10)).await;
    let other = || SendOptions { message_format: 7, ..SendOptions::default() };
    for octets in [&b"\x01\x02"[..], b"\0\x53\x75\xa0\x02hi"] {
        let octets = Bytes::from_static(octets);
        let sending = sender.send_with(raw_message(&octets), other());
        let (sent, ()) = soon(async {
            tokio::join!(sending, async {
                let delivery = received(&mut receiver).await;
                assert_eq!((delivery.message_format(), octets_of(delivery.message())), (7, octets.to_vec()));
                let kind = delivery.message().properties().map_err(|error| error.kind);
                assert_eq!(kind, Err(DecodeErrorKind::OpaqueMessage));
                delivery.accept().expect("settled");
            })
        })
        .await;
        assert_eq!(sent.expect("an outcome"), Outcome::Accepted);
    }
}

/// A link on which the client sends and the server reads piece by piece.
async fn streamed(pair: &mut support::Pair) -> (Sender, Receiver) {
    let session = pair.session().await;
    let (sender, receiver) = tokio::join!(session.sender("q").attach(), async {
        let link = pair.server.next_link().await.expect("a link");
        receiver_request(link)
            .credit(Credit::Window(10))
            .streamed()
            .accept()
            .map(AcceptedLink::Receiver)
            .expect("accepted")
    });
    let AcceptedLink::Receiver(receiver) = receiver else { panic!("the client sends") };
    (sender.expect("a sender"), receiver)
}

#[tokio::test]
async fn m_3_2_1_a_malformed_stream_is_received_and_settled_by_the_application() {
    let mut pair = pair().await;
    let (sender, mut receiver) = streamed(&mut pair).await;
    for (hex, section) in MESSAGES {
        let octets = unhex(hex);
        // The data, if it can be read; all octets, whatever can be read.
        for all in [false, true] {
            let sent = soon(sender.reserve()).await.expect("credit").send(raw_message(&octets)).expect("queued");
            let mut stream = soon(receiver.recv_stream()).await.expect("a link").expect("a message");
            let head = soon(stream.head()).await.expect("a head");
            match section {
                // Nothing of it is a section.
                Some("body") if octets[0] != 0 => assert!(head.properties().is_err(), "{hex}"),
                Some("body") => assert!(head.properties().expect("readable").is_some(), "{hex}"),
                section => assert_eq!(malformed(&head), section, "{hex}"),
            }
            let mut got = Vec::new();
            if all {
                while let Some(octets) = soon(stream.octets()).await.expect("octets") {
                    got.extend_from_slice(&octets);
                }
                assert_eq!(got, octets, "{hex}");
            } else if section == Some("body") {
                let error = loop {
                    match soon(stream.data()).await {
                        Ok(data) => got.extend(data.expect("no end")),
                        Err(error) => break error,
                    }
                };
                assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
                // What was not given as data is left.
                while let Some(octets) = soon(stream.octets()).await.expect("octets") {
                    got.extend_from_slice(&octets);
                }
                assert!(octets.ends_with(&got) || got == b"x", "{hex}: {got:02x?}");
            } else {
                while let Some(data) = soon(stream.data()).await.expect("data") {
                    got.extend_from_slice(&data);
                }
                assert_eq!(got, b"x", "{hex}");
                if hex.contains("005371") {
                    assert!(stream.footer().expect("in order").is_some());
                    assert!(stream.tail().delivery_annotations().expect("tolerated").is_some());
                }
            }
            stream.release().expect("settled");
            assert_eq!(soon(sent).await.expect("an outcome"), Outcome::Released, "{hex}");
        }
    }
}

#[tokio::test]
async fn rejecting_what_is_undecodable_is_an_option_that_counts_and_logs() {
    let warnings = Warnings::listen();
    let mut pair = pair().await;
    let session = pair.session().await;
    let attaching = session.receiver("q").name("a\nb").reject_undecodable(true).attach();
    let (receiver, sender) = tokio::join!(attaching, async {
        pair.server.next_link().await.expect("a link").accept_default().expect("accepted")
    });
    let (mut receiver, AcceptedLink::Sender(sender)) = (receiver.expect("a receiver"), sender) else {
        panic!("the client receives")
    };
    let Outcome::Rejected(Some(error)) =
        soon(sender.send(raw_message(&unhex("3c3f786d6c3f3e")))).await.expect("an outcome")
    else {
        panic!("rejected")
    };
    assert_eq!(error.condition.as_str(), "amqp:decode-error");
    let settled = SendOptions { settled: true, ..SendOptions::default() };
    soon(sender.send_with(raw_message(&unhex("00537540")), settled))
        .await
        .expect("sent")
        .into_result()
        .expect("settled");
    let last = soon(sender.reserve()).await.expect("credit").send(Message::builder().data("last")).expect("queued");
    let delivery = received(&mut receiver).await;
    assert_eq!(delivery.message().data().as_deref(), Some(&b"last"[..]));
    delivery.accept().expect("settled");
    assert_eq!(soon(last).await.expect("an outcome"), Outcome::Accepted);
    assert_eq!(receiver.undecodable(), 2);
    let logged = warnings.logged();
    assert_eq!(logged.len(), 2, "{logged:?}");
    assert!(logged.iter().all(|line| line.contains("reject_undecodable") && !line.contains('\n')), "{logged:?}");

    // Not of what comes piece by piece, at either end.
    let refused = session.receiver("q").streamed().reject_undecodable(true).attach();
    assert_eq!(soon(refused).await.expect_err("not both").kind(), ErrorKind::Config);
    let asking = tokio::spawn(async move { session.sender("q").attach().await.map(drop) });
    let link = soon(pair.server.next_link()).await.expect("a link");
    let refused = receiver_request(link).streamed().reject_undecodable(true).accept();
    assert_eq!(refused.expect_err("not both").kind(), ErrorKind::Config);
    assert!(soon(asking).await.expect("no panic").is_err());
}

#[tokio::test]
async fn an_acceptor_may_reject_what_is_undecodable() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let (sender, receiver) = tokio::join!(session.sender("q").attach(), async {
        let link = pair.server.next_link().await.expect("a link");
        receiver_request(link).reject_undecodable(true).accept().map(AcceptedLink::Receiver).expect("accepted")
    });
    let (sender, AcceptedLink::Receiver(receiver)) = (sender.expect("a sender"), receiver) else {
        panic!("the client sends")
    };
    let outcome = soon(sender.send(raw_message(&unhex("3c3f786d6c3f3e")))).await.expect("an outcome");
    assert!(matches!(outcome, Outcome::Rejected(Some(_))), "{outcome:?}");
    assert_eq!(receiver.undecodable(), 1);
}

/// rhea writes strings as keys of an error's info.
#[tokio::test]
async fn a_redirect_under_string_keys_is_read() {
    let (connection, mut raw) = soon(Raw::connected()).await;
    let (session, ()) = tokio::join!(connection.begin(), raw.begin());
    let session = session.expect("a session");
    let (attached, ()) = soon(async {
        tokio::join!(session.receiver("q").attach(), async {
            let theirs = raw.attach().await;
            let nothing = Attach {
                name: theirs.name,
                role: Role::Sender,
                initial_delivery_count: Some(SequenceNo(0)),
                ..Attach::default()
            };
            raw.send(nothing).await;
            let detach = "0000004c02000000005316c03f03434100531dc03703a312616d71703a6c696e6b3a726564697265637440c11f04a108\
                          686f73746e616d65a109682e6578616d706c65a104706f7274601627";
            raw.octets(&unhex(detach)).await;
        })
    })
    .await;
    let error = attached.expect_err("it is elsewhere");
    let redirect = error.redirect().expect("a redirect");
    assert_eq!((redirect.hostname.as_deref(), redirect.port), (Some("h.example"), Some(5671)), "{error}");
    // The session lives on.
    let (attached, ()) = soon(async {
        tokio::join!(session.receiver("q").attach(), async {
            let theirs = raw.attach().await;
            raw.answer_as_sender(&theirs).await;
        })
    })
    .await;
    attached.expect("a receiver");
}

/// Service Bus gives the next session that is free to who asks for none, and names it.
#[tokio::test]
async fn a_session_filter_is_asked_for_and_named() {
    let (connection, mut raw) = soon(Raw::connected()).await;
    let (session, ()) = tokio::join!(connection.begin(), raw.begin());
    let session = session.expect("a session");
    let (attached, ()) = soon(async {
        tokio::join!(session.receiver("q").filter(service_bus::next_session()).attach(), async {
            let theirs = raw.attach().await;
            let asked = theirs.source.as_ref().and_then(|source| source.filter.clone()).expect("a filter");
            assert_eq!(asked.get("com.microsoft:session-filter"), Some(&Value::Null));
            let mut filter = FilterSet::new();
            filter.insert_undescribed(SESSION_FILTER, "s1");
            let granted = Attach {
                name: theirs.name,
                role: Role::Sender,
                source: Some(Box::new(Source { filter: Some(filter), ..Source::at("q") })),
                target: Some(Target::default().into()),
                initial_delivery_count: Some(SequenceNo(0)),
                ..Attach::default()
            };
            raw.send(granted).await;
        })
    })
    .await;
    let receiver = attached.expect("a receiver");
    assert_eq!(service_bus::session_of(&receiver.remote_attach()).as_deref(), Some("s1"));
}

/// rhea and go-amqp reject with info under string keys.
#[tokio::test]
async fn a_rejection_with_info_under_string_keys_is_an_outcome() {
    let (connection, mut raw) = soon(Raw::connected()).await;
    let (session, ()) = tokio::join!(connection.begin(), raw.begin());
    let session = session.expect("a session");
    let (sender, ()) = soon(async {
        tokio::join!(session.sender("q").attach(), async {
            let theirs = raw.attach().await;
            raw.answer(&theirs, None).await;
        })
    })
    .await;
    let sender = sender.expect("a sender");
    let (outcome, _) = soon(async {
        tokio::join!(sender.send(Message::builder().data("x")), async {
            raw.delivery().await;
            let rejected = "0000004202000000005315c0350541434041005325c02b0100531dc02503a30f636f6d2e6578616d706c653a62\
                            6164a103776879c10c02a106526561736f6ea10172";
            raw.octets(&unhex(rejected)).await;
        })
    })
    .await;
    let Outcome::Rejected(Some(error)) = outcome.expect("an outcome") else { panic!("rejected") };
    assert_eq!((error.condition.as_str(), error.description.as_deref()), ("com.example:bad", Some("why")));
    assert_eq!(error.info.as_ref().and_then(|info| info.get("Reason")), Some(&Value::from("r")));
}
