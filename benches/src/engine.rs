//! The engine's cases: two engines that talk to each other in memory.

use crate::codec;
use amqp1_codec::{
    EncodedMessage,
    messaging::{Source, Target},
};
use amqp1_engine::{
    AttachReply, Connection, ConnectionConfig, Credit, Event, Instant, LinkId, SenderConfig, ServerSasl, SessionConfig,
    TransmitQueue,
};
use bytes::BytesMut;

/// The names of the cases: bodies of so many octets.
pub const CASES: &[&str] = &["engine-64", "engine-1024"];

/// Messages that are on their way together: what a socket's reader takes at once of those with a body of 1 KiB.
const TOGETHER: usize = 50;

/// What carries messages from one engine to another, where they are accepted, `count` times, and says how many came back
/// settled. `None` if there is no such case.
pub fn case(name: &str, count: usize) -> Option<Box<dyn FnMut() -> usize>> {
    let size = CASES.contains(&name).then(|| name.strip_prefix("engine-")?.parse().ok()).flatten()?;
    let message = codec::message(size).build();
    let mut pair = Pair::new();
    // Buffers and queues grow once, before anything is counted.
    pair.round(&message, TOGETHER as u32);
    Some(Box::new(move || {
        let rounds = (0..count).step_by(TOGETHER).map(|done| TOGETHER.min(count - done));
        rounds.map(|most| pair.round(&message, most as u32) as usize).sum()
    }))
}

/// A sending and a receiving engine with one link between them.
#[derive(Debug)]
pub struct Pair {
    client: Connection,
    server: Connection,
    sender: LinkId,
    receiver: LinkId,
}

impl Pair {
    /// Opens everything.
    ///
    /// # Panics
    ///
    /// If the engines do not come together.
    pub fn new() -> Self {
        let now = Instant::default();
        let mut client = Connection::client(ConnectionConfig::new("client"), None, now);
        let mut server = Connection::server(ConnectionConfig::new("server"), ServerSasl::None, now);
        let session = client.begin(SessionConfig::default()).expect("a session");
        let mut session = client.session(session).expect("a session that was begun");
        let sender = session.attach_sender(SenderConfig::new("link", Target::at("queue"))).expect("a link");
        let mut receiver = None;
        for _ in 0..8 {
            exchange(&mut client, &mut server);
            while let Some(event) = server.poll_event() {
                match event {
                    Event::SessionOffered(id) => {
                        let mut session = server.session(id).expect("a live session");
                        session.accept(SessionConfig::default()).expect("a session that is offered");
                    }
                    Event::LinkOffered(id) => {
                        let mut link = server.link(id).expect("a live link");
                        let attach = link.remote_attach().expect("an attach");
                        let mut reply = AttachReply::echo(&attach);
                        reply.source = Some(Source::default());
                        reply.credit = Credit::Window(2000);
                        link.accept(reply).expect("a link that is offered");
                        receiver = Some(id);
                    }
                    _ => {}
                }
            }
            while client.poll_event().is_some() {}
        }
        Self { client, server, sender, receiver: receiver.expect("an attached link") }
    }

    /// Sends as many messages as there is credit for, up to `most`, accepts them, and returns how many came back
    /// settled.
    ///
    /// # Panics
    ///
    /// If a message is lost.
    pub fn round(&mut self, message: &EncodedMessage, most: u32) -> u32 {
        let count = self.client.sender(self.sender).expect("a live link").credit().min(most);
        for _ in 0..count {
            let mut sender = self.client.sender(self.sender).expect("a live link");
            sender.send(message.clone(), Default::default()).expect("credit");
        }
        exchange(&mut self.client, &mut self.server);
        let mut receiver = self.server.receiver(self.receiver).expect("a live link");
        while let Some(delivery) = receiver.recv() {
            let accepted = amqp1_codec::messaging::DeliveryState::Accepted;
            receiver.dispose(delivery.key, accepted).expect("a live link");
        }
        exchange(&mut self.client, &mut self.server);
        let mut settled = 0;
        while self.client.poll_settled().is_some() {
            settled += 1;
        }
        while self.server.poll_event().is_some() || self.client.poll_event().is_some() {}
        settled
    }
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}

/// Carries octets both ways until there are none.
fn exchange(client: &mut Connection, server: &mut Connection) {
    let now = Instant::default();
    loop {
        let mut moved = false;
        for step in 0..2 {
            let (from, to) = if step == 0 { (&mut *client, &mut *server) } else { (&mut *server, &mut *client) };
            let mut wire = TransmitQueue::default();
            from.transmit(now, usize::MAX, &mut wire);
            if !wire.is_empty() {
                moved = true;
                let mut input = BytesMut::with_capacity(wire.remaining());
                wire.segments().for_each(|segment| input.extend_from_slice(segment));
                to.handle_input(now, &mut input);
            }
        }
        if !moved {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_lose_no_message_whatever_their_number() {
        for name in CASES {
            for count in [1, 49, 50, 2000] {
                assert_eq!(case(name, count).expect("a case of this name")(), count, "{name}");
            }
        }
        assert!(case("engine-nothing", 1).is_none());
    }

    #[test]
    fn every_message_of_a_round_comes_back_settled() {
        let mut pair = Pair::new();
        assert_eq!(pair.round(&codec::message(64).build(), 100), 100);
        assert_eq!(pair.round(&codec::message(64 * 1024).build(), 100), 100);
    }
}
