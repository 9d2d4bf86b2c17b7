//! The examples `send`, `receive` and `broker` as programs.
#![allow(missing_docs)]

#[path = "support/programs.rs"]
mod programs;
mod support;

use amqp1::{
    AcceptedLink, Acceptor, Client, IncomingLink, Message, Receiver, Sender, ServerConnection, Symbol,
    error::{AmqpError, ErrorCondition},
    message::{EncodedMessage, MessageId, Properties},
};
use bytes::Bytes;
#[cfg(unix)]
use programs::{broker, broker_with, ended, program, started};
use programs::{check_success, lines, run, sentence};
use serde_json::json;
#[cfg(unix)]
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};
#[cfg(unix)]
use support::certificates::Authority;
use support::soon;
use tokio::net::TcpListener;

/// Properties whose content-type is a number, and three octets of data.
const ODD: &[u8] = b"\0\x53\x73\xc0\x08\x07\x40\x40\x40\x40\x40\x40\x43\0\x53\x75\xa0\x03abc";

/// A listener that takes what it is sent, rejects what asks for it, and has two messages at the node `two`.
async fn listener() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("amqp://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let acceptor = Acceptor::builder().build();
        loop {
            let (stream, _) = listener.accept().await.expect("a client");
            let connection = acceptor.accept(stream).await.expect("a handshake").accept().await.expect("an open");
            tokio::spawn(serve(connection));
        }
    });
    url
}

async fn serve(mut connection: ServerConnection) {
    while let Some(link) = connection.next_link().await {
        match address(&link).as_str() {
            "nowhere" => link.reject(AmqpError::new(ErrorCondition::NOT_FOUND, "no such\nnode")),
            node => {
                let node = node.to_owned();
                match link.accept_default().expect("accepted") {
                    AcceptedLink::Receiver(receiver) => drop(tokio::spawn(take(receiver))),
                    AcceptedLink::Sender(sender) => drop(tokio::spawn(give(sender, node))),
                }
            }
        }
    }
}

fn address(link: &IncomingLink) -> String {
    let attach = link.attach();
    let target = attach.target.as_ref().and_then(|target| target.as_target()).and_then(|target| target.address.clone());
    let source = attach.source.as_ref().and_then(|source| source.address.clone());
    let addresses = if link.role() == amqp1::link::Role::Sender { target } else { source };
    addresses.expect("an address").to_string()
}

async fn take(mut receiver: Receiver) {
    while let Ok(Some(delivery)) = receiver.recv().await {
        match delivery.message().data().as_deref() {
            Some(b"bad") => delivery.reject(AmqpError::new(ErrorCondition::DECODE_ERROR, "no good")),
            Some(b"later") => delivery.release(),
            _ => delivery.accept(),
        }
        .expect("settled");
    }
}

