//! An engine as the other end of a script.

use amqp1_codec::sasl::SaslCode;
use amqp1_engine::{
    AttachReply, Connection, Credit, Event, IncomingDelivery, Instant, LinkId, Receiver, Sender, Session,
    SessionConfig, SessionId, TransmitQueue,
};
use amqp1_script::{Answer, Answering, Peer, Transport};
use bytes::BytesMut;
use std::{cell::RefCell, rc::Rc, time::Duration};

/// An engine whose application accepts everything.
pub(crate) struct App {
    pub(crate) engine: Connection,
    pub(crate) events: Vec<Event>,
    input: BytesMut,
}

impl App {
    /// Its time at the script's.
    fn instant(now: Duration) -> Instant {
        Instant::default() + now
    }

    fn answer(&mut self, now: Duration, octets: &[u8]) -> Answer {
        let at = Self::instant(now);
        self.input.extend_from_slice(octets);
        if self.engine.poll_timeout().is_some_and(|deadline| deadline <= at) {
            self.engine.handle_timeout(at);
        }
        let mut wire = TransmitQueue::default();
        loop {
            let (before, written) = (self.input.len(), wire.remaining());
            self.engine.handle_input(at, &mut self.input);
            self.look();
            self.engine.transmit(at, usize::MAX, &mut wire);
            self.look();
            if self.input.len() == before && wire.remaining() == written {
                break;
            }
        }
        let wake = self.engine.poll_timeout().map(|deadline| deadline - Instant::default());
        Answer { octets: wire.to_vec(), eof: self.engine.is_finished(), wake, ..Answer::default() }
    }

    fn look(&mut self) {
        while let Some(event) = self.engine.poll_event() {
            match &event {
                Event::SaslInit { .. } => self.engine.sasl_outcome(SaslCode::Ok, None),
                Event::SessionOffered(id) => {
                    let _ = self.engine.session(*id).and_then(|mut session| session.accept(SessionConfig::default()));
                }
                Event::LinkOffered(id) => {
                    let mut link = self.engine.link(*id).expect("an offered link");
                    if let Some(attach) = link.remote_attach() {
                        let reply = AttachReply { credit: Credit::Window(10), ..AttachReply::echo(&attach) };
                        let _ = link.accept(reply);
                    }
                }
                _ => {}
            }
            self.events.push(event);
        }
    }

    /// The only link that the script attached.
    pub(crate) fn link(&self) -> LinkId {
        let offered = |event: &Event| if let Event::LinkOffered(id) = event { Some(*id) } else { None };
        self.events.iter().find_map(offered).expect("a link was offered")
    }

    pub(crate) fn session(&mut self, id: SessionId) -> Session<'_> {
        self.engine.session(id).expect("begun")
    }

    pub(crate) fn sender(&mut self, id: LinkId) -> Sender<'_> {
        self.engine.sender(id).expect("attached")
    }

    pub(crate) fn receiver(&mut self, id: LinkId) -> Receiver<'_> {
        self.engine.receiver(id).expect("attached")
    }

    pub(crate) fn take(&mut self, link: LinkId) -> IncomingDelivery {
        self.receiver(link).recv().expect("a delivery is there")
    }
}

/// A peer whose other end is this engine, and the engine.
pub(crate) fn against(engine: Connection) -> (Peer<impl Transport>, Rc<RefCell<App>>) {
    let app = Rc::new(RefCell::new(App { engine, events: Vec::new(), input: BytesMut::new() }));
    let other = Rc::clone(&app);
    (Peer::new(Answering::new(move |now, octets: &[u8]| other.borrow_mut().answer(now, octets))), app)
}
