//! A server that agrees to everything, and never refuses: made of the scripts of this crate, without an engine.

use amqp_conformance::{
    client::Progress,
    wire::{Connection, Logs, Recorder},
};
use amqp1_auth::sasl::scram::{ScramDecoy, ScramHash, ScramServer, ScramStep, StoredCredential};
use amqp1_codec::{
    Symbol, Value,
    frame::ProtocolHeader,
    messaging::DeliveryState,
    performative::{Open, Performative},
    sasl::{SaslBody, SaslChallenge, SaslCode, SaslInit, SaslOutcome, SaslResponse, Secret},
};
use amqp1_script::{AmqpFrame, Got, Link, Peer, Tcp, Unexpected, frames};
use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

/// What the server does with a connection that begins with a protocol header of another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnOtherVersion {
    Leaves,
    /// It dies: the next connection is still accepted, but broken at once, and no other is accepted.
    Dies,
    /// The same, and a second later it is started again, at the same address.
    DiesAndReturns,
}

/// Whom the server lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LetsIn {
    Everyone,
    /// Everyone, by a server that says this wherever it names itself.
    EveryoneAs(&'static str),
    /// Users with this password, which they prove by this mechanism alone.
    ByScram(ScramHash, &'static str),
}

/// Starts the server. It serves until the test program ends.
pub(crate) fn start(on_other_version: OnOtherVersion) -> SocketAddr {
    start_for(LetsIn::Everyone, on_other_version)
}

/// Starts a server that lets these in.
pub(crate) fn start_for(lets_in: LetsIn, on_other_version: OnOtherVersion) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        listen(listener, lets_in, on_other_version, &Queue::default());
        if on_other_version == OnOtherVersion::DiesAndReturns {
            thread::sleep(Duration::from_secs(1));
            let listener = TcpListener::bind(address).expect("the port is still free");
            listen(listener, lets_in, OnOtherVersion::Leaves, &Queue::default());
        }
    });
    address
}

/// Starts a server whose one queue holds this many messages.
pub(crate) fn start_with(messages: u32) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let queue = Queue(Arc::new(AtomicU32::new(messages)));
    thread::spawn(move || listen(listener, LetsIn::Everyone, OnOtherVersion::Leaves, &queue));
    address
}

/// The number of messages in the queue that are not acquired. What is sent to it is not kept.
#[derive(Clone, Debug, Default)]
struct Queue(Arc<AtomicU32>);

/// Accepts connections until the server dies.
fn listen(listener: TcpListener, lets_in: LetsIn, on_other_version: OnOtherVersion, queue: &Queue) {
    let is_dying = Arc::new(AtomicBool::new(false));
    while let Ok((stream, _)) = listener.accept() {
        if is_dying.load(Ordering::SeqCst) {
            drop(listener);
            drop(stream);
            return;
        }
        let (is_dying, queue) = (Arc::clone(&is_dying), queue.clone());
        thread::spawn(move || {
            let on_other_version = || is_dying.store(on_other_version != OnOtherVersion::Leaves, Ordering::SeqCst);
            serve(stream, lets_in, &queue, on_other_version)
        });
    }
}

/// Plays the server of SCRAM, up to the outcome.
fn scram(connection: &mut Connection, hash: ScramHash, password: &str) -> Result<(), Unexpected> {
    connection.sasl(frames::mechanisms(&[hash.mechanism(), "ANONYMOUS"]));
    let init = connection.expect::<SaslInit>()?.body;
    let decoy = ScramDecoy::new([7; 16]).expect("a secret of 16 octets");
    let mut server = ScramServer::new(hash, "nonceoftheserver", &decoy).expect("a nonce");
    let stored = StoredCredential::from_password(hash, password, *b"salt", 4096).expect("a password");
    let first = init.initial_response.unwrap_or_default();
    let challenge = server.respond(&first.0).and_then(|_| server.credential(Some(&stored)));
    let Ok(challenge) = challenge else {
        connection.sasl(frames::outcome(SaslCode::Auth));
        return Ok(());
    };
    connection.sasl(SaslBody::Challenge(SaslChallenge { challenge: Secret(challenge) }));
    let response = connection.expect::<SaslResponse>()?.body.response;
    connection.sasl(match server.respond(&response.0) {
        Ok(ScramStep::Verified { additional_data, .. }) => {
            SaslBody::Outcome(SaslOutcome { code: SaslCode::Ok, additional_data: Some(Secret(additional_data)) })
        }
        _ => frames::outcome(SaslCode::Auth),
    });
    Ok(())
}

fn open_of(lets_in: LetsIn) -> Open {
    let LetsIn::EveryoneAs(name) = lets_in else { return frames::open("polite") };
    let properties = ["product", "version"].map(|key| (Symbol::from_static(key), Value::from(name)));
    Open { properties: Some(properties.into_iter().collect()), ..frames::open(name) }
}

/// Serves one connection. Calls `on_other_version` before it leaves one that begins with another version.
fn serve(
    stream: TcpStream,
    lets_in: LetsIn,
    Queue(queue): &Queue,
    on_other_version: impl FnOnce(),
) -> Result<(), Unexpected> {
    let tcp = Tcp::new(stream).expect("a socket");
    let mut connection: Connection = Peer::new(Recorder::new(tcp, Logs::default().add()));
    connection.set_patience(Duration::from_secs(10));
    let mut header = connection.expect_any_header()?;
    if header == ProtocolHeader::SASL {
        connection.header(header);
        match lets_in {
            LetsIn::Everyone | LetsIn::EveryoneAs(_) => {
                connection.sasl(frames::mechanisms(&["ANONYMOUS", "PLAIN"]));
                connection.expect::<SaslInit>()?;
                connection.sasl(frames::outcome(SaslCode::Ok));
            }
            LetsIn::ByScram(hash, password) => scram(&mut connection, hash, password)?,
        }
        header = connection.expect_any_header()?;
    }
    connection.header(ProtocolHeader::AMQP);
    if header != ProtocolHeader::AMQP {
        on_other_version();
        return Ok(());
    }
    let open = connection.expect::<Open>()?.body;
    connection.send(0, open_of(lets_in));
    let mut progress = Progress::default();
    loop {
        let got = connection.next();
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Close(_)), .. }) => {
                connection.send(0, frames::close());
                connection.finish();
                return Ok(());
            }
            Got::Frame(AmqpFrame { body, .. }) => {
                if let Some(Performative::Disposition(disposition)) = body
                    && disposition.state == Some(DeliveryState::Released)
                {
                    let last = disposition.last.unwrap_or(disposition.first);
                    queue.fetch_add(last.distance_from(disposition.first) + 1, Ordering::SeqCst);
                }
                // A drain uses up the credit that is left after the messages.
                progress.note(&got);
                let has_credit = |link: &&Link| progress.credit(link) > 0;
                let credited = progress.attached_links().find(has_credit).cloned();
                if let Some(link) = credited {
                    for _ in 0..progress.credit(&link).min(queue.load(Ordering::SeqCst)) {
                        queue.fetch_sub(1, Ordering::SeqCst);
                        progress.deliver(&mut connection, &link, &frames::message("held"), open.max_frame_size);
                    }
                }
                progress.answer(&mut connection, &got, open.max_frame_size);
            }
            Got::Timeout { .. } => {}
            _ => return Ok(()),
        }
    }
}
