//! A message that is read piece by piece.

use super::{section_head::Malformed, sections::Sections};
use crate::{
    handle::{
        counted::LinkHandle,
        delivery::{DeliveryHandle, outcomes},
        receiver::Receiver,
    },
    state::{aside::Aside, engine::Received, ids::LinkKey, shared::State},
    types::{
        detached::Detached,
        error::{Error, ErrorKind},
    },
};
use amqp1_codec::{
    DeliveryTag, Message,
    messaging::{Annotations, DeliveryState},
};
use amqp1_engine::{Cause, StreamItem, transaction::TxnId};
use bytes::Bytes;
use std::{future::poll_fn, task::Poll};

/// A message that is read piece by piece as it comes, in memory that does not grow with it. What is not taken holds back
/// the sender once the session's share for streams is full ([`SessionConfig::stream_octets`](crate::connection::SessionConfig)).
///
/// It is handed over whatever its octets are. [`head`](Self::head) gives the sections before the body, whose accessors say
/// what of them cannot be read; [`data`](Self::data) gives the octets of the body, if it is data; and
/// [`encoded`](Self::encoded) gives whole sections as they came, to be sent on, and [`octets`](Self::octets) the octets of any
/// message. Messages of formats other than 0 (§2.8.11) have
/// nothing but octets here: what they mean is for those who know the format.
///
/// It can be settled at any time, also before its end. Dropped, it is dealt with as its receiver's
/// [`OnDrop`](crate::link::OnDrop) says, and what still comes of it is passed over.
///
/// A client asks for streams by [`ReceiverBuilder::streamed`](crate::link::ReceiverBuilder::streamed), an acceptor by
/// [`ReceiverRequest::streamed`](crate::acceptor::ReceiverRequest::streamed):
///
/// ```no_run
/// # async fn example(link: amqp1::IncomingLink) -> Result<(), amqp1::Error> {
/// use amqp1::IncomingLink;
///
/// if let IncomingLink::Receiver(request) = link {
///     let mut receiver = request.streamed().accept()?;
///     while let Some(mut message) = receiver.recv_stream().await? {
///         let properties = message.head().await?.properties();
///         while let Some(data) = message.data().await? {
///             println!("{} octets", data.len());
///         }
///         message.accept()?;
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct IncomingStream<'a> {
    receiver: &'a mut Receiver,
    handle: Option<DeliveryHandle>,
    tag: DeliveryTag,
    message_format: u32,
    settled: bool,
    sections: Sections,
    ended: bool,
    /// Why it will never be whole.
    failed: Option<Error>,
}

/// The next piece, or `None` if the link has ended in peace.
type NextItem = Poll<Result<Option<Item>, Error>>;

/// A piece; the first one of a message with the name of its delivery.
type Item = (StreamItem, Option<Received>);

fn next_item(state: &mut State, aside: &mut Aside<'_>, id: LinkKey) -> NextItem {
    let rest = |state: &mut State| state.links.get_mut(&id)?.stream_rest.pop_front();
    let item = state.engine.receiver(id).ok().and_then(|mut receiver| receiver.poll_stream());
    if let Some(item) = item.or_else(|| rest(state)) {
        let name = match &item {
            StreamItem::Begin { key, .. } => Some(state.engine.received(*key)),
            _ => None,
        };
        return Poll::Ready(Ok(Some((item, name))));
    }
    let Some(link) = state.links.get_mut(&id) else { return Poll::Ready(Err(state.link_failure(id))) };
    match link.detached.as_deref() {
        Some(Detached { error: None, by: Cause::Peer | Cause::Local, .. }) => Poll::Ready(Ok(None)),
        None if !state.dead => {
            aside.store(&mut link.receiver);
            Poll::Pending
        }
        _ => Poll::Ready(Err(state.link_failure(id))),
    }
}

