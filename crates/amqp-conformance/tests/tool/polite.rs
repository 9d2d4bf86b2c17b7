//! A server that agrees to everything, and never refuses: made of the scripts of this crate, without an engine.

use amqp_conformance::{
    client::Progress,
    wire::{Connection, Logs, Recorder},
};
use amqp1_codec::{
    frame::ProtocolHeader,
    performative::{Open, Performative},
    sasl::{SaslCode, SaslInit},
};
use amqp1_script::{AmqpFrame, Got, Peer, Tcp, Unexpected, frames};
use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// What the server does with a connection that begins with a protocol header of another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnOtherVersion {
    Leaves,
    /// It stops listening, as a process that has died.
    Dies,
}

/// Starts the server. It serves until the test program ends.
pub(crate) fn start(on_other_version: OnOtherVersion) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let is_dead = Arc::new(AtomicBool::new(false));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if is_dead.load(Ordering::SeqCst) {
                return;
            }
            let is_dead = Arc::clone(&is_dead);
            thread::spawn(move || {
                let is_other = serve(stream).is_ok_and(|is_other| is_other);
                if is_other && on_other_version == OnOtherVersion::Dies {
                    is_dead.store(true, Ordering::SeqCst);
                    // Wakes the thread that listens, which leaves.
                    drop(TcpStream::connect(address));
                }
            });
        }
    });
    address
}

/// Serves one connection. Returns `true` if it began with another version.
fn serve(stream: TcpStream) -> Result<bool, Unexpected> {
    let tcp = Tcp::new(stream).expect("a socket");
    let mut connection: Connection = Peer::new(Recorder::new(tcp, Logs::default().add()));
    connection.set_patience(Duration::from_secs(10));
    let mut header = connection.expect_any_header()?;
    if header == ProtocolHeader::SASL {
        connection.header(header);
        connection.sasl(frames::mechanisms(&["ANONYMOUS", "PLAIN"]));
        connection.expect::<SaslInit>()?;
        connection.sasl(frames::outcome(SaslCode::Ok));
        header = connection.expect_any_header()?;
    }
    connection.header(ProtocolHeader::AMQP);
    if header != ProtocolHeader::AMQP {
        return Ok(true);
    }
    let open = connection.expect::<Open>()?.body;
    connection.send(0, frames::open("polite"));
    let mut progress = Progress::default();
    loop {
        let got = connection.next();
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Close(_)), .. }) => {
                connection.send(0, frames::close());
                connection.finish();
                return Ok(false);
            }
            Got::Frame(_) => progress.answer(&mut connection, &got, open.max_frame_size),
            Got::Timeout { .. } => {}
            _ => return Ok(false),
        }
    }
}
