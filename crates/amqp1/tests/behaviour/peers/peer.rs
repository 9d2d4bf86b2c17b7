//! A controller whose frames are written by hand, opposite an acceptor that keeps transactions.
#![allow(dead_code, reason = "each test uses a part")]

use crate::support::{coordinator_request, receiver_request};
use amqp1::{
    AcceptedLink, Acceptor, Credit, Receiver, Sender, ServerConnection, Source, Symbol, Target,
    codec::{
        Encode, EncodeStyle, Limits, SequenceNo,
        definitions::Fields,
        frame::{Frame, FrameDecoder, FrameWriter, ProtocolHeader, write_frame},
        performative::{Begin, Detach, Disposition, Flow, Open, Performative, Transfer},
        transaction as wire,
    },
    link::{Attach, DeliveryState, Role, TargetArchetype},
    transaction::{Commit, Coordinator, CoordinatorConfig, Discharge, TxnId},
};
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

/// What is asked for within a transaction, and nothing else, on handle 0.
pub(crate) struct Peer {
    io: DuplexStream,
    input: BytesMut,
    out: BytesMut,
    next_id: u32,
    pub(crate) server: ServerConnection,
    pub(crate) coordinator: Coordinator<Bytes>,
    discharges: UnboundedReceiver<Discharge<Bytes>>,
}

/// A message of one octet.
const MESSAGE: &[u8] = b"\x00\x53\x75\xa0\x01x";

/// What takes longer does not come.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("within a minute")
}

impl Peer {
    pub(crate) async fn open() -> Self {
        Self::open_with(CoordinatorConfig::default()).await
    }

    pub(crate) async fn open_with(config: CoordinatorConfig) -> Self {
        let (near, far) = tokio::io::duplex(8 << 20);
        let mut io = near;
        let mut out = BytesMut::new();
        let windows = Begin { incoming_window: 1_000_000, outgoing_window: 1_000_000, ..Begin::default() };
        write_frame(0, Some(&Open { container_id: "raw".into(), ..Open::default() }), EncodeStyle::Compact, &mut out);
        write_frame(0, Some(&Begin { handle_max: 100, ..windows }), EncodeStyle::Compact, &mut out);
        io.write_all(&ProtocolHeader::AMQP.encode()).await.expect("written");
        io.write_all(&out.split()).await.expect("written");
        let incoming =
            Acceptor::builder().build().accept(crate::support::checked::Checked::new(far)).await.expect("a handshake");
        let server = incoming.accept().await.expect("a connection");
        let mut header = [0; ProtocolHeader::LEN];
        io.read_exact(&mut header).await.expect("a header");
        let coordinator = server.coordinator(config).expect("the first");
        let (tell, discharges) = unbounded_channel();
        let input = BytesMut::new();
        let mut peer = Self { io, input, out, next_id: 0, server, coordinator, discharges };
        let target = TargetArchetype::Coordinator(wire::Coordinator::default());
        peer.attach("control", 0, Role::Sender, target, |_| {});
        peer.flush().await;
        let link = soon(peer.server.next_link()).await.expect("a link");
        let mut control = coordinator_request(link).coordinate(&peer.coordinator).expect("a control link");
        tokio::spawn(async move {
            // It asks all the time, so that it sees what the connection's task has seen a part of.
            loop {
                let discharge = tokio::select! {
                    biased;
                    discharge = control.next() => discharge,
                    () = tokio::task::yield_now() => continue,
                };
                if discharge.is_none_or(|discharge| tell.send(discharge).is_err()) {
                    return;
                }
            }
        });
        peer
    }

    pub(crate) fn put(&mut self, body: impl Into<Performative>) {
        write_frame(0, Some(&body.into()), EncodeStyle::Compact, &mut self.out);
    }

    /// What was put leaves at once.
    pub(crate) async fn flush(&mut self) {
        let out = self.out.split();
        self.io.write_all(&out).await.expect("written");
    }

    pub(crate) async fn next(&mut self) -> Performative {
        let mut decoder = FrameDecoder::new(u32::MAX, Limits::DEFAULT);
        loop {
            match decoder.decode(&mut self.input).expect("a frame") {
                Some(Frame::Amqp { performative: Some(performative), .. }) => return performative,
                Some(_) => {}
                None => assert!(self.io.read_buf(&mut self.input).await.expect("read") > 0, "the acceptor has gone"),
            }
        }
    }

    pub(crate) async fn until(&mut self, wanted: impl Fn(&Performative) -> bool) -> Performative {
        loop {
            let body = soon(self.next()).await;
            if wanted(&body) {
                return body;
            }
        }
    }

    fn attach(&mut self, name: &str, handle: u32, role: Role, target: TargetArchetype, f: impl FnOnce(&mut Attach)) {
        let mut attach = Attach {
            name: name.into(),
            handle,
            role,
            source: Some(Box::new(Source::at("q"))),
            target: Some(target),
            initial_delivery_count: (role == Role::Sender).then_some(SequenceNo(0)),
            ..Attach::default()
        };
        f(&mut attach);
        self.put(attach);
    }

