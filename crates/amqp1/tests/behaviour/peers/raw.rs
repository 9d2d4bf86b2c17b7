//! A peer whose frames are written by hand.

use crate::support::checked::Checked;
use amqp1::{
    Acceptor, Client, Connection, ServerConnection, Source, Target,
    codec::{
        Encode, EncodeStyle, Limits, SequenceNo,
        frame::{Frame, FrameDecoder, FrameWriter, ProtocolHeader, write_frame},
        performative::{Begin, Detach, Disposition, Flow, Open, Performative, Transfer, Unsettled},
    },
    link::{Attach, DeliveryState, Role},
};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

pub(crate) struct Raw {
    io: DuplexStream,
    input: BytesMut,
}

impl Raw {
    /// A client, connected to a peer that has answered its open.
    pub(crate) async fn connected() -> (Connection, Self) {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let mut raw = Self { io: far, input: BytesMut::new() };
        raw.io.write_all(&ProtocolHeader::AMQP.encode()).await.expect("written");
        raw.send(Open { container_id: "raw".into(), ..Open::default() }).await;
        // The open is there before the client asks for it.
        let connection = Client::builder("amqp://server.test").no_sasl().connect_with(Checked::new(near)).await;
        let mut header = [0; ProtocolHeader::LEN];
        raw.io.read_exact(&mut header).await.expect("a header");
        raw.until(|body| matches!(body, Performative::Open(_))).await;
        (connection.expect("a connection"), raw)
    }

    /// A client that is written by hand, with a session, connected to an acceptor.
    #[allow(dead_code, reason = "each test uses a part")]
    pub(crate) async fn client(near: DuplexStream, far: DuplexStream) -> (Self, ServerConnection) {
        let mut raw = Self { io: near, input: BytesMut::new() };
        raw.io.write_all(&ProtocolHeader::AMQP.encode()).await.expect("written");
        raw.send(Open { container_id: "raw".into(), ..Open::default() }).await;
        raw.send(Begin { incoming_window: 1000, outgoing_window: 1000, ..Begin::default() }).await;
        let incoming = Acceptor::builder().build().accept(Checked::new(far)).await.expect("a handshake");
        let server = incoming.accept().await.expect("an open connection");
        let mut header = [0; ProtocolHeader::LEN];
        raw.io.read_exact(&mut header).await.expect("a header");
        raw.until(|body| matches!(body, Performative::Begin(_))).await;
        (raw, server)
    }

    pub(crate) async fn send(&mut self, body: impl Into<Performative>) {
        let mut out = BytesMut::new();
        write_frame(0, Some(&body.into()), EncodeStyle::Compact, &mut out);
        self.octets(&out).await;
    }

    /// Octets as they are.
    pub(crate) async fn octets(&mut self, octets: &[u8]) {
        self.io.write_all(octets).await.expect("written");
    }

    async fn next(&mut self) -> Performative {
        let mut decoder = FrameDecoder::new(u32::MAX, Limits::DEFAULT);
        loop {
            match decoder.decode(&mut self.input).expect("a frame") {
                Some(Frame::Amqp { performative: Some(performative), .. }) => return performative,
                Some(_) => {}
                None => assert!(self.io.read_buf(&mut self.input).await.expect("read") > 0, "the client has gone"),
            }
        }
    }

