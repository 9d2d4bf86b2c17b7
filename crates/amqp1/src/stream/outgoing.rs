//! A message that is written piece by piece.

use crate::{
    handle::{
        counted::LinkHandle,
        permit::{Permit, Receipt},
        sender::Sender,
    },
    state::{
        aside::Aside,
        ids::{LinkKey, Place},
        shared::State,
        wait::within,
    },
    types::{
        error::{Error, ErrorKind},
        options::SendOptions,
    },
};
use amqp1_codec::IntoMessage;
use amqp1_engine::SendError;
use bytes::{BufMut, Bytes, BytesMut};
use std::sync::Arc;

/// This many octets may wait at this end before [`SendStream::write`] waits.
const WAITING: usize = 256 * 1024;

/// A message that is written piece by piece, in memory that does not grow with it. Until it is finished nothing else is
/// sent on its link; other links go on.
///
/// Dropped without having been finished, it is aborted: the receiver forgets what it has of it (§2.6.14).
///
/// ```no_run
/// # async fn example(sender: amqp1::Sender, mut file: impl tokio::io::AsyncRead + Unpin)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// use amqp1::Message;
/// use tokio::io::AsyncReadExt;
///
/// let mut stream = sender.stream(Message::builder().subject("backup")).await?;
/// let mut piece = vec![0; 64 * 1024];
/// loop {
///     let length = file.read(&mut piece).await?;
///     if length == 0 {
///         break;
///     }
///     stream.write(piece[..length].to_vec()).await?;
/// }
/// let outcome = stream.finish()?.await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a stream that is dropped is aborted"]
pub struct SendStream {
    handle: Arc<LinkHandle>,
    token: u64,
    open: bool,
}

impl Sender {
    /// Begins a message that is written piece by piece; `head` is what comes before its body:
    /// [`Message::builder`](crate::Message::builder) with properties and the like, or
    /// [`EncodedMessage::default()`](crate::message::EncodedMessage) if the octets that are written begin with it.
    ///
    /// # Errors
    ///
    /// If the link ends, or there is no credit within the operation time-out. [`Permit::stream`](crate::Permit::stream) is for
    /// those who wait longer.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: nothing was sent and no credit is used.
    pub async fn stream(&self, head: impl IntoMessage) -> Result<SendStream, Error> {
        self.stream_with(head, SendOptions::default()).await
    }

    /// Begins a message that is written piece by piece, as the options say.
    ///
    /// # Errors
    ///
    /// As [`stream`](Self::stream).
    ///
    /// # Cancel safety
    ///
    /// As [`stream`](Self::stream).
    pub async fn stream_with(&self, head: impl IntoMessage, options: SendOptions) -> Result<SendStream, Error> {
        let head = self.handle().encode(head);
        let begun = self.with_credit(|state, id, aside| state.begin_stream(id, head.into_parts(), options, aside));
        let token = self.within_time(begun).await?;
        Ok(SendStream { handle: self.handle().clone(), token, open: true })
    }
}

impl Permit {
    /// Begins a message that is written piece by piece; `head` is what comes before its body.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn stream(self, head: impl IntoMessage) -> Result<SendStream, Error> {
        self.stream_with(head, SendOptions::default())
    }

    /// Begins a message that is written piece by piece, as the options say.
    ///
    /// # Errors
    ///
    /// As [`send_with`](Self::send_with).
    pub fn stream_with(self, head: impl IntoMessage, options: SendOptions) -> Result<SendStream, Error> {
        let head = self.handle().encode(head);
        let (handle, begun) = self.with_claim(head.len(), |state, id, usable, aside| match usable {
            Ok(()) => state.begin_stream(id, head.into_parts(), options, aside),
            Err(error) => {
                aside.drop_later(head.into_parts());
                Err(error)
            }
        });
        Ok(SendStream { handle, token: begun?, open: true })
    }
}

impl State {
    /// Begins a message that is written piece by piece with these parts. Returns the slot of its receipt. Parts that are
    /// refused are dropped when the lock is released.
    fn begin_stream(
        &mut self,
        id: LinkKey,
        head: Vec<Bytes>,
        options: SendOptions,
        aside: &mut Aside<'_>,
    ) -> Result<u64, Error> {
        let slot = match self.begin_delivery(id, options, aside) {
            Ok(slot) => slot,
            Err(error) => {
                aside.drop_later(head);
                return Err(error);
            }
        };
        let mut head = head.into_iter();
        while let Some(part) = head.next() {
            if let Err(error) = write(self, id, part, aside) {
                aside.drop_later(head.collect());
                abort(self, id, slot);
                // Its receipt is not handed out, so that no task waits for it.
                self.receipts.forget(slot, &mut Aside::default());
                return Err(self.explain(error));
            }
        }
        Ok(slot)
    }
}

