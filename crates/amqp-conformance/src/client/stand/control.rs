//! A small server at the control address: a message for each link that receives.

use crate::{
    client::{ClientTarget, Progress},
    verdict::Stop,
    wire::{Connection, Logs, Recorder},
};
use amqp1_codec::{
    frame::ProtocolHeader,
    message::Message,
    performative::{Open, Performative},
    sasl::{SaslCode, SaslInit},
};
use amqp1_script::{AmqpFrame, Got, Link, Peer, frames};
use std::{collections::HashSet, io, net::TcpStream, time::Duration};

/// The time that a client may be silent.
const IDLE: Duration = Duration::from_secs(60);

/// Serves one connection. Returns `true` if the client has received the report.
pub(super) fn serve(
    stream: TcpStream,
    target: &ClientTarget,
    content: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Result<bool, Stop> {
    let transport = target.layers.accept(stream, target.patience).map_err(Stop::NoConnection)?;
    let mut connection = Peer::new(Recorder::new(transport, Logs::default().add()));
    connection.set_patience(target.patience);
    let open = opened(&mut connection)?;
    let mut progress = Progress::default();
    let mut served = HashSet::new();
    let mut has_reported = false;
    loop {
        let got = connection.next_within(IDLE);
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Close(_)), .. }) => {
                connection.send(0, frames::close());
                connection.finish();
                return Ok(has_reported);
            }
            Got::Frame(_) => progress.answer(&mut connection, &got, open.max_frame_size),
            Got::Timeout { .. } => return Err(Stop::NoConnection(io::ErrorKind::TimedOut.into())),
            _ => return Ok(has_reported),
        }
        let due =
            |link: &Link| progress.credit(link) > 0 && !served.contains(&(link.channel, link.attach.name.clone()));
        let links: Vec<Link> = progress.links().filter(|link| due(link)).cloned().collect();
        for link in links {
            let node = link.attach.source.as_ref().and_then(|source| source.address.clone()).unwrap_or_default();
            served.insert((link.channel, link.attach.name.clone()));
            if let Some(json) = content(&node) {
                let text = String::from_utf8_lossy(&json).into_owned();
                let message = Message::builder().value(text.as_str()).build().into_parts().concat();
                progress.deliver(&mut connection, &link, &message, open.max_frame_size);
                has_reported |= &*node == "report";
            }
        }
    }
}

/// Login, whatever it is, and the opens.
fn opened(connection: &mut Connection) -> Result<Open, Stop> {
    let header = connection.expect_any_header()?;
    connection.header(header);
    if header == ProtocolHeader::SASL {
        connection.sasl(frames::mechanisms(&["ANONYMOUS", "PLAIN"]));
        connection.expect::<SaslInit>()?;
        connection.sasl(frames::outcome(SaslCode::Ok));
        connection.expect_header(ProtocolHeader::AMQP)?;
        connection.header(ProtocolHeader::AMQP);
    }
    let open = connection.expect::<Open>()?.body;
    connection.send(0, frames::open("amqp-conformance"));
    Ok(open)
}
