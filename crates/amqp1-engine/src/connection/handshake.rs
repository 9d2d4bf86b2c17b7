//! The handshake before AMQP frames: protocol headers (§2.2) and the SASL layer (§5.3).

use super::Connection;
use crate::{
    config::ServerSasl,
    error::{ConnectionError, SaslFailure},
    event::{Event, SaslChoice},
    time::Instant,
    violation::PeerMisbehaved,
};
use alloc::{boxed::Box, vec::Vec};
use amqp1_auth::sasl::ClientMechanism;
use amqp1_codec::{
    EncodeStyle, Symbol,
    frame::{Frame, FrameDecoder, MIN_MAX_FRAME_SIZE, ProtocolHeader, write_sasl_frame},
    sasl::{SaslBody, SaslChallenge, SaslCode, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse, Secret},
};
use bytes::{Buf, Bytes, BytesMut};

/// Which layer the octets that come next belong to.
#[derive(Debug)]
pub(super) enum Layer {
    /// Client: its SASL header is sent.
    ClientSaslHeader(Box<dyn ClientMechanism>),
    /// Client: waits for the mechanisms.
    ClientMechanisms(Box<dyn ClientMechanism>),
    /// Client: its init is sent.
    ClientOutcome(Box<dyn ClientMechanism>),
    /// Client: its AMQP header is sent.
    ClientAmqpHeader,
    /// Server: waits for the first header.
    ServerHeader(ServerSasl),
    /// Server: its mechanisms are sent.
    ServerInit(Vec<Symbol>),
    /// Server: the application has to answer.
    ServerPending,
    /// Server: a challenge is sent.
    ServerResponse,
    /// Server: SASL is done.
    ServerAmqpHeader,
    /// AMQP frames.
    Frames,
    /// Nothing more is read.
    Dead,
}

impl Layer {
    pub(super) fn client(sasl: Option<Box<dyn ClientMechanism>>) -> Self {
        sasl.map_or(Self::ClientAmqpHeader, Self::ClientSaslHeader)
    }

    pub(super) fn server(sasl: ServerSasl) -> Self {
        Self::ServerHeader(sasl)
    }

    /// The first input that a handshake of this layer waits for.
    pub(super) fn stage(&self) -> HandshakeStage {
        match self {
            Self::ClientSaslHeader(_) | Self::ServerHeader(ServerSasl::Required(_)) => HandshakeStage::Sasl,
            _ => HandshakeStage::Open,
        }
    }
}

/// The input that a handshake waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeStage {
    /// The peer's part of SASL, its header for it included.
    Sasl,
    /// The peer's open, or the header before it.
    Open,
}

/// The result of a step of a layer.
pub(super) enum Step {
    /// Something was taken; there may be more.
    Taken,
    /// More octets are needed.
    Wanting,
}

impl Connection {
    /// The input that the handshake waits for, or waited for when the connection ended; `None` once the peer's open is
    /// there.
    pub fn handshake_stage(&self) -> Option<HandshakeStage> {
        self.remote_open.is_none().then_some(self.stage)
    }

    /// Whether any octets have come that begin like what they should.
    pub fn has_heard(&self) -> bool {
        self.handshake_octets > 0
    }

    /// Gives a handshake up that takes too long, and tells the peer: with a close that has a condition where an open
    /// can be sent, with a SASL outcome where a server is in SASL, and with the header that it wants where nothing
    /// came. Does nothing once the peer's open is there.
    pub fn abandon_handshake(&mut self, now: Instant) {
        self.idle.set_now(now);
        if self.handshake_stage().is_some() && self.ended().is_none() {
            self.handshake_incomplete();
        }
    }

    /// Gets a server to where it can say that the handshake is given up.
    pub(super) fn speak_up(&mut self) {
        match &self.layer {
            Layer::ServerInit(_) | Layer::ServerPending | Layer::ServerResponse => {
                // The client may have another, quicker, try.
                let code = SaslCode::SysTemp;
                self.push_sasl(&SaslBody::Outcome(SaslOutcome { code, additional_data: None }));
            }
            Layer::ServerHeader(ServerSasl::Required(_)) => {
                self.preamble.extend_from_slice(&ProtocolHeader::SASL.encode());
            }
            Layer::ServerHeader(_) | Layer::ServerAmqpHeader => self.start_server_frames(),
            _ => {}
        }
    }

    pub(super) fn start_client(&mut self) {
        match self.layer {
            Layer::ClientSaslHeader(_) => self.preamble.extend_from_slice(&ProtocolHeader::SASL.encode()),
            _ => {
                self.send_amqp_header();
                self.send_open();
            }
        }
    }