/// Octets that are left of the delivery whose pieces are being taken, if all of it is here.
fn rest(state: &mut State, id: LinkKey) -> Option<usize> {
    let waiting = state.engine.receiver(id).ok().and_then(|receiver| receiver.stream_rest());
    waiting.or_else(|| {
        // A link that is over has kept what its sender had settled.
        let kept = &state.links.get(&id)?.stream_rest;
        let octets = |item: &StreamItem| if let StreamItem::Data(piece) = item { piece.len() } else { 0 };
        (!kept.is_empty()).then(|| kept.iter().fold(0, |sum: usize, item| sum.saturating_add(octets(item))))
    })
}

async fn next(link: &LinkHandle) -> Result<Option<Item>, Error> {
    let next = poll_fn(|cx| link.shared.poll(cx, |state, aside| next_item(state, aside, link.id)));
    next.await?
}

impl Receiver {
    /// Waits for the next message of a link that was attached as [`streamed`](crate::link::ReceiverBuilder::streamed); `None`
    /// when the link has ended without an error. What is left of the message before is passed over.
    ///
    /// # Errors
    ///
    /// If the link, its session or the connection ended with an error, or the link is not streamed.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no message is lost.
    pub async fn recv_stream(&mut self) -> Result<Option<IncomingStream<'_>>, Error> {
        if !self.is_streamed() {
            return Err(Error::new(
                ErrorKind::Config,
                "the link was not attached as streamed: its messages come whole",
            ));
        }
        let link = self.handle().clone();
        while let Some(whole) =
            link.shared.command(|state, _| state.links.get_mut(&link.id)?.undelivered.pop_front())?
        {
            let name = whole.name();
            let whole = whole.delivery;
            if let Some(txn) = whole.state.as_ref().and_then(TxnId::of) {
                link.shared.command(|state, aside| state.refuse_streamed(link.id, name, &txn, aside))?;
                continue;
            }
            let mut stream = IncomingStream::new(self, None, whole.tag, whole.message_format, true);
            stream.take_whole(&whole.message);
            return Ok(Some(stream));
        }
        loop {
            match next(&link).await? {
                None => return Ok(None),
                Some((StreamItem::Begin { state: Some(state @ DeliveryState::Transactional(_)), .. }, Some(name))) => {
                    // It would be taken as one that is not part of a transaction.
                    let Some(txn) = TxnId::of(&state) else { continue };
                    link.shared.command(|state, aside| state.refuse_streamed(link.id, name, &txn, aside))?;
                }
                Some((StreamItem::Begin { tag, message_format, settled, .. }, Some(name))) => {
                    let handle = DeliveryHandle::new(link, name, !settled);
                    return Ok(Some(IncomingStream::new(self, Some(handle), tag, message_format, settled)));
                }
                Some(_) => {}
            }
        }
    }
}

impl<'a> IncomingStream<'a> {
    fn new(
        receiver: &'a mut Receiver,
        handle: Option<DeliveryHandle>,
        tag: DeliveryTag,
        message_format: u32,
        settled: bool,
    ) -> Self {
        let limits = receiver.handle().shared.look(|state| state.engine.decode_limits());
        let sections = if message_format == 0 { Sections::new(limits) } else { Sections::opaque(limits) };
        Self { receiver, handle, tag, message_format, settled, sections, ended: false, failed: None }
    }

    /// The sender's name for the delivery.
    pub fn tag(&self) -> DeliveryTag {
        self.tag
    }

    /// The message's format (§2.8.11).
    pub fn message_format(&self) -> u32 {
        self.message_format
    }

