//! A small server at the control address: a message for each link that receives from one of its nodes.

use crate::{
    case::Need,
    client::{ClientTarget, Progress},
    server::Sheet,
    verdict::Stop,
    wire::{Connection, Logs, Recorder},
};
use amqp1_codec::{
    definitions::{AmqpError, ErrorCondition, Role},
    frame::ProtocolHeader,
    message::Message,
    performative::{Attach, Detach, Open, Performative},
    sasl::{SaslCode, SaslInit},
};
use amqp1_script::{AmqpFrame, Got, Link, Peer, frames};
use std::{collections::HashSet, io, net::TcpStream, time::Duration};

/// The time that a client may be silent.
const IDLE: Duration = Duration::from_secs(60);

/// The nodes.
const NODES: [&str; 2] = ["list", "report"];

/// Serves one connection, after `met` with what the client tells about itself. Returns `true` if the client has received
/// the report.
pub(super) fn serve(
    stream: TcpStream,
    target: &ClientTarget,
    met: &dyn Fn(Sheet),
    content: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Result<bool, Stop> {
    let transport = target.layers.accept(stream, target.patience).map_err(Stop::NoConnection)?;
    let mut connection = Peer::new(Recorder::new(transport, Logs::default().add()));
    connection.set_patience(target.patience);
    let (open, mechanism) = opened(&mut connection)?;
    met(sheet_of(&open, mechanism));
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
            Got::Frame(AmqpFrame { channel, body: Some(Performative::Attach(attach)), .. }) if is_unknown(attach) => {
                refuse(&mut connection, &mut progress, *channel, attach);
            }
            Got::Frame(_) => progress.answer(&mut connection, &got, open.max_frame_size),
            Got::Timeout { .. } => return Err(Stop::NoConnection(io::ErrorKind::TimedOut.into())),
            _ => return Ok(has_reported),
        }
        let due =
            |link: &Link| progress.credit(link) > 0 && !served.contains(&(link.channel, link.attach.name.clone()));
        let links: Vec<Link> = progress.links().filter(|link| due(link)).cloned().collect();
        for link in links {
            let node = node_of(&link.attach);
            served.insert((link.channel, link.attach.name.clone()));
            if let Some(json) = content(node) {
                let text = String::from_utf8_lossy(&json).into_owned();
                let message = Message::builder().value(text.as_str()).build().into_parts().concat();
                progress.deliver(&mut connection, &link, &message, open.max_frame_size);
                has_reported |= node == "report";
            }
        }
    }
}

/// What an open and a login tell about a client.
fn sheet_of(open: &Open, mechanism: Option<String>) -> Sheet {
    let mut sheet = Sheet { mechanisms: mechanism.into_iter().collect(), ..Sheet::of_open(open) };
    if !sheet.mechanisms.is_empty() {
        sheet.features.push(Need::Sasl);
    }
    if sheet.mechanisms.iter().any(|mechanism| mechanism == "PLAIN") {
        sheet.features.push(Need::Plain);
    }
    sheet
}

fn node_of(attach: &Attach) -> &str {
    attach.source.as_ref().and_then(|source| source.address.as_deref()).unwrap_or_default()
}

/// Whether the client is to receive from a node that does not exist.
fn is_unknown(attach: &Attach) -> bool {
    attach.role == Role::Receiver && !NODES.contains(&node_of(attach))
}

/// Refuses a link: an answer without a source, and a detach (§2.6.3).
fn refuse(connection: &mut Connection, progress: &mut Progress, channel: u16, attach: &Attach) {
    let Some(session) = progress.session(channel).cloned() else { return };
    let answer = Attach { source: None, ..progress.answer_to(&session, attach) };
    connection.send(session.channel, answer.clone());
    let link = progress.add_link(&session, attach.clone(), &answer);
    let about = format!("the nodes here are {}", NODES.join(" and "));
    let error = AmqpError::new(ErrorCondition::NOT_FOUND, about.as_str());
    connection.send(session.channel, Detach { error: Some(error), ..frames::detach(link.handle) });
    progress.detaching(&link);
}

/// Login, whatever it is, and the opens. Returns the client's open, and its SASL mechanism if it has one.
fn opened(connection: &mut Connection) -> Result<(Open, Option<String>), Stop> {
    let mut mechanism = None;
    let header = connection.expect_any_header()?;
    connection.header(header);
    if header == ProtocolHeader::SASL {
        connection.sasl(frames::mechanisms(&["ANONYMOUS", "PLAIN"]));
        mechanism = Some(connection.expect::<SaslInit>()?.mechanism.to_string());
        connection.sasl(frames::outcome(SaslCode::Ok));
        connection.expect_header(ProtocolHeader::AMQP)?;
        connection.header(ProtocolHeader::AMQP);
    }
    let open = connection.expect::<Open>()?.body;
    connection.send(0, frames::open("amqp-conformance"));
    Ok((open, mechanism))
}
