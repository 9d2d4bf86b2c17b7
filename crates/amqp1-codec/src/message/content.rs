//! The body of a received message as octets, as a text or as a value.

use super::{Body, Message};
use crate::{DecodeError, DecodeErrorKind, Str, Symbol, Value, ValueRef};
use bytes::{Bytes, BytesMut};

impl Message {
    /// Returns the octets of the body, however many sections and transfers they came in; `None` if it is not data.
    ///
    /// Octets in one piece are shared. Those in several are copied together, each time;
    /// [`data_in_place`](Self::data_in_place) never copies.
    ///
    /// ```
    /// use amqp1_codec::Message;
    ///
    /// let sent = Message::builder().data("hello, ").data("world").build();
    /// let received = Message::from_chunks(sent.into_parts())?;
    /// assert_eq!(received.data().as_deref(), Some(&b"hello, world"[..]));
    /// # Ok::<(), amqp1_codec::DecodeError>(())
    /// ```
    #[inline]
    pub fn data(&self) -> Option<Bytes> {
        self.data_in_place().or_else(|| self.joined_data())
    }

    /// Returns the octets of the body if it is data, in one section and in one piece: never a copy. `None` otherwise, as for
    /// most messages that are larger than a frame; [`body`](Self::body) gives those piece by piece.
    ///
    /// ```
    /// use amqp1_codec::Message;
    ///
    /// let sent = Message::builder().data("hello").build();
    /// let received = Message::from_chunks(sent.into_parts())?;
    /// assert_eq!(received.data_in_place().as_deref(), Some(&b"hello"[..]));
    /// # Ok::<(), amqp1_codec::DecodeError>(())
    /// ```
    pub fn data_in_place(&self) -> Option<Bytes> {
        let Body::Data(mut sections) = self.body() else { return None };
        let first = sections.next()?;
        if sections.is_empty() { first.in_one_piece() } else { None }
    }

    /// The octets of all data sections, copied together.
    #[inline(never)]
    fn joined_data(&self) -> Option<Bytes> {
        let Body::Data(sections) = self.body() else { return None };
        let mut all =
            BytesMut::with_capacity(sections.fold(0, |sum: usize, section| sum.saturating_add(section.len())));
        sections.flat_map(|section| section.chunks()).for_each(|chunk| all.extend_from_slice(&chunk));
        Some(all.freeze())
    }

    /// Returns the body as a text, in whichever of the usual forms it came: data in UTF-8, as from most clients, or an
    /// amqp-value that is a string (or a symbol), as from JMS. `None` if the body is something else.
    ///
    /// ```
    /// use amqp1_codec::Message;
    ///
    /// for sent in [Message::builder().data("hello"), Message::builder().value("hello")] {
    ///     let received = Message::from_chunks(sent.build().into_parts())?;
    ///     assert_eq!(received.text()?.as_deref(), Some("hello"));
    /// }
    /// # Ok::<(), amqp1_codec::DecodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the data is not UTF-8, or the body is malformed.
    pub fn text(&self) -> Result<Option<Str>, DecodeError> {
        match self.body() {
            Body::Data(_) => {
                let octets = self.data().unwrap_or_default();
                let text = Str::try_from(octets);
                text.map(Some).map_err(|_| DecodeError::at(DecodeErrorKind::InvalidUtf8, self.index.body.start()))
            }
            Body::Value(value) => match value.as_ref()? {
                ValueRef::String(_) => value.decode().map(Some),
                ValueRef::Symbol(_) => value.decode::<Symbol>().map(|symbol| Some(symbol.into())),
                _ => Ok(None),
            },
            Body::Malformed(error) => Err(error),
            Body::Sequence(_) | Body::Empty => Ok(None),
        }
    }

    /// Returns the value of an amqp-value body; `None` if the body is something else. With the feature `serde`, `value_as`
    /// gives it as a type of one's own.
    ///
    /// # Errors
    ///
    /// If the body or the value is malformed.
    pub fn value(&self) -> Result<Option<Value>, DecodeError> {
        match self.body() {
            Body::Value(value) => value.to_value().map(Some),
            Body::Malformed(error) => Err(error),
            _ => Ok(None),
        }
    }

    /// Returns the value of an amqp-value body as a type of one's own, by way of [`serde`](crate::serde); texts and octets
    /// may be borrowed from the message.
    ///
    /// ```
    /// use amqp1_codec::Message;
    ///
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Reading<'a> {
    ///     sensor: &'a str,
    ///     celsius: f64,
    /// }
    ///
    /// let sent = Message::builder().serialized(&Reading { sensor: "boiler", celsius: 61.5 })?.build();
    /// let received = Message::from_chunks(sent.into_parts())?;
    /// let reading = received.value_as::<Reading>()?;
    /// assert_eq!((reading.sensor, reading.celsius), ("boiler", 61.5));
    /// # Ok::<(), amqp1_codec::serde::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Body`](crate::serde::Error::Body) if the body is no amqp-value;
    /// [`Error::Decode`](crate::serde::Error::Decode) if it is malformed or breaks the message's limits; another if it is not
    /// what the type wants.
    #[cfg(feature = "serde")]
    pub fn value_as<'a, T: ::serde::Deserialize<'a>>(&'a self) -> Result<T, crate::serde::Error> {
        match self.body() {
            Body::Value(value) => value.deserialize(),
            Body::Malformed(error) => Err(error.into()),
            _ => Err(crate::serde::Error::Body("an amqp-value")),
        }
    }
}