async fn give(sender: Sender, node: String) {
    let whole = Message::builder()
        .properties(Properties {
            message_id: Some(MessageId::Ulong(7)),
            subject: Some("greeting".into()),
            content_type: Some(Symbol::from_static("text/plain")),
            ..Properties::default()
        })
        .application_property("number", 5)
        .data("hello")
        .build();
    let messages: Vec<EncodedMessage> = match node.as_str() {
        "octets" => vec![Message::builder().data(&b"\xff\x00"[..]).build(), Message::builder().data("\u{7}").build()],
        "two" => vec![whole, EncodedMessage::from_parts([Bytes::from_static(ODD)])],
        _ => vec![],
    };
    for message in messages {
        // A client that has what it wants leaves.
        if sender.send(message).await.is_err() {
            return;
        }
    }
    sender.detached().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_told_with_its_outcome() {
    let url = listener().await;
    let output = run("send", &[&url, "q", "--count", "3", "--body", "hello"]).await;
    check_success(&output);
    let accepted = |number: u32| json!({ "message": number, "outcome": "accepted", "error": null });
    assert_eq!(lines(&output), [accepted(1), accepted(2), accepted(3)]);

    let output = run("send", &[&url, "q", "--size", "100000", "--settled"]).await;
    check_success(&output);
    assert_eq!(lines(&output), [json!({ "message": 1, "outcome": "sent-settled", "error": null })]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_accepted_is_a_failure() {
    let url = listener().await;
    let output = run("send", &[&url, "q", "--count", "2", "--body", "bad"]).await;
    assert_eq!(sentence(&output, 1), "send: 2 of 2 messages were not accepted");
    let lines = lines(&output);
    assert_eq!((lines.len(), &lines[0]["outcome"]), (2, &json!("rejected")));
    let error = lines[0]["error"].as_str().expect("a text");
    assert!(error.ends_with("amqp:decode-error: no good"), "{error}");

    let output = run("send", &[&url, "q", "--body", "later"]).await;
    assert_eq!(sentence(&output, 1), "send: 1 of 1 messages were not accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_told_with_each_section_that_reads_and_those_that_do_not() {
    let url = listener().await;
    let output = run("receive", &[&url, "two", "--count", "2"]).await;
    check_success(&output);
    let lines = lines(&output);
    assert_eq!(lines.len(), 2);
    let whole = &lines[0];
    assert_eq!((&whole["format"], &whole["settled"]), (&json!(0), &json!(false)));
    assert!(whole["tag"].as_str().is_some_and(|tag| !tag.is_empty()), "{whole}");
    let properties = json!({ "message-id": 7, "subject": "greeting", "content-type": "text/plain" });
    assert_eq!(whole["properties"], properties);
    assert_eq!(whole["application-properties"], json!({ "number": 5 }));
    assert_eq!((&whole["data"], &whole["text"]), (&json!(["68656c6c6f"]), &json!("hello")));
    assert!(whole["payload"].as_str().is_some_and(|payload| payload.ends_with("a00568656c6c6f")), "{whole}");
    assert!(whole.get("errors").is_none(), "{whole}");

    let odd = &lines[1];
    assert_eq!(odd["data"], json!(["616263"]));
    assert_eq!(odd["payload"], json!("005373c0080740404040404043005375a003616263"));
    let errors = odd["errors"].as_object().expect("errors");
    assert_eq!(errors.keys().collect::<Vec<_>>(), ["properties.content-type"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_is_not_printable_text_is_in_hexadecimal_digits_alone() {
    let url = listener().await;
    let output = run("receive", &[&url, "octets", "--count", "2"]).await;
    check_success(&output);
    let lines = lines(&output);
    assert_eq!((&lines[0]["data"], &lines[1]["data"]), (&json!(["ff00"]), &json!(["07"])));
    assert!(lines.iter().all(|line| line.get("text").is_none()), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_settled_as_was_asked_for() {
    let url = listener().await;
    for settle in ["accept", "reject", "release", "none"] {
        let output = run("receive", &[&url, "two", "--count", "1", "--settle", settle]).await;
        check_success(&output);
        assert_eq!(lines(&output).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_gets_what_there_is_and_ends() {
    let url = listener().await;
    for arguments in [&["--drain"][..], &["--drain", "--count", "5"], &["--drain", "--timeout", "30"]] {
        let output = run("receive", &[&[&url, "empty"], arguments].concat()).await;
        check_success(&output);
        assert!(lines(&output).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_messages_in_time_are_a_failure_and_an_end_otherwise() {
    let url = listener().await;
    let output = run("receive", &[&url, "two", "--count", "3", "--timeout", "0.5"]).await;
    assert_eq!(sentence(&output, 1), "receive: 2 of 3 messages came: nothing came for 500ms");
    assert_eq!(lines(&output).len(), 2);
    let output = run("receive", &[&url, "two", "--timeout", "0.5"]).await;
    check_success(&output);
    assert_eq!(lines(&output).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_one_sentence_without_the_password() {
    let url = listener().await;
    for name in ["send", "receive"] {
        let output = run(name, &[&url, "nowhere"]).await;
        let text = sentence(&output, 1);
        assert!(text.contains(r"amqp:not-found: no such\nnode"), "{text}");

        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let output = run(name, &[&format!("amqp://user:geheim@{free}"), "q"]).await;
        assert_eq!(sentence(&output, 1), format!("{name}: cannot connect to {free} (TCP): nothing listens on {free}"));

        let output = run(name, &["amqp://user:ge/heim@localhost", "q"]).await;
        let text = sentence(&output, 1);
        assert_eq!(text, format!("{name}: the password contains `/`: percent-encode it as `%2F`"));

        // Options are named, values are not.
        for (arguments, named) in [
            (&["amqp://user:geheim@h"][..], ": <ADDRESS>"),
            (&["q", "q", "amqp://user:geheim@h"], "unexpected argument found"),
            (&["q", "q", "--geheim"], "unexpected argument found"),
            (&["q", "q", "--cuont=geheim"], ": is --count meant?"),
            (&["q", "q", "--count", "geheim"], ": --count <COUNT>"),
            (&["q", "q", "--timeout", "geheim"], ": --timeout <S>"),
            (&["q", "q", "--timeout", "1", "--timeout", "geheim"], ": --timeout <S>"),
        ] {
            let output = run(name, arguments).await;
            let text = sentence(&output, 2);
            assert!(text.ends_with(&format!("{named}: see --help")) && !text.contains("geheim"), "{text}");
        }
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_broker_ends_when_its_input_does_or_by_a_signal_and_says_what_is_lost() {
    for signal in [None, Some("-TERM"), Some("-INT")] {
        let stdin = if signal.is_none() { Stdio::piped() } else { Stdio::null() };
        let (mut child, url) = broker(stdin);
        check_success(&run("send", &[&url, "q", "--count", "3"]).await);
        let output = run("receive", &[&url, "q", "--count", "1"]).await;
        assert_eq!((output.status.code(), lines(&output).len()), (Some(0), 1), "{output:?}");
        assert_eq!(child.try_wait().expect("its state"), None);
        match signal {
            None => drop(child.stdin.take()),
            Some(signal) => {
                let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
                assert!(sent.expect("a shell's kill").success());
            }
        }
        let output = soon(tokio::task::spawn_blocking(move || child.wait_with_output().expect("an end"))).await;
        let output = output.expect("no panic");
        let told = String::from_utf8(output.stderr.clone()).expect("UTF-8");
        assert_eq!((output.status.code(), told.trim_end()), (Some(0), "broker: ended with 2 messages in its queues"));
    }
}

/// Connections that cannot be accepted do not end the servers: others are, once there are fewer.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn too_many_connections_end_no_server() {
    for name in ["broker", "listener"] {
        let mut command = Command::new("sh");
        command.args(["-c", r#"ulimit -n 32 && exec "$0" 127.0.0.1:0"#]).arg(program(name)).stdin(Stdio::null());
        let (mut child, url) = started(command);
        let address = url.trim_start_matches("amqp://");
        let many: Vec<_> = (0..40).map(|_| std::net::TcpStream::connect(address).expect("connected")).collect();
        let mut told = BufReader::new(child.stderr.take().expect("its errors"));
        let mut line = String::new();
        told.read_line(&mut line).expect("a line");
        assert!(line.contains("Too many open files"), "{name}: {line}");
        // What it says goes on being read.
        std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
        drop(many);
        let connection = soon(Client::builder(&url).connect()).await.expect("a connection");
        soon(connection.close()).await.expect("closed");
        child.kill().expect("killed");
        child.wait().expect("an end");
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_broker_is_reached_over_tls_with_its_authority() {
    let authority = Authority::new();
    let issued = authority.issue("localhost");
    let directory = std::env::temp_dir().join(format!("amqp1-example-tls-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = |name: &str, text: &str| {
        let path = directory.join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let (ca, chain) = (file("ca.pem", &authority.pem), file("chain.pem", &issued.chain));
    let other = file("other.pem", &Authority::new().pem);
    let key = file("key.pem", &issued.key);
    let (mut child, url) = broker_with(&["--tls", &chain, &key], Stdio::piped());
    let url = url.replace("amqp://127.0.0.1", "amqps://localhost");
    check_success(&run("send", &[&url, "q", "--ca", &ca]).await);
    let output = run("receive", &[&url, "q", "--count", "1", "--ca", &ca]).await;
    check_success(&output);
    assert_eq!(lines(&output)[0]["text"], json!("hello"));
    for name in ["send", "receive"] {
        let text = sentence(&run(name, &[&url, "q", "--ca", &other]).await, 1);
        assert!(text.ends_with("comes from an authority that is not trusted here"), "{text}");
        let missing = directory.join("missing.pem");
        let missing = missing.to_str().expect("UTF-8");
        let text = sentence(&run(name, &[&url, "q", "--ca", missing]).await, 1);
        assert!(text.contains(missing), "{text}");
    }
    // The platform's store, for which a variable stands.
    let with_variable = |path: String| {
        let mut command = Command::new(program("send"));
        command.args([&url, "q"]).env("SSL_CERT_FILE", path).env_remove("SSL_CERT_DIR");
        command.output().expect("it runs")
    };
    check_success(&with_variable(ca.clone()));
    let text = sentence(&with_variable("/does/not/exist".to_owned()), 1);
    assert!(text.contains("SSL_CERT_FILE"), "{text}");
    drop(child.stdin.take());
    soon(tokio::task::spawn_blocking(move || child.wait().expect("an end"))).await.expect("no panic");
    std::fs::remove_dir_all(&directory).expect("removed");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_queue_has_no_room_for_waits_for_credit() {
    let (child, url) = broker_with(&["--depth", "2"], Stdio::piped());
    let output = run("send", &[&url, "q", "--count", "3", "--timeout", "0.5"]).await;
    assert_eq!(sentence(&output, 1), "send: message 3: no credit came within 500ms");
    let last = json!({ "message": 3, "outcome": null, "error": "no credit came within 500ms", "delivered": "no" });
    assert_eq!((lines(&output).len(), &lines(&output)[2]), (3, &last));
    let told = ended(child).await;
    assert_eq!(told.lines().last(), Some("broker: ended with 2 messages in its queues"), "{told}");
}

/// Clients that leave without an error are not worth a line; of others it is said which.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_broker_names_clients_that_leave_with_an_error() {
    let (child, url) = broker(Stdio::piped());
    for _ in 0..3 {
        check_success(&run("client", &[&url]).await);
    }
    for role in ["sent", "received"] {
        let connection = Client::builder(&url).container_id(role).connect().await.expect("a connection");
        let session = connection.begin().await.expect("a session");
        let error = AmqpError::new(ErrorCondition::INTERNAL_ERROR, "out of paper");
        let detached = match role {
            "sent" => session.sender("q").attach().await.expect("a link").detach_with(Some(error), true).await,
            _ => session.receiver("q").attach().await.expect("a link").detach_with(Some(error), true).await,
        };
        detached.expect("detached");
        connection.close().await.expect("closed");
    }
    let told = ended(child).await;
    let lines: Vec<_> = told.lines().collect();
    let [sent, received, _] = lines[..] else { panic!("{told}") };
    for (line, role) in [(sent, "sent"), (received, "received")] {
        assert!(line.starts_with(&format!("broker: a link on which the client {role} {role} has ended: ")), "{line}");
        assert!(line.ends_with("amqp:internal-error: out of paper"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brokers_help_says_what_it_serves() {
    let output = run("broker", &["--help"]).await;
    check_success(&output);
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    for what in ["queues", "topic://", "selectors", "browse", "durable subscriptions", "dynamic", "anonymous relay"] {
        assert!(help.contains(what), "{what}: {help}");
    }
    for what in ["transactions", "resume", "dead-letters", "standard input"] {
        assert!(help.contains(what), "{what}: {help}");
    }
}