impl SendStream {
    /// Writes a piece of the body, as a data section of its own; waits while too much of what was written before is
    /// still here.
    ///
    /// # Errors
    ///
    /// If the link has ended, the message becomes larger than the receiver takes, or nothing can leave for longer than
    /// the operation time-out; [`ErrorKind::Aborted`] if the receiver has settled the message already, so that the rest of
    /// it is not sent: [`finish`](Self::finish) gives the outcome then.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: the piece is written or it is not.
    pub async fn write(&mut self, data: impl Into<Bytes>) -> Result<(), Error> {
        let data = data.into();
        if data.is_empty() {
            return Ok(());
        }
        let header = data_header(data.len())?;
        self.write_parts([header, data]).await
    }

    /// Writes octets of the encoded message as they are: for bodies of another kind, for footers, and for messages that are
    /// sent on octet for octet, which [`IncomingStream::encoded`](crate::stream::IncomingStream::encoded) gives. They are not checked.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Cancel safety
    ///
    /// As [`write`](Self::write).
    pub async fn write_encoded(&mut self, octets: impl Into<Bytes>) -> Result<(), Error> {
        self.write_parts([octets.into()]).await
    }

    async fn write_parts<const N: usize>(&mut self, parts: [Bytes; N]) -> Result<(), Error> {
        let id = self.handle.id;
        let room = self.handle.shared.wait(Place::Link(id), |state| match state.live_link(id) {
            // A piece of each stream is taken however much waits on the connection, so that each goes on.
            Ok(_) => match state.engine.sender(id).map_or(0, |sender| sender.queued()) {
                0 => Some(Ok(())),
                queued => (queued < WAITING && state.engine.has_queue_room()).then_some(Ok(())),
            },
            Err(error) => Some(Err(error)),
        });
        within(&self.handle.shared, self.handle.timeout(), "writing a stream", room).await??;
        let token = self.token;
        // A refused message is dropped where no lock is held.
        let mut parts = parts.into_iter();
        let written = self.handle.shared.command(|state, aside| {
            for part in parts.by_ref() {
                if let Err(error) = write(state, id, part, aside) {
                    if error == SendError::SettledEarly {
                        let text = "the receiver has settled the message before it was whole: finish gives its outcome";
                        return Err(Error::new(ErrorKind::Aborted, text));
                    }
                    // Half of a section is not a message: there is nothing to go on with.
                    abort(state, id, token);
                    state.receipts.forget(token, aside);
                    return Err(state.explain(error));
                }
            }
            Ok(())
        })?;
        self.open &= written.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::Aborted);
        written
    }

    /// Says that the message is whole. The receipt is a future of its outcome. The last octet that was written leaves with
    /// this, and not before.
    ///
    /// # Errors
    ///
    /// If the link has ended.
    pub fn finish(mut self) -> Result<Receipt, Error> {
        let (id, token) = (self.handle.id, self.token);
        if !self.open {
            return Err(Error::new(ErrorKind::Aborted, "a piece of the stream was refused, and the message given up"));
        }
        let now = self.handle.shared.now();
        self.handle.shared.command(|state, _| {
            let finished =
                state.engine.sender(id).map_err(|_| SendError::Detached).and_then(|mut sender| sender.finish());
            finished.map_err(|error| state.explain(error))?;
            let limit = state.links.get(&id).and_then(|link| link.outcome_timeout).unwrap_or(state.outcome_timeout);
            state.receipts.arm(token, now, limit);
            Ok::<_, Error>(())
        })??;
        self.open = false;
        Ok(Receipt::new(self.handle.clone(), token))
    }

    /// Gives the message up: the receiver forgets what it has of it.
    pub fn abort(self) {}
}

impl Drop for SendStream {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        let (id, token) = (self.handle.id, self.token);
        let _ = self.handle.shared.command(|state, aside| {
            abort(state, id, token);
            state.receipts.forget(token, aside);
        });
    }
}

/// Writes a piece. If it is refused, it is dropped when the lock is released.
fn write(state: &mut State, id: LinkKey, octets: Bytes, aside: &mut Aside<'_>) -> Result<(), SendError> {
    let written = match state.engine.sender(id) {
        Ok(mut sender) => sender.write(octets).map_err(|unsent| (unsent.reason(), unsent.into_inner())),
        Err(_) => Err((SendError::Detached, octets)),
    };
    written.map_err(|(reason, octets)| {
        aside.drop_later(vec![octets]);
        reason
    })
}

fn abort(state: &mut State, id: LinkKey, token: u64) {
    // One that has left as a whole, or whose link is over, is not given up.
    let _ = state.abort_delivery(id, state.tokens.of(token));
}

/// The octets before the content of a data section.
fn data_header(length: usize) -> Result<Bytes, Error> {
    let too_large = |_| Error::new(ErrorKind::MessageTooLarge, "a piece of a stream has at most 4 GiB");
    let length = u32::try_from(length).map_err(too_large)?;
    let mut header = BytesMut::with_capacity(8);
    header.put_slice(&[0x00, 0x53, 0x75, 0xb0]);
    header.put_u32(length);
    Ok(header.freeze())
}
