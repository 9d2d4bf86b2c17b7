//! The peer itself: it writes, and waits.

use crate::{
    body::{Body, Received},
    frames,
    got::{AmqpFrame, Got},
    refusal::Refusal,
    splitter::Splitter,
    transcript::{Direction, Transcript},
    transport::{Read, Transport, Written},
    unexpected::Unexpected,
};
use amqp1_codec::{
    EncodeStyle,
    frame::ProtocolHeader,
    performative::{Performative, Transfer},
    sasl::SaslBody,
};
use std::{borrow::Cow, fmt, time::Duration};

/// What a wait passes over. What is waited for is never passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skip {
    /// Empty frames (§2.4.5).
    pub empty: bool,
    /// Flows (§2.7.4).
    pub flows: bool,
    /// Dispositions (§2.7.6).
    pub dispositions: bool,
    /// Transfers (§2.7.5).
    pub transfers: bool,
}

impl Skip {
    /// Nothing: the very next thing counts.
    pub const NOTHING: Self = Self { empty: false, flows: false, dispositions: false, transfers: false };
    /// Empty frames, which may come at any time.
    pub const EMPTY: Self = Self { empty: true, ..Self::NOTHING };
    /// Empty frames and flows.
    pub const FLOWS: Self = Self { flows: true, ..Self::EMPTY };
    /// Whatever may come at any time once a link is attached.
    pub const CHATTER: Self = Self { dispositions: true, ..Self::FLOWS };
    /// Whatever may be in flight when a link is detached.
    pub const IN_FLIGHT: Self = Self { transfers: true, ..Self::CHATTER };

    fn skips(self, got: &Got) -> bool {
        match got {
            Got::Frame(AmqpFrame { body: None, .. }) => self.empty,
            Got::Frame(AmqpFrame { body: Some(Performative::Flow(_)), .. }) => self.flows,
            Got::Frame(AmqpFrame { body: Some(Performative::Disposition(_)), .. }) => self.dispositions,
            Got::Frame(AmqpFrame { body: Some(Performative::Transfer(_)), .. }) => self.transfers,
            _ => false,
        }
    }
}

impl Default for Skip {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// A scripted peer.
///
/// What it writes is not checked and what it reads is not judged. A write that fails shows in the transcript, and in
/// what the next wait gives.
pub struct Peer<T> {
    transport: T,
    incoming: Splitter,
    /// What was written, read back: the transcript shows what the other end will see.
    outgoing: Splitter,
    transcript: Transcript,
    patience: Duration,
    style: EncodeStyle,
    skip: Skip,
    ended: Option<Got>,
    /// Whether something was read after the deadline of a wait. Until a wait has time again, nothing more is read.
    is_late: bool,
    buffer: Box<[u8]>,
}

/// The largest frame that is taken unless another is named, in octets; more than [`frames::open`] announces.
const MAX_FRAME_SIZE: u32 = 1024 * 1024;
const BUFFER: usize = 16 * 1024;

impl<T: Transport> Peer<T> {
    /// A peer that has said nothing, and waits for up to five seconds.
    pub fn new(transport: T) -> Self {
        Self {
            transport,
            incoming: Splitter::new(MAX_FRAME_SIZE),
            outgoing: Splitter::new(u32::MAX),
            transcript: Transcript::default(),
            patience: Duration::from_secs(5),
            style: EncodeStyle::Compact,
            skip: Skip::default(),
            ended: None,
            is_late: false,
            buffer: vec![0; BUFFER].into(),
        }
    }

    /// Sets how long each wait and each write may take.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// How long each wait and each write may take.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Sets how the fields of frames are written: trailing ones that are null are left out unless set. Octets are written
    /// as they are.
    pub fn set_style(&mut self, style: EncodeStyle) {
        self.style = style;
    }

    /// Sets what waits pass over unless they are told.
    pub fn set_skip(&mut self, skip: Skip) {
        self.skip = skip;
    }

    /// Sets the largest frame that is taken, in octets: 1 MiB unless set. A larger one is undecodable.
    pub fn set_max_frame_size(&mut self, max_frame_size: u32) {
        self.incoming.set_max_frame_size(max_frame_size);
    }

    /// What went both ways so far.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Puts a remark into the transcript.
    pub fn note(&mut self, text: impl AsRef<str>) {
        self.record(Direction::Note, text.as_ref());
    }

    /// The transport.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// The transport, to break it for instance.
    pub fn transport_mut(&mut self) -> &mut T {
        &mut self.transport
    }

    /// The time, from the start of the transport.
    pub fn now(&self) -> Duration {
        self.transport.now()
    }

    fn record(&mut self, direction: Direction, text: &str) {
        self.transcript.add(self.transport.now(), direction, text);
    }