    /// Takes a header or a SASL frame.
    pub(super) fn layer_input(&mut self, input: &mut BytesMut) -> Step {
        match &self.layer {
            Layer::ClientSaslHeader(_) | Layer::ClientAmqpHeader | Layer::ServerHeader(_) | Layer::ServerAmqpHeader => {
                self.header_input(input)
            }
            Layer::Frames | Layer::Dead => Step::Wanting,
            _ => self.sasl_input(input),
        }
    }

    fn header_input(&mut self, input: &mut BytesMut) -> Step {
        if !ProtocolHeader::may_begin_with(input) {
            self.header_mismatch(input);
            return Step::Wanting;
        }
        let Some(octets) = input.first_chunk::<{ ProtocolHeader::LEN }>().copied() else { return Step::Wanting };
        input.advance(ProtocolHeader::LEN);
        let header = ProtocolHeader::decode(&octets);
        match (core::mem::replace(&mut self.layer, Layer::Dead), header) {
            (Layer::ClientSaslHeader(mechanism), Some(ProtocolHeader::SASL)) => {
                self.layer = Layer::ClientMechanisms(mechanism);
            }
            (Layer::ClientAmqpHeader, Some(ProtocolHeader::AMQP)) => {
                self.step(self.state.receive_header());
                self.layer = Layer::Frames;
            }
            (
                Layer::ServerAmqpHeader | Layer::ServerHeader(ServerSasl::None | ServerSasl::Allowed(_)),
                Some(ProtocolHeader::AMQP),
            ) => {
                self.step(self.state.receive_header());
                self.start_server_frames();
            }
            (
                Layer::ServerHeader(ServerSasl::Allowed(mechanisms) | ServerSasl::Required(mechanisms)),
                Some(ProtocolHeader::SASL),
            ) if !mechanisms.is_empty() => {
                self.preamble.extend_from_slice(&ProtocolHeader::SASL.encode());
                let list = SaslMechanisms { sasl_server_mechanisms: mechanisms.clone().into() };
                self.push_sasl(&SaslBody::Mechanisms(list));
                self.stage = HandshakeStage::Sasl;
                self.layer = Layer::ServerInit(mechanisms);
            }
            (layer, _) => {
                self.layer = layer;
                self.header_mismatch(&octets);
                return Step::Wanting;
            }
        }
        Step::Taken
    }

    fn start_server_frames(&mut self) {
        self.send_amqp_header();
        self.layer = Layer::Frames;
    }

    fn send_amqp_header(&mut self) {
        self.step(self.state.send_header());
        self.preamble.extend_from_slice(&ProtocolHeader::AMQP.encode());
    }

    /// §2.2: a server that does not like the header says which one it would, and goes.
    fn header_mismatch(&mut self, octets: &[u8]) {
        let expected = match &self.layer {
            Layer::ClientSaslHeader(_) | Layer::ServerHeader(ServerSasl::Required(_)) => ProtocolHeader::SASL,
            _ => ProtocolHeader::AMQP,
        };
        if matches!(self.layer, Layer::ServerHeader(_) | Layer::ServerAmqpHeader) {
            self.preamble.extend_from_slice(&expected.encode());
        }
        let at_client = matches!(self.layer, Layer::ClientSaslHeader(_) | Layer::ClientAmqpHeader);
        let mut received = [0; ProtocolHeader::LEN];
        for (slot, octet) in received.iter_mut().zip(octets) {
            *slot = *octet;
        }
        self.enter_end();
        self.terminate(ConnectionError::ProtocolMismatch { expected, received, at_client });
    }

    fn sasl_input(&mut self, input: &mut BytesMut) -> Step {
        let most = u32::try_from(self.config.handshake_octets).unwrap_or(u32::MAX);
        let max = if self.config.tolerances.long_sasl_frames { most } else { most.min(MIN_MAX_FRAME_SIZE) };
        let mut decoder = FrameDecoder::sasl(max, self.config.decode_limits());
        match decoder.decode(input) {
            Ok(None) => Step::Wanting,
            Ok(Some(Frame::Sasl(body))) => {
                self.on_sasl(body);
                Step::Taken
            }
            Ok(Some(_)) => {
                self.sasl_violation(PeerMisbehaved::SaslOutOfOrder);
                Step::Wanting
            }
            Err(error) => {
                self.sasl_violation(PeerMisbehaved::Frame(error));
                Step::Wanting
            }
        }
    }

    /// §5.3.2: nothing can be said in the SASL layer but an outcome; the connection just ends.
    fn sasl_violation(&mut self, violation: PeerMisbehaved) {
        self.enter_end();
        self.terminate(ConnectionError::Misbehaved(violation));
    }

    fn sasl_failed(&mut self, failure: SaslFailure) {
        self.enter_end();
        self.terminate(ConnectionError::Sasl(failure));
    }