    /// A link on which the acceptor sends, with credit, within a transaction or not.
    pub(crate) async fn takes(&mut self, handle: u32, acquires: Option<&TxnId>, f: impl FnOnce(&mut Attach)) -> Sender {
        self.attach(&format!("l{handle}"), handle, Role::Receiver, Target::default().into(), f);
        self.credit(handle, 100_000, acquires);
        self.accepted_sender().await
    }

    /// A link on which the acceptor sends, without credit.
    pub(crate) async fn waits(&mut self, handle: u32) -> Sender {
        self.attach(&format!("l{handle}"), handle, Role::Receiver, Target::default().into(), |_| {});
        self.accepted_sender().await
    }

    async fn accepted_sender(&mut self) -> Sender {
        self.flush().await;
        let link = soon(self.server.next_link()).await.expect("a link").accept_default().expect("accepted");
        let AcceptedLink::Sender(sender) = link else { panic!("the peer receives") };
        sender
    }

    pub(crate) fn credit(&mut self, handle: u32, credit: u32, acquires: Option<&TxnId>) {
        let named = |txn: &TxnId| [(Symbol::from_static("txn-id"), Bytes::copy_from_slice(txn.as_slice()))];
        let properties = acquires.map(|txn| named(txn).into_iter().collect::<Fields>());
        self.put(Flow {
            next_incoming_id: Some(SequenceNo(0)),
            incoming_window: 1_000_000,
            next_outgoing_id: SequenceNo(self.next_id),
            outgoing_window: 1_000_000,
            handle: Some(handle),
            delivery_count: Some(SequenceNo(0)),
            link_credit: Some(credit),
            properties,
            ..Flow::default()
        });
    }

    /// A link on which the acceptor receives.
    pub(crate) async fn posts(&mut self, handle: u32, credit: u32, streamed: bool) -> Receiver {
        self.attach(&format!("l{handle}"), handle, Role::Sender, Target::at("q").into(), |_| {});
        self.flush().await;
        let link = soon(self.server.next_link()).await.expect("a link");
        let request = receiver_request(link).credit(Credit::Manual(credit));
        let request = if streamed { request.streamed() } else { request };
        let receiver = request.accept().expect("accepted");
        if credit > 0 {
            self.until(|body| matches!(body, Performative::Flow(flow) if flow.handle.is_some())).await;
        }
        receiver
    }

    fn transfer(&mut self, handle: u32, settled: bool, state: Option<DeliveryState>, payload: &[u8]) {
        let id = self.next_id;
        self.next_id += 1;
        let transfer = Transfer {
            handle,
            delivery_id: Some(SequenceNo(id)),
            delivery_tag: Some(id.into()),
            message_format: Some(0),
            settled: Some(settled),
            state,
            ..Transfer::default()
        };
        let frame = FrameWriter::begin(0, &mut self.out);
        Performative::from(transfer).encode(EncodeStyle::Compact, &mut self.out);
        self.out.extend_from_slice(payload);
        frame.finish(0, &mut self.out);
    }

    /// Posts a message, settled.
    pub(crate) fn post(&mut self, handle: u32, txn: &TxnId) {
        self.transfer(handle, true, Some(txn.state(None)), MESSAGE);
    }

    fn ask(&mut self, body: impl Encode) {
        let mut message = vec![0, 0x53, 0x77];
        message.extend_from_slice(&body.to_octets());
        self.transfer(0, false, None, &message);
    }

    pub(crate) async fn declare(&mut self) -> TxnId {
        self.ask(wire::Declare { global_id: None });
        self.flush().await;
        loop {
            let answer = self.until(|body| matches!(body, Performative::Disposition(_))).await;
            if let Performative::Disposition(Disposition { state: Some(DeliveryState::Declared(txn)), .. }) = answer {
                return TxnId::new(&txn.txn_id).expect("a name");
            }
        }
    }

    /// What was put before is known to the acceptor then.
    pub(crate) async fn known(&mut self) {
        self.declare().await;
    }

    pub(crate) fn discharge(&mut self, txn: &TxnId, fail: bool) {
        self.ask(wire::Discharge { txn_id: Bytes::copy_from_slice(txn.as_slice()), fail: Some(fail) });
    }

    /// What comes of the transaction at the acceptor.
    pub(crate) async fn discharged(&mut self, txn: &TxnId, fail: bool) -> Discharge<Bytes> {
        self.discharge(txn, fail);
        self.flush().await;
        soon(self.discharges.recv()).await.expect("a discharge")
    }

    /// A commit that the acceptor has in hand.
    pub(crate) async fn commit(&mut self, txn: &TxnId) -> Commit<Bytes> {
        match self.discharged(txn, false).await {
            Discharge::Commit(commit) => commit,
            other @ Discharge::RolledBack(_) => panic!("{other:?}"),
        }
    }

    pub(crate) fn state(&mut self, first: u32, last: u32, settled: bool, state: Option<DeliveryState>) {
        let (first, last) = (SequenceNo(first), Some(SequenceNo(last)));
        self.put(Disposition { role: Role::Receiver, first, last, settled, state, batchable: false });
    }

    pub(crate) fn close(&mut self, handle: u32) {
        self.put(Detach { handle, closed: true, error: None });
    }

    pub(crate) async fn transfers(&mut self, count: u32) {
        for _ in 0..count {
            self.until(|body| matches!(body, Performative::Transfer(_))).await;
        }
    }
}