    fn deadline(&self, within: Duration) -> Duration {
        self.transport.now().saturating_add(within)
    }
}

/// Writing.
impl<T: Transport> Peer<T> {
    /// Writes octets as they are.
    pub fn raw(&mut self, octets: impl AsRef<[u8]>) -> Written {
        let octets = octets.as_ref();
        let deadline = self.deadline(self.patience);
        let written = self.transport.write(octets, deadline);
        let count = match written {
            Written::All => octets.len(),
            Written::Reset(count) | Written::Timeout(count) => count,
        };
        self.outgoing.feed(octets.get(..count).unwrap_or(octets));
        while let Some(sent) = self.outgoing.next() {
            self.record(Direction::Sent, &sent.to_string());
        }
        if self.outgoing.unfinished() > 0 {
            let text = format!("{} octets of a frame that is not finished", self.outgoing.unfinished());
            self.record(Direction::Sent, &text);
        }
        if written != Written::All {
            let why = if matches!(written, Written::Reset(_)) { "the transport is broken" } else { "nobody reads" };
            let text = format!("{} octets were not written: {why}", octets.len().saturating_sub(count));
            self.record(Direction::Note, &text);
        }
        written
    }

    /// Writes a protocol header (§2.2).
    pub fn header(&mut self, header: ProtocolHeader) -> Written {
        self.raw(header.encode())
    }

    /// Writes a frame.
    pub fn send(&mut self, channel: u16, body: impl Into<Performative>) -> Written {
        self.raw(frames::encode_styled(channel, body, b"", self.style))
    }

    /// Writes a transfer and what it carries.
    pub fn send_with(&mut self, channel: u16, transfer: Transfer, payload: impl AsRef<[u8]>) -> Written {
        self.raw(frames::encode_styled(channel, transfer, payload.as_ref(), self.style))
    }

    /// Writes frames, and what they carry, at once: the peer can read them together.
    pub fn send_together<B, P>(&mut self, channel: u16, frames: impl IntoIterator<Item = (B, P)>) -> Written
    where
        B: Into<Performative>,
        P: AsRef<[u8]>,
    {
        let style = self.style;
        let encoded =
            frames.into_iter().map(|(body, payload)| frames::encode_styled(channel, body, payload.as_ref(), style));
        self.raw(encoded.collect::<Vec<_>>().concat())
    }

    /// Writes a frame without a body (§2.4.5).
    pub fn empty_frame(&mut self, channel: u16) -> Written {
        self.raw(frames::empty(channel))
    }

    /// Writes a SASL frame.
    pub fn sasl(&mut self, body: SaslBody) -> Written {
        self.raw(frames::sasl(&body))
    }

    /// Writes no more; the other end reads the end.
    pub fn finish(&mut self) {
        self.record(Direction::Sent, "end");
        self.transport.finish();
    }
}

/// Waiting.
impl<T: Transport> Peer<T> {
    /// The next thing, whatever it is. After the end, the end again.
    #[allow(clippy::should_implement_trait)] // It never ends.
    pub fn next(&mut self) -> Got {
        self.next_within(self.patience)
    }

    /// The next thing, if it comes within this time.
    ///
    /// A wait without time still gives what has arrived. Several of them in a row read at most once, so that a loop that
    /// runs up to a deadline ends with [`Got::Timeout`], however much the other end writes.
    pub fn next_within(&mut self, within: Duration) -> Got {
        let deadline = self.deadline(within);
        self.wait(deadline, |_| false)
    }

    /// Everything that comes within this time, up to the end, but no more things than `most`.
    pub fn gather(&mut self, within: Duration, most: usize) -> Vec<Got> {
        let deadline = self.deadline(within);
        let mut all = Vec::new();
        while all.len() < most {
            let got = self.wait(deadline, |_| false);
            let is_last = got.is_end() || self.now() >= deadline;
            if !matches!(got, Got::Timeout { .. }) {
                all.push(got);
            }
            if is_last {
                break;
            }
        }
        all
    }

    /// The next thing that is not passed over. However much is passed over, or however slowly it comes, the deadline
    /// holds.
    pub(crate) fn wait(&mut self, deadline: Duration, skips: impl Fn(&Got) -> bool) -> Got {
        let start = self.transport.now();
        let mut late = false;
        self.is_late &= start >= deadline;
        loop {
            while let Some(got) = self.incoming.next() {
                self.record(Direction::Received, &got.to_string());
                if !skips(&got) {
                    return got;
                }
            }
            if let Some(end) = &self.ended {
                return end.clone();
            }
            let now = self.transport.now();
            if late || self.is_late {
                self.is_late = false;
                let got = Got::Timeout { waited: now.saturating_sub(start), unfinished: self.incoming.unfinished() };
                self.record(Direction::Note, &got.to_string());
                return got;
            }
            // What has arrived by the deadline is still looked at, once.
            late = now >= deadline;
            let end = match self.transport.read(&mut self.buffer, deadline) {
                Read::Octets(count) => {
                    self.is_late = late;
                    self.incoming.feed(self.buffer.get(..count).unwrap_or(&self.buffer));
                    continue;
                }
                Read::Timeout => {
                    late = true;
                    continue;
                }
                Read::Eof => Got::Eof { unfinished: self.incoming.take_unfinished() },
                Read::Reset => Got::Reset { unfinished: self.incoming.take_unfinished() },
            };
            self.record(Direction::Received, &end.to_string());
            self.ended = Some(end);
        }
    }