    fn on_sasl(&mut self, body: SaslBody) {
        match (core::mem::replace(&mut self.layer, Layer::Dead), body) {
            (Layer::ClientMechanisms(mechanism), SaslBody::Mechanisms(list)) => self.on_mechanisms(mechanism, list),
            (Layer::ClientOutcome(mut mechanism), SaslBody::Challenge(challenge)) => {
                match mechanism.respond(&challenge.challenge.0) {
                    Ok(response) => {
                        self.push_sasl(&SaslBody::Response(SaslResponse { response: Secret(response) }));
                        self.layer = Layer::ClientOutcome(mechanism);
                    }
                    Err(error) => self.sasl_failed(SaslFailure::Mechanism(error)),
                }
            }
            (Layer::ClientOutcome(mechanism), SaslBody::Outcome(outcome)) => self.on_outcome(mechanism, &outcome),
            (Layer::ServerInit(offered), SaslBody::Init(init)) => {
                if !offered.contains(&init.mechanism) {
                    self.layer = Layer::ServerPending;
                    return self.sasl_outcome(SaslCode::Auth, None);
                }
                self.layer = Layer::ServerPending;
                self.outbox.events.push_back(Event::SaslInit(Box::new(SaslChoice {
                    mechanism: init.mechanism.to_detached(),
                    response: init.initial_response.map(|secret| secret.0),
                    hostname: init.hostname.map(|hostname| hostname.to_detached()),
                })));
            }
            (Layer::ServerResponse, SaslBody::Response(response)) => {
                self.layer = Layer::ServerPending;
                self.outbox.events.push_back(Event::SaslResponse(response.response.0));
            }
            (_, _) => self.sasl_violation(PeerMisbehaved::SaslOutOfOrder),
        }
    }

    fn on_mechanisms(&mut self, mut mechanism: Box<dyn ClientMechanism>, list: SaslMechanisms) {
        let wanted = Symbol::from_static(mechanism.name());
        if !list.sasl_server_mechanisms.contains(&wanted) {
            let offered = list.sasl_server_mechanisms.iter().map(Symbol::to_detached).collect();
            return self.sasl_failed(SaslFailure::NotOffered { wanted, offered });
        }
        let init = SaslInit {
            mechanism: wanted,
            initial_response: mechanism.initial_response().map(Secret),
            hostname: self.config.hostname.clone(),
        };
        self.push_sasl(&SaslBody::Init(init));
        self.layer = Layer::ClientOutcome(mechanism);
    }

    /// §5.3.3.5: it is over. Also a server may have something to prove, and an ok without it is none.
    fn on_outcome(&mut self, mut mechanism: Box<dyn ClientMechanism>, outcome: &SaslOutcome) {
        if outcome.code != SaslCode::Ok {
            let refused = SaslFailure::Refused(outcome.code);
            // That another attempt may succeed is worth more than why this one did not.
            let reason = mechanism.refusal().filter(|_| outcome.code != SaslCode::SysTemp);
            return self.sasl_failed(reason.map_or(refused, SaslFailure::Mechanism));
        }
        match mechanism.verify_outcome(outcome.additional_data.as_ref().map(|data| &data.0[..])) {
            Ok(()) => {
                self.layer = Layer::ClientAmqpHeader;
                self.stage = HandshakeStage::Open;
                self.start_client();
            }
            Err(error) => self.sasl_failed(SaslFailure::Mechanism(error)),
        }
    }

    fn push_sasl(&mut self, body: &SaslBody) {
        write_sasl_frame(body, self.sasl_style(), &mut self.preamble);
    }

    fn sasl_style(&self) -> EncodeStyle {
        self.config.style
    }

    /// Server: asks the client for more. Ignored unless an answer is due.
    pub fn sasl_challenge(&mut self, challenge: Bytes) {
        if matches!(self.layer, Layer::ServerPending) {
            self.push_sasl(&SaslBody::Challenge(SaslChallenge { challenge: Secret(challenge) }));
            self.layer = Layer::ServerResponse;
        }
    }

    /// Server: ends the SASL dialog. Ignored unless an answer is due. The additional data is sent only with ok
    /// (§5.3.3.5).
    pub fn sasl_outcome(&mut self, code: SaslCode, additional_data: Option<Bytes>) {
        if !matches!(self.layer, Layer::ServerPending) {
            return;
        }
        let additional_data = additional_data.filter(|_| code == SaslCode::Ok).map(Secret);
        self.push_sasl(&SaslBody::Outcome(SaslOutcome { code, additional_data }));
        match code {
            SaslCode::Ok => {
                self.layer = Layer::ServerAmqpHeader;
                self.stage = HandshakeStage::Open;
            }
            code => self.sasl_failed(SaslFailure::Refused(code)),
        }
    }
}