    /// Reads on until such a frame.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Performative) -> bool) -> Performative {
        loop {
            let body = self.next().await;
            if wanted(&body) {
                return body;
            }
        }
    }

    pub(crate) async fn begin(&mut self) {
        self.until(|body| matches!(body, Performative::Begin(_))).await;
        let windows = Begin { incoming_window: 1000, outgoing_window: 1000, ..Begin::default() };
        self.send(Begin { remote_channel: Some(0), ..windows }).await;
    }

    /// The client's attach.
    pub(crate) async fn attach(&mut self) -> Attach {
        match self.until(|body| matches!(body, Performative::Attach(_))).await {
            Performative::Attach(attach) => *attach,
            other => panic!("{other:?}"),
        }
    }

    /// Answers it, as one that receives and knows of these, with credit.
    pub(crate) async fn answer(&mut self, theirs: &Attach, unsettled: Option<Unsettled>) {
        self.answer_as_receiver(theirs, unsettled, false).await;
    }

    /// Answers it, as one that receives and cannot name all that it knows of.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) async fn answer_incomplete(&mut self, theirs: &Attach) {
        self.answer_as_receiver(theirs, Some(Unsettled::new()), true).await;
    }

    async fn answer_as_receiver(&mut self, theirs: &Attach, unsettled: Option<Unsettled>, incomplete_unsettled: bool) {
        let attach = Attach {
            incomplete_unsettled,
            name: theirs.name.clone(),
            role: Role::Receiver,
            source: Some(Box::new(Source::default())),
            target: Some(Target::at("q").into()),
            unsettled,
            ..Attach::default()
        };
        self.send(attach).await;
        let windows = Flow { incoming_window: 1000, outgoing_window: 1000, ..Flow::default() };
        let next_incoming_id = Some(SequenceNo(0));
        let delivery_count = Some(SequenceNo(0));
        self.send(Flow { next_incoming_id, handle: Some(0), delivery_count, link_credit: Some(10), ..windows }).await;
    }

    /// Answers it, as one that sends, sends two deliveries at once, of which the first is settled, and is gone.
    pub(crate) async fn answer_and_go(mut self, theirs: &Attach) {
        let attach = sends(theirs);
        let mut out = BytesMut::new();
        write_frame(0, Some(&attach), EncodeStyle::Compact, &mut out);
        for number in 0..2 {
            let frame = FrameWriter::begin(0, &mut out);
            let transfer = Transfer {
                delivery_id: Some(SequenceNo(number)),
                delivery_tag: Some(number.into()),
                message_format: Some(0),
                settled: Some(number == 0),
                ..Transfer::default()
            };
            transfer.encode(EncodeStyle::Compact, &mut out);
            out.extend_from_slice(b"\x00\x53\x75\xa0\x05hello");
            frame.finish(0, &mut out);
        }
        self.io.write_all(&out).await.expect("written");
    }

    /// Answers it, as one that sends and knows of nothing.
    pub(crate) async fn answer_as_sender(&mut self, theirs: &Attach) {
        self.send(sends(theirs)).await;
    }

    /// Refuses it.
    pub(crate) async fn refuse(&mut self, theirs: &Attach) {
        self.send(Attach { name: theirs.name.clone(), role: Role::Receiver, ..Attach::default() }).await;
        self.send(Detach { handle: 0, closed: true, error: None }).await;
    }

    /// Waits for the client's detach and answers it.
    pub(crate) async fn detach(&mut self) {
        self.until(|body| matches!(body, Performative::Detach(_))).await;
        self.send(Detach { handle: 0, closed: false, error: None }).await;
    }

    /// Waits for the client's detach.
    pub(crate) async fn detach_seen(&mut self) {
        self.until(|body| matches!(body, Performative::Detach(_))).await;
    }

    /// The tag of the next delivery that the client begins.
    pub(crate) async fn delivery(&mut self) -> u8 {
        match self.until(|body| matches!(body, Performative::Transfer(_))).await {
            Performative::Transfer(transfer) => transfer.delivery_tag.expect("a tag").as_slice()[0],
            other => panic!("{other:?}"),
        }
    }

    /// Accepts the delivery of this id, for good.
    pub(crate) async fn accept(&mut self, id: u32) {
        self.send(Disposition {
            role: Role::Receiver,
            first: SequenceNo(id),
            settled: true,
            state: Some(DeliveryState::Accepted),
            ..Disposition::default()
        })
        .await;
    }
}

fn sends(theirs: &Attach) -> Attach {
    Attach {
        name: theirs.name.clone(),
        role: Role::Sender,
        source: Some(Box::new(Source::at("q"))),
        target: Some(Target::default().into()),
        unsettled: Some(Unsettled::new()),
        initial_delivery_count: Some(SequenceNo(0)),
        ..Attach::default()
    }
}