    /// Whether the sender has settled it: an outcome that is stated is not sent then.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Waits for what comes before the body: a message without one. Its accessors say which of its sections cannot be
    /// read; a section with which they take more than 256 KiB together cannot.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Aborted`] if the sender has given the message up; if the link has ended before the head was whole;
    /// [`ErrorKind::Protocol`] if more than 512 KiB come before the body: the data, or all octets, can be read on; and if
    /// the message is of a format other than 0.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn head(&mut self) -> Result<Message, Error> {
        self.check_format()?;
        while !self.sections.has_head() {
            if self.sections.is_full() {
                return Err(malformed(Malformed::TooLarge));
            }
            self.advance().await?;
        }
        Ok(self.sections.head())
    }

    /// Waits for the next octets of the body; `None` at its end. What stands around them is passed over.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Aborted`] if the sender has given the message up; if the link has ended before the message was
    /// whole; [`ErrorKind::Protocol`] if it is malformed, of a format other than 0, or its body is not data. Asked again, it
    /// fails again; what was not given is left to [`octets`](Self::octets).
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no octets are lost.
    pub async fn data(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(data) = self.sections.take_data() {
                return data.map(Some).map_err(malformed);
            }
            if self.ended && self.failed.is_none() {
                return Ok(None);
            }
            self.advance().await?;
        }
    }

    /// Waits for the next octets of the message as they came, sections and all; `None` at its end. They are all there if
    /// [`data`](Self::data) was not asked for before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Aborted`] if the sender has given the message up; if the link has ended before the message was
    /// whole. What the octets are is no reason.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no octets are lost.
    pub async fn octets(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(octets) = self.sections.take_octets() {
                return Ok(Some(octets));
            }
            if self.ended && self.failed.is_none() {
                return Ok(None);
            }
            self.advance().await?;
        }
    }

    /// Waits for the next octets of the message as they came, to be sent on octet for octet; `None` at its end. They are
    /// [`octets`](Self::octets) that are checked: sections of a message in their order, each of which ends. What stands in
    /// the sections is not looked at. Messages of formats other than 0 are not checked.
    ///
    /// A relay has sent most of a message by the time that it turns out to be cut off. It drops its
    /// [`SendStream`](crate::stream::SendStream) then, and the receiver forgets what it has of it:
    ///
    /// ```no_run
    /// # async fn example(receiver: &mut amqp1::Receiver, sender: amqp1::Sender) -> Result<(), amqp1::Error> {
    /// use amqp1::{message::EncodedMessage, link::SendOptions};
    ///
    /// while let Some(mut incoming) = receiver.recv_stream().await? {
    ///     // The message's own octets begin with its head.
    ///     let options = SendOptions { message_format: incoming.message_format(), ..SendOptions::default() };
    ///     let mut outgoing = sender.stream_with(EncodedMessage::default(), options).await?;
    ///     while let Some(octets) = incoming.encoded().await? {
    ///         outgoing.write_encoded(octets).await?;
    ///     }
    ///     outgoing.finish()?.await?.into_result()?;
    ///     incoming.accept()?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// They are all there if neither [`data`](Self::data) nor [`octets`](Self::octets) was asked for before. Messages that
    /// came whole are sent on by [`Sender::send`](crate::Sender::send), which takes a [`Message`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Aborted`] if the sender has given the message up; if the link has ended before the message was whole;
    /// [`ErrorKind::Protocol`] where something other than a section that may stand there begins, and where the message ends
    /// within a section. Asked again, it fails again; the rest is left to [`octets`](Self::octets).
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no octets are lost.
    pub async fn encoded(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(octets) = self.sections.take_encoded() {
                return octets.map(Some).map_err(malformed);
            }
            if self.ended && self.failed.is_none() {
                return Ok(None);
            }
            self.advance().await?;
        }
    }

    /// How many octets the whole message has, its sections and all; `None` until its last octet has come, and if it never
    /// will. Nothing else says how long a message is that is on its way.
    pub fn encoded_len(&self) -> Option<u64> {
        if self.failed.is_some() {
            return None;
        }
        let mut total = self.sections.total();
        if !self.ended {
            let link = self.receiver.handle();
            let rest = link.shared.look(|state| rest(state, link.id))?;
            total = total.saturating_add(u64::try_from(rest).unwrap_or(u64::MAX));
        }
        Some(total)
    }

    /// The footer as it came, its descriptor and all, for [`SendStream::write_encoded`](crate::stream::SendStream::write_encoded):
    /// there once [`data`](Self::data), [`encoded`](Self::encoded) or [`octets`](Self::octets) has given `None`.
    ///
    /// # Errors
    ///
    /// If what comes before it cannot be told apart, it is larger than 256 KiB, or the message is of a format other than 0.
    pub fn encoded_footer(&self) -> Result<Option<Bytes>, Error> {
        self.check_format()?;
        self.sections.encoded_footer().map_err(malformed)
    }

    /// The footer: there once [`data`](Self::data) or [`octets`](Self::octets) has given `None`.
    ///
    /// # Errors
    ///
    /// If it is malformed, what comes before it cannot be told apart, or the message is of a format other than 0.
    pub fn footer(&self) -> Result<Option<Annotations>, Error> {
        self.check_format()?;
        self.sections.tail().footer().map_err(undecodable)
    }

    /// All sections that came after the body, as those of a message: the footer, and what some senders put there though it
    /// belongs before the body. There once [`data`](Self::data) or [`octets`](Self::octets) has given `None`. If the message
    /// is of a format other than 0, they cannot be read, as the accessors say.
    pub fn tail(&self) -> Message {
        self.sections.tail()
    }

    /// Fails if the message is not made of the sections that are known here.
    fn check_format(&self) -> Result<(), Error> {
        if self.message_format == 0 { Ok(()) } else { Err(malformed(Malformed::OtherFormat)) }
    }

    /// The next piece. What has failed stays so: what comes next on the link is another message's.
    async fn advance(&mut self) -> Result<(), Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let advanced = self.step().await;
        self.failed = advanced.as_ref().err().cloned();
        advanced
    }

    async fn step(&mut self) -> Result<(), Error> {
        let link = self.receiver.handle().clone();
        match next(&link).await?.map(|(item, _)| item) {
            Some(StreamItem::Data(octets)) => {
                self.sections.push(octets);
                Ok(())
            }
            Some(StreamItem::End { settled }) => {
                self.settled |= settled;
                self.end();
                Ok(())
            }
            Some(_) => {
                self.ended = true;
                self.handle = None;
                Err(Error::new(ErrorKind::Aborted, "the sender has given the message up"))
            }
            None => Err(Error::new(ErrorKind::LinkDetached, "the link has ended before the message was whole")),
        }
    }

    /// Takes a message that is here whole.
    fn take_whole(&mut self, message: &Message) {
        for part in message.to_encoded().into_parts() {
            self.sections.push(part);
        }
        self.end();
    }

    fn end(&mut self) {
        self.ended = true;
        self.sections.finish();
    }

    /// States an outcome. Whether that settles the message at once follows from the link's receiver settle mode.
    ///
    /// # Errors
    ///
    /// If the link has ended; [`ErrorKind::Aborted`] if the sender has given the message up, as far as that was read.
    pub fn settle(mut self, outcome: DeliveryState) -> Result<(), Error> {
        if let Some(error) = self.failed.take().filter(|error| error.kind() == ErrorKind::Aborted) {
            return Err(error);
        }
        self.handle.take().map_or(Ok(()), |handle| handle.settle(outcome))
    }

    outcomes!();

    /// A handle that settles the message later, so that the next one can be received; `None` if the sender has given the
    /// message up, as far as that was read.
    pub fn into_handle(mut self) -> Option<DeliveryHandle> {
        self.handle.take()
    }
}

impl Drop for IncomingStream<'_> {
    fn drop(&mut self) {
        if let Some(mut handle) = self.handle.take() {
            handle.abandon(self.receiver.on_drop());
        }
        if !self.ended {
            self.receiver.handle().skip_stream();
        }
    }
}

fn malformed(malformed: Malformed) -> Error {
    let text = match malformed {
        Malformed::NotData => "the body of the message is not data: read its octets, or receive it whole",
        Malformed::NoSection => "the message holds what is no section of a message: read its octets",
        Malformed::Order => "the message has sections in another order than they must have: read its octets",
        Malformed::TooLarge => "what stands around the body of the message is too large: read its data or its octets",
        Malformed::OtherFormat => "the message is of a format other than 0: read its octets",
        Malformed::Truncated => "the message ends within a section",
    };
    Error::new(ErrorKind::Protocol, text)
}

fn undecodable(error: amqp1_codec::DecodeError) -> Error {
    Error::new(ErrorKind::Protocol, format!("the message cannot be read: {error}"))
}
