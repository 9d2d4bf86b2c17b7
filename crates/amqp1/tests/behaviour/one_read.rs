//! What a peer opens and ends within one read gets the answers that it gets octet by octet.

use crate::support::{self, soon};
use amqp1::{
    Acceptor, Client, ErrorKind, Source, Target,
    codec::{
        EncodeStyle, Limits, SequenceNo,
        frame::{Frame, FrameDecoder, ProtocolHeader, write_frame},
        performative::{Begin, Close, Detach, End, Flow, Open, Performative},
    },
    error::ErrorCondition,
    link::{Attach, Role},
};
use bytes::BytesMut;
use std::{collections::BTreeMap, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

fn push(octets: &mut BytesMut, channel: u16, body: impl Into<Performative>) {
    write_frame(channel, Some(&body.into()), EncodeStyle::Compact, octets);
}

fn begin() -> Begin {
    Begin { incoming_window: 100, outgoing_window: 100, ..Begin::default() }
}

fn attach(name: &'static str, handle: u32, role: Role) -> Attach {
    Attach {
        name: name.into(),
        handle,
        role,
        source: Some(Box::new(Source::at("q"))),
        target: Some(Target::at("q").into()),
        initial_delivery_count: (role == Role::Sender).then_some(SequenceNo(0)),
        ..Attach::default()
    }
}

/// A frame of a session, by number.
fn step(octets: &mut BytesMut, channel: u16, step: usize) {
    match step {
        0 => push(octets, channel, Flow { incoming_window: 100, outgoing_window: 100, ..Flow::default() }),
        1 => push(octets, channel, attach("sends", 0, Role::Sender)),
        2 => push(octets, channel, attach("receives", 1, Role::Receiver)),
        3 => {
            push(octets, channel, attach("comes and goes", 2, Role::Sender));
            push(octets, channel, Detach { handle: 2, closed: true, error: None });
        }
        _ => write_frame(0, None::<&Performative>, EncodeStyle::Compact, octets),
    }
}

/// Session 0 begins, does these things, and ends or not; session 1 lives; then the connection is closed or not.
fn script(steps: &[usize], ends: bool, closes: bool) -> BytesMut {
    let mut octets = BytesMut::new();
    push(&mut octets, 0, begin());
    push(&mut octets, 1, begin());
    for number in steps {
        step(&mut octets, 0, *number);
    }
    if ends {
        push(&mut octets, 0, End { error: None });
    }
    push(&mut octets, 1, attach("stays", 0, Role::Sender));
    if closes {
        push(&mut octets, 0, Close { error: None });
    }
    octets
}

/// Writes in pieces of this size, each of which is read and answered before the next.
async fn write(io: &mut DuplexStream, octets: &[u8], piece: usize) {
    for piece in octets.chunks(piece) {
        io.write_all(piece).await.expect("written");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The frames that come, until nothing more does.
async fn read(io: &mut DuplexStream) -> Vec<(u16, Performative)> {
    let mut input = BytesMut::new();
    let quiet = Duration::from_secs(3);
    while let Ok(Ok(1..)) = tokio::time::timeout(quiet, io.read_buf(&mut input)).await {}
    let mut frames = Vec::new();
    while !input.is_empty() {
        if input.starts_with(b"AMQP") {
            input = input.split_off(ProtocolHeader::LEN);
            continue;
        }
        let frame = FrameDecoder::new(u32::MAX, Limits::DEFAULT).decode(&mut input).expect("a frame");
        if let Frame::Amqp { channel, performative: Some(body), .. } = frame.expect("a whole frame") {
            frames.push((channel, body));
        }
    }
    frames
}

/// Begins, ends and the close by the peer's channels, with the conditions of errors.
fn answers(frames: &[(u16, Performative)]) -> Vec<String> {
    let mut channels = BTreeMap::new();
    let mut answers = Vec::new();
    for (channel, body) in frames {
        let (theirs, error) = match body {
            Performative::Begin(begin) => {
                channels.insert(*channel, begin.remote_channel);
                (begin.remote_channel, None)
            }
            Performative::End(end) => (channels.remove(channel).flatten(), end.error.clone()),
            Performative::Close(close) => (None, close.error.clone()),
            Performative::Attach(attach) if attach.name == "stays" => (channels[channel], None),
            _ => continue,
        };
        answers.push(format!("{} {theirs:?} {:?}", body.name(), error.map(|error| error.condition)));
    }
    answers.sort();
    answers
}

/// What an acceptor answers whose application looks after this long.
async fn frames_of(octets: &[u8], piece: usize, after: Duration) -> Vec<(u16, Performative)> {
    let (mut near, far) = tokio::io::duplex(64 * 1024);
    let server = tokio::spawn(async move {
        let incoming =
            Acceptor::builder().build().accept(support::checked::Checked::new(far)).await.expect("a handshake");
        let mut connection = incoming.accept().await?;
        tokio::time::sleep(after).await;
        let mut links = Vec::new();
        while let Some(link) = connection.next_link().await {
            links.extend(link.accept_default());
        }
        Ok::<_, amqp1::Error>(())
    });
    let mut hello = BytesMut::from(&ProtocolHeader::AMQP.encode()[..]);
    push(&mut hello, 0, Open { container_id: "raw".into(), ..Open::default() });
    hello.extend_from_slice(octets);
    write(&mut near, &hello, piece).await;
    let frames = read(&mut near).await;
    server.abort();
    frames
}

async fn served(octets: &[u8], piece: usize) -> Vec<String> {
    answers(&frames_of(octets, piece, Duration::ZERO).await)
}

/// The answers of one link, or of a session or the connection (without a name), by the peer's channel.
type Answers = BTreeMap<(Option<u16>, String), Vec<String>>;

/// All that is answered. Whether a link that is gone when it is answered is refused or accepted is said in its attach, and
/// is no matter: both are followed by the detach.
fn all_answers(frames: &[(u16, Performative)]) -> Answers {
    let (mut channels, mut names) = (BTreeMap::new(), BTreeMap::new());
    let mut answers = Answers::new();
    for (channel, body) in frames {
        if let Performative::Begin(begin) = body {
            channels.insert(*channel, begin.remote_channel);
        }
        let theirs = channels.get(channel).copied().flatten();
        let (key, what) = match body {
            Performative::Attach(attach) => {
                names.insert((*channel, attach.handle), attach.name.to_string());
                ((theirs, attach.name.to_string()), "attach".to_owned())
            }
            Performative::Detach(detach) => {
                let condition = detach.error.as_ref().map(|error| error.condition.clone());
                ((theirs, names[&(*channel, detach.handle)].clone()), format!("detach {} {condition:?}", detach.closed))
            }
            Performative::Open(_) | Performative::Flow(_) => continue,
            Performative::Close(_) => ((None, String::new()), "close".to_owned()),
            other => ((theirs, String::new()), other.name().to_owned()),
        };
        answers.entry(key).or_default().push(what);
    }
    answers
}

/// What the links get, whether the application looks at once or when all of it has come.
///
/// A link of a session that lives gets its attach, and its detach if the peer has detached it. Of a session that the peer
/// has ended, or of a connection that it has closed, nothing more is owed for links (§2.4.6, §2.5.5): the end, or the
/// close, answers for them. Whether they are answered before that depends on what comes first, the application's word for
/// the session and the link or the peer's end, and so on how the octets are read. One that is answered is answered in full.
#[tokio::test(start_paused = true)]
async fn links_get_of_one_read_what_they_get_of_octets() {
    let steps: [&[usize]; 8] = [&[], &[1], &[2], &[3], &[1, 2], &[1, 3], &[3, 2], &[0, 4]];
    for (ends, closes) in [(true, false), (true, true), (false, true), (false, false)] {
        for (steps, late) in steps.iter().flat_map(|steps| [(*steps, 0), (*steps, 2)]) {
            let octets = script(steps, ends, closes);
            let lives = |theirs: Option<u16>| !(closes || ends && theirs == Some(0));
            let link = |name: &str, answers: &[&str]| {
                ((Some(0), name.to_owned()), answers.iter().map(|answer| (*answer).to_owned()).collect::<Vec<_>>())
            };
            let gone = link("comes and goes", &["attach", "detach true None"]);
            let mut owed = Answers::new();
            if lives(Some(0)) {
                owed.extend(steps.iter().filter_map(|step| match step {
                    1 => Some(link("sends", &["attach"])),
                    2 => Some(link("receives", &["attach"])),
                    3 => Some(gone.clone()),
                    _ => None,
                }));
            }
            if lives(Some(1)) {
                owed.insert((Some(1), "stays".to_owned()), vec!["attach".to_owned()]);
            }
            for piece in [octets.len() + 100, 1] {
                let mut answers = all_answers(&soon(frames_of(&octets, piece, Duration::from_secs(late))).await);
                let case = format!("{steps:?} {ends} {closes}, {piece} octets at a time, looks after {late} s");
                if let Some(answered) = answers.get(&gone.0) {
                    assert_eq!(*answered, gone.1, "{case}");
                }
                answers.retain(|(theirs, name), _| !name.is_empty() && lives(*theirs));
                assert_eq!(answers, owed, "{case}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_acceptor_answers_one_read_as_it_answers_octets() {
    let steps: Vec<Vec<usize>> = (0..5)
        .map(|a| vec![a])
        .chain((0..5).flat_map(|a| (0..5).filter(move |b| *b != a).map(move |b| vec![a, b])))
        .collect();
    for (ends, closes) in [(true, false), (true, true), (false, true), (false, false)] {
        for steps in [vec![]].iter().chain(&steps) {
            let octets = script(steps, ends, closes);
            let at_once = soon(served(&octets, octets.len() + 100)).await;
            let by_octets = soon(served(&octets, 1)).await;
            let mut expected = vec!["begin Some(0) None", "begin Some(1) None"];
            if !closes {
                expected.push("attach Some(1) None");
            }
            if ends {
                expected.push("end Some(0) None");
            }
            if closes {
                expected.push("close None None");
            }
            expected.sort_unstable();
            // Whether a link is answered before the connection is closed depends on when its application looks.
            let owed = |answers: &[String]| -> Vec<String> {
                answers.iter().filter(|answer| !(closes && answer.starts_with("attach"))).cloned().collect()
            };
            assert_eq!(owed(&at_once), expected, "{steps:?} {ends} {closes}");
            assert_eq!(owed(&by_octets), expected, "{steps:?} {ends} {closes}");
        }
    }
}

/// A client takes no sessions of the server: it refuses them, and one that is gone already costs nothing.
#[tokio::test(start_paused = true)]
async fn a_client_outlives_a_session_that_a_server_begins_and_ends_in_one_read() {
    for (ends, piece) in [(true, 1), (true, 10_000), (false, 10_000)] {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let mut hello = BytesMut::from(&ProtocolHeader::AMQP.encode()[..]);
        push(&mut hello, 0, Open { container_id: "raw".into(), ..Open::default() });
        far.write_all(&hello).await.expect("written");
        let client = Client::builder("amqp://server.test").no_sasl().connect_with(support::checked::Checked::new(near));
        let connection = soon(client).await.expect("a connection");
        let mut octets = BytesMut::new();
        push(&mut octets, 0, begin());
        if ends {
            push(&mut octets, 0, End { error: None });
        }
        write(&mut far, &octets, piece).await;
        let names: Vec<_> = read(&mut far).await.iter().map(|(_, body)| body.name()).collect();
        assert_eq!(names, ["open", "begin", "end"]);
        assert!(!connection.is_closed());
    }
}

/// Broker-J refuses a connection with an open of max-frame-size 0 and a close that says why.
#[tokio::test(start_paused = true)]
async fn a_refusal_behind_an_open_of_max_frame_size_0_says_why() {
    for (strict, together) in [(false, true), (false, false), (true, true)] {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let client = Client::builder("amqp://server.test").no_sasl().config(|config| {
            if strict {
                config.tolerances = amqp1::connection::Tolerances::STRICT;
            }
        });
        let mut octets = BytesMut::from(&ProtocolHeader::AMQP.encode()[..]);
        push(&mut octets, 0, Open { container_id: "broker".into(), max_frame_size: 0, ..Open::default() });
        let open = octets.len();
        push(&mut octets, 0, Close { error: Some(ErrorCondition::NOT_FOUND.into()) });
        let (connected, ()) = tokio::join!(client.connect_with(support::checked::Checked::new(near)), async {
            let piece = if together { octets.len() } else { open };
            write(&mut far, &octets, piece).await;
        });
        let error = match connected {
            Err(error) => error,
            Ok(connection) => {
                assert!(!together);
                soon(connection.closed()).await;
                connection.closed_error().expect("closed")
            }
        };
        assert_eq!(error.kind(), ErrorKind::ClosedByPeer, "{error}");
        assert_eq!(error.condition(), Some(&ErrorCondition::NOT_FOUND));
    }
}
