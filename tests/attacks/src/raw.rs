//! A peer that writes what it is told to, over a socket.

use amqp1_codec::{
    Encode, EncodeStyle, Limits, SequenceNo, Symbol, Value,
    definitions::{AmqpError, ErrorCondition, Fields, Role},
    frame::{Frame, FrameDecoder, ProtocolHeader, write_frame},
    messaging::{DeliveryState, Source, Target},
    performative::{Attach, Begin, Flow, Open, Performative},
};
use bytes::BytesMut;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    input: BytesMut,
    /// Octets that were sent.
    pub(crate) sent: usize,
}

pub(crate) fn frame(channel: u16, body: &impl Encode) -> BytesMut {
    let mut out = BytesMut::new();
    write_frame(channel, Some(body), EncodeStyle::Compact, &mut out);
    out
}

/// An attach to or from a node.
pub(crate) fn attach(name: &str, handle: u32, role: Role, node: &str) -> Attach {
    let (source, target) = match role {
        Role::Sender => (Source::default(), Target::at(node.to_owned())),
        Role::Receiver => (Source::at(node.to_owned()), Target::default()),
    };
    Attach {
        name: name.into(),
        handle,
        role,
        source: Some(Box::new(source)),
        target: Some(target.into()),
        initial_delivery_count: (role == Role::Sender).then_some(SequenceNo(0)),
        ..Attach::default()
    }
}

/// Properties of about so many octets, which take about 40 times as many when they are decoded.
pub(crate) fn properties(octets: usize) -> Fields {
    let list: Vec<Value> = vec![Value::described(Value::Null, Value::Null); octets / 3];
    [(Symbol::from_static("x"), Value::List(list))].into_iter().collect()
}

/// A rejection whose info has about so many octets.
pub(crate) fn rejected(octets: usize) -> DeliveryState {
    let error = AmqpError::new(ErrorCondition::NOT_FOUND, "no such queue");
    DeliveryState::rejected(AmqpError { info: Some(properties(octets)), ..error })
}

pub(crate) fn begin() -> Begin {
    Begin { incoming_window: u32::MAX, outgoing_window: u32::MAX, ..Begin::default() }
}

pub(crate) fn credit(handle: u32, credit: u32) -> Flow {
    Flow {
        next_incoming_id: Some(SequenceNo(0)),
        incoming_window: u32::MAX,
        outgoing_window: u32::MAX,
        handle: Some(handle),
        delivery_count: Some(SequenceNo(0)),
        link_credit: Some(credit),
        ..Flow::default()
    }
}

impl Raw {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|error| format!("no connection: {error}"))?;
        Self::on(stream)
    }

    pub(crate) fn on(stream: TcpStream) -> Result<Self, String> {
        let timeout = Some(Duration::from_secs(20));
        stream.set_read_timeout(timeout).and_then(|()| stream.set_write_timeout(timeout)).map_err(|e| e.to_string())?;
        Ok(Self { stream, input: BytesMut::new(), sent: 0 })
    }

    /// With header, open and begin exchanged, without SASL.
    pub(crate) fn open(address: SocketAddr) -> Result<Self, String> {
        let mut raw = Self::connect(address)?;
        raw.write(&ProtocolHeader::AMQP.encode())?;
        raw.send(&Open { container_id: "attacker".into(), ..Open::default() })?;
        raw.send(&begin())?;
        raw.wait_for(|frame| matches!(frame, Performative::Begin(_)))?;
        Ok(raw)
    }

    pub(crate) fn write(&mut self, octets: &[u8]) -> Result<(), String> {
        self.stream.write_all(octets).map_err(|error| format!("it takes no more: {error}"))?;
        self.sent += octets.len();
        Ok(())
    }

    /// A frame on channel 0.
    pub(crate) fn send(&mut self, body: &impl Encode) -> Result<(), String> {
        let octets = frame(0, body);
        self.write(&octets)
    }

    /// The next frame that is not empty; `None` at the end.
    pub(crate) fn read(&mut self) -> Result<Option<Performative>, String> {
        let mut decoder = FrameDecoder::new(u32::MAX, Limits::DEFAULT);
        loop {
            if self.input.starts_with(b"AMQP") && self.input.len() >= 8 {
                drop(self.input.split_to(8));
            }
            if !self.input.starts_with(b"AMQP") {
                match decoder.decode(&mut self.input).map_err(|error| error.to_string())? {
                    Some(Frame::Amqp { performative: Some(performative), .. }) => return Ok(Some(performative)),
                    Some(_) => continue,
                    None => {}
                }
            }
            let mut octets = [0; 64 * 1024];
            let length = self.stream.read(&mut octets).map_err(|error| format!("it does not answer: {error}"))?;
            if length == 0 {
                return Ok(None);
            }
            self.input.extend_from_slice(&octets[..length]);
        }
    }

    /// The next frame that ends something or begins a session.
    pub(crate) fn read_answer(&mut self) -> Result<Option<Performative>, String> {
        use Performative::{Begin, Close, Detach, End};
        loop {
            let frame = self.read()?;
            if frame.as_ref().is_none_or(|frame| matches!(frame, Begin(_) | Close(_) | Detach(_) | End(_))) {
                return Ok(frame);
            }
        }
    }

    /// Reads until there is such a frame.
    pub(crate) fn wait_for(&mut self, wanted: impl Fn(&Performative) -> bool) -> Result<Performative, String> {
        loop {
            match self.read()? {
                Some(frame) if wanted(&frame) => return Ok(frame),
                Some(Performative::Close(close)) => return Err(format!("it closed: {:?}", close.error)),
                Some(_) => {}
                None => return Err("it is gone".to_owned()),
            }
        }
    }

    /// Attaches a link from a node, with credit, and reads as many deliveries.
    pub(crate) fn receive(&mut self, node: &str, count: u32) -> Result<(), String> {
        self.send(&attach("l", 0, Role::Receiver, node))?;
        self.wait_for(|frame| matches!(frame, Performative::Attach(_)))?;
        self.send(&credit(0, count))?;
        for _ in 0..count {
            self.wait_for(|frame| matches!(frame, Performative::Transfer(_)))?;
        }
        Ok(())
    }
}
