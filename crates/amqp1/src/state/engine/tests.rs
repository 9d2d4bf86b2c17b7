//! A state that goes on with the engine of a second connection, and keys that are not left behind.

use super::*;
use crate::{
    AcceptedLink, Acceptor, Client, ErrorKind,
    state::{
        link::LinkState,
        shared::{SessionState, Shared},
    },
};
use amqp1_codec::{Message, definitions::SenderSettleMode, messaging::Source};
use amqp1_engine::{
    AttachReply, ConnectionConfig, Event, Instant, ReceiverConfig, SendOptions, ServerSasl, SessionConfig, Settlement,
    TransmitQueue,
};
use bytes::{Buf, BytesMut};
use std::{sync::Arc, time::Duration};

const NOW: Instant = Instant::from_nanos(0);

fn client(now: Instant) -> Connection {
    Connection::client(ConnectionConfig::new("client"), None, now)
}

/// A state without a driver, and the engine at the other end.
struct Ends {
    shared: Arc<Shared>,
    peer: Connection,
    /// The peer's end of the link.
    sender: Option<LinkId>,
}

fn transmit(engine: &mut Connection) -> BytesMut {
    let mut queue = TransmitQueue::default();
    engine.transmit(NOW, usize::MAX, &mut queue);
    let mut octets = BytesMut::new();
    while queue.has_remaining() {
        let length = queue.chunk().len();
        octets.extend_from_slice(queue.chunk());
        queue.advance(length);
    }
    octets
}

impl Ends {
    fn new() -> Self {
        Self { shared: Shared::new(client, None, None), peer: Self::peer(), sender: None }
    }

    fn peer() -> Connection {
        Connection::server(ConnectionConfig::new("server"), ServerSasl::None, NOW)
    }

    /// Carries octets both ways until there are none. The peer accepts what it is offered.
    fn exchange(&mut self) {
        loop {
            let mut sent = self.shared.command(|state, _| transmit(&mut state.engine)).expect("a state");
            let idle = sent.is_empty();
            self.peer.handle_input(NOW, &mut sent);
            while let Some(event) = self.peer.poll_event() {
                match event {
                    Event::SessionOffered(id) => {
                        self.peer.session(id).and_then(|mut session| session.accept(SessionConfig::default())).unwrap();
                    }
                    Event::LinkOffered(id) => {
                        let mut link = self.peer.link(id).expect("a link");
                        let attach = link.remote_attach().expect("an attach");
                        link.accept(AttachReply::basic(&attach)).expect("accepted");
                        self.sender = Some(id);
                    }
                    _ => {}
                }
            }
            let mut answer = transmit(&mut self.peer);
            if idle && answer.is_empty() {
                return;
            }
            let handled = self.shared.command(|state, aside| {
                state.engine.handle_input(NOW, &mut answer);
                state.dispatch(aside, &mut None);
            });
            handled.expect("a state");
        }
    }

    /// Attaches a receiver: a link that was there before keeps its key.
    fn attach(&mut self, known: Option<LinkKey>) -> LinkKey {
        self.exchange();
        let session = self.shared.command(|state, _| {
            let id = state.engine.begin(SessionConfig::default()).expect("a session");
            let key = state.engine.name_session(id);
            state.sessions.insert(key, SessionState::default());
            key
        });
        let session = session.expect("a state");
        self.exchange();
        let link = self.shared.command(|state, _| {
            let config = ReceiverConfig::new("link", Source::at("queue"));
            let id = state.engine.session(session).and_then(|mut session| session.attach_receiver(config));
            let id = id.expect("a link");
            match known {
                Some(key) => {
                    state.engine.bind_link(key, id);
                    key
                }
                None => {
                    let key = state.engine.name_link(id);
                    state.links.insert(key, Box::new(LinkState::new(SenderSettleMode::Mixed)));
                    key
                }
            }
        });
        self.exchange();
        link.expect("a state")
    }

    /// Sends a message with this token; its name at the receiving end.
    fn deliver(&mut self, link: LinkKey, token: u64) -> Received {
        let options = SendOptions { token, ..SendOptions::default() };
        let mut sender = self.peer.sender(self.sender.expect("a link")).expect("a link");
        sender.send(Message::builder().data("x").build(), options).map_err(|unsent| unsent.reason()).expect("sent");
        self.exchange();
        self.shared.command(|state, _| state.engine.recv(link)).expect("a state").expect("a delivery").name()
    }
}

#[test]
fn a_delivery_of_an_earlier_connection_is_not_settled_on_the_present_one() {
    let mut ends = Ends::new();
    let link = ends.attach(None);
    let earlier = ends.deliver(link, 1);
    ends.shared.command(|state, _| state.engine.renew(client(NOW))).expect("a state");
    ends.peer = Ends::peer();
    let unknown = ends.shared.command(|state, _| state.engine.receiver(link).map(|_| ())).expect("a state");
    assert_eq!(unknown, Err(ApiMisuse::UnknownLink));
    assert_eq!(ends.attach(Some(link)), link);
    let present = ends.deliver(link, 2);
    // Nothing but the connection tells the one from the other.
    assert_eq!(earlier.key, present.key);

    let settled = ends.shared.command(|state, _| state.dispose(link, earlier, DeliveryState::Accepted));
    let error = settled.expect("a state").expect_err("a delivery of an earlier connection");
    assert_eq!(error.kind(), ErrorKind::StaleDelivery);
    let sent = ends.shared.command(|state, _| transmit(&mut state.engine)).expect("a state");
    assert!(sent.is_empty(), "{sent:?}");
    let unsettled = ends.shared.look(|state| [earlier, present].map(|name| state.engine.is_unsettled(link, name)));
    assert_eq!(unsettled, [false, true]);

    let settled = ends.shared.command(|state, _| state.dispose(link, present, DeliveryState::Accepted));
    settled.expect("a state").expect("settled");
    ends.exchange();
    let settled = ends.peer.poll_settled().expect("settled");
    assert_eq!((settled.token, settled.settlement), (2, Settlement::Outcome(Some(DeliveryState::Accepted))));
}

#[tokio::test(start_paused = true)]
async fn keys_end_with_the_last_handle_and_the_engines_link() {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let acceptor = Acceptor::builder().build();
    let (client, server) = tokio::join!(Client::builder("amqp://server.test").connect_with(near), async {
        acceptor.accept(far).await.expect("a handshake").accept().await.expect("a connection")
    });
    let (client, mut server) = (client.expect("a connection"), server);
    let named = |connection: &crate::Connection| connection.shared().look(|state| state.engine.named());
    for round in 0..3 {
        let session = client.begin().await.expect("a session");
        // One that is accepted, one that is refused, one that is given up before it is answered.
        let (sender, far) = tokio::join!(session.sender("a").attach(), async {
            let link = server.next_link().await.expect("a link");
            let AcceptedLink::Receiver(receiver) = link.accept_default().expect("accepted") else { panic!("a sender") };
            receiver
        });
        let sender = sender.expect("a link");
        let (refused, ()) = tokio::join!(session.receiver("b").attach(), async {
            drop(server.next_link().await.expect("a link"));
        });
        refused.expect_err("refused");
        let attaching = session.receiver("c").attach();
        tokio::time::timeout(Duration::from_secs(1), attaching).await.expect_err("no answer");
        drop(server.next_link().await.expect("a link"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!((named(&client), named(server.connection()).1), ((1, 1), 1), "{round}");
        drop((sender, far, session));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!((named(&client), named(server.connection()).1), ((0, 0), 0), "{round}");
    }
}
