//! What the benchmarks have in common: the codec's cases, and two engines that talk to each other in memory.
#![forbid(unsafe_code)]

pub mod codec;

use amqp1_codec::{
    EncodedMessage,
    messaging::{Source, Target},
};
use amqp1_engine::{
    AttachReply, Connection, ConnectionConfig, Credit, Event, Instant, LinkId, SenderConfig, ServerSasl, SessionConfig,
    TransmitQueue,
};
use bytes::BytesMut;

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
        let sender = client.attach_sender(session, SenderConfig::new("link", Target::at("queue"))).expect("a link");
        let mut receiver = None;
        for _ in 0..8 {
            exchange(&mut client, &mut server);
            while let Some(event) = server.poll_event() {
                match event {
                    Event::SessionOffered(id) => {
                        server.accept_session(id, SessionConfig::default()).expect("a session that is offered");
                    }
                    Event::LinkOffered(id) => {
                        let attach = server.remote_attach(id).expect("an attach").clone();
                        let mut reply = AttachReply::echo(&attach);
                        reply.source = Some(Source::default());
                        reply.credit = Credit::Window(2000);
                        server.accept_link(id, reply).expect("a link that is offered");
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
        let count = self.client.credit(self.sender).min(most);
        for _ in 0..count {
            self.client.send(self.sender, message.clone(), Default::default()).expect("credit");
        }
        exchange(&mut self.client, &mut self.server);
        while let Some(delivery) = self.server.recv(self.receiver) {
            let accepted = amqp1_codec::messaging::DeliveryState::Accepted;
            self.server.dispose(self.receiver, delivery.key, accepted).expect("a live link");
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
    fn every_message_of_a_round_comes_back_settled() {
        let mut pair = Pair::new();
        assert_eq!(pair.round(&codec::message(64).build(), 100), 100);
        assert_eq!(pair.round(&codec::message(64 * 1024).build(), 100), 100);
    }
}