    /// That something else came than was wanted.
    pub fn unexpected(&self, wanted: impl Into<Cow<'static, str>>, got: impl Into<Box<Got>>) -> Unexpected {
        Unexpected { wanted: wanted.into(), got: got.into(), transcript: Box::new(self.transcript.clone()) }
    }

    /// Waits for this protocol header; nothing is passed over.
    ///
    /// # Errors
    ///
    /// If something else comes, another header for instance.
    pub fn expect_header(&mut self, wanted: ProtocolHeader) -> Result<(), Unexpected> {
        match self.next() {
            Got::Header(header) if header == wanted => Ok(()),
            got => Err(self.unexpected(Got::Header(wanted).to_string(), got)),
        }
    }

    /// Waits for any protocol header.
    ///
    /// # Errors
    ///
    /// If something else comes.
    pub fn expect_any_header(&mut self) -> Result<ProtocolHeader, Unexpected> {
        match self.next() {
            Got::Header(header) => Ok(header),
            got => Err(self.unexpected("a protocol header", got)),
        }
    }

    /// Waits for a frame with such a body, and passes over what [`set_skip`](Self::set_skip) says.
    ///
    /// # Errors
    ///
    /// If something else comes, or nothing.
    pub fn expect<B: Body>(&mut self) -> Result<Received<B>, Unexpected> {
        self.expect_skipping(self.skip)
    }

    /// Waits for a frame with such a body, and passes over what `skip` says.
    ///
    /// # Errors
    ///
    /// If something else comes, or nothing.
    pub fn expect_skipping<B: Body>(&mut self, skip: Skip) -> Result<Received<B>, Unexpected> {
        self.expect_where(skip, B::NAME, |_| true)
    }

    /// Waits for a frame with such a body that is right, and passes over what `skip` says, of other bodies. `wanted`
    /// says in words what is right.
    ///
    /// # Errors
    ///
    /// If something else comes, such a body that is not right, or nothing.
    pub fn expect_where<B: Body>(
        &mut self,
        skip: Skip,
        wanted: impl Into<Cow<'static, str>>,
        is_right: impl FnOnce(&Received<B>) -> bool,
    ) -> Result<Received<B>, Unexpected> {
        let deadline = self.deadline(self.patience);
        let got = self.wait(deadline, |got| got.name() != B::NAME && skip.skips(got));
        match B::of(got.clone()) {
            Ok(received) if is_right(&received) => Ok(received),
            _ => Err(self.unexpected(wanted, got)),
        }
    }

    /// Waits until the peer detaches, ends or closes with an error. All that may come before it is passed over.
    ///
    /// # Errors
    ///
    /// If something else comes: an end without an error too.
    pub fn expect_refusal(&mut self) -> Result<Refusal, Unexpected> {
        let deadline = self.deadline(self.patience);
        let got = self.wait(deadline, |got| Skip::CHATTER.skips(got));
        Refusal::of(&got).ok_or_else(|| self.unexpected("detach, end or close with an error", got))
    }

    /// Waits for the end, in good order: empty frames are passed over, and a broken transport is no end.
    ///
    /// # Errors
    ///
    /// If something else comes, or the beginning of a frame before the end.
    pub fn expect_eof(&mut self) -> Result<(), Unexpected> {
        let (deadline, skip) = (self.deadline(self.patience), self.skip);
        match self.wait(deadline, |got| skip.skips(got)) {
            Got::Eof { unfinished } if unfinished.is_empty() => Ok(()),
            got => Err(self.unexpected("the end", got)),
        }
    }

    /// Waits until the peer is gone, in whatever way, and passes over everything else: for peers that may drop a
    /// connection without a word.
    ///
    /// # Errors
    ///
    /// If the peer stays.
    pub fn expect_gone(&mut self) -> Result<(), Unexpected> {
        let deadline = self.deadline(self.patience);
        let got = self.wait(deadline, |_| true);
        if got.is_end() { Ok(()) } else { Err(self.unexpected("the end or a reset", got)) }
    }

    /// Waits this long for nothing to come, but for what [`set_skip`](Self::set_skip) says.
    ///
    /// # Errors
    ///
    /// If something comes, or the end.
    pub fn silence(&mut self, duration: Duration) -> Result<(), Unexpected> {
        let (deadline, skip) = (self.deadline(duration), self.skip);
        match self.wait(deadline, |got| skip.skips(got)) {
            Got::Timeout { unfinished: 0, .. } => Ok(()),
            got => Err(self.unexpected(format!("nothing for {duration:?}"), got)),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Peer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("transport", &self.transport)
            .field("patience", &self.patience)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
