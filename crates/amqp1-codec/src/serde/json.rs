//! JSON as the body of a message; with the feature `json`.

use super::Error;
use crate::{Message, MessageBuilder, Symbol, ValueRef, message::Body};
use ::serde::{Serialize, de::DeserializeOwned};
use alloc::string::{String, ToString};
use core::fmt;
use serde_json::error::Category;

const MEDIA_TYPE: Symbol = Symbol::from_static("application/json");

/// The body of a message that is not JSON, or JSON that the type does not take.
///
/// `Display` and `Debug` say what is wrong and where. They do not quote the message, which may be large or secret:
/// [`detail`](Self::detail) may.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonError {
    what: &'static str,
    line: usize,
    column: usize,
    detail: String,
}

impl JsonError {
    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column in octets, from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// The parser's own words, which may quote what the peer wrote.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        let what = match error.classify() {
            Category::Data => "the body is JSON of another type than the one that is wanted",
            Category::Eof => "the body is JSON that ends too early",
            Category::Io | Category::Syntax => "the body is not JSON",
        };
        Self { what, line: error.line(), column: error.column(), detail: error.to_string() }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: line {}, column {}", self.what, self.line, self.column)
    }
}

impl fmt::Debug for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonError({self})")
    }
}

impl core::error::Error for JsonError {}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error.into())
    }
}

impl Message {
    /// Reads the body as JSON: data, or an amqp-value that is a string or a binary. The content-type is not looked at.
    ///
    /// ```
    /// use amqp1_codec::Message;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize, PartialEq, Debug)]
    /// struct Reading {
    ///     celsius: f64,
    /// }
    ///
    /// let sent = Message::builder().json(&Reading { celsius: 21.5 })?.build();
    /// let received = Message::from_chunks(sent.into_parts())?;
    /// assert_eq!(received.json::<Reading>()?, Reading { celsius: 21.5 });
    /// # Ok::<(), amqp1_codec::serde::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Json`] if it is not JSON, or not what the type wants; [`Error::Body`] if the body is something else;
    /// [`Error::Decode`] if it is malformed.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        match self.body() {
            Body::Data(_) => Ok(serde_json::from_slice(&self.data().unwrap_or_default())?),
            Body::Value(value) => match value.as_ref()? {
                ValueRef::String(text) => Ok(serde_json::from_str(text)?),
                ValueRef::Binary(octets) => Ok(serde_json::from_slice(octets)?),
                _ => Err(Error::Body("a text of JSON")),
            },
            Body::Malformed(error) => Err(error.into()),
            Body::Sequence(_) | Body::Empty => Err(Error::Body("a text of JSON")),
        }
    }
}

impl MessageBuilder {
    /// Makes the body one data section of JSON, and sets the content-type to `application/json` unless it is set.
    ///
    /// # Errors
    ///
    /// [`Error::Custom`] if the type has no form in JSON: a map whose keys are not texts, or what the type itself says.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self, Error> {
        let octets = serde_json::to_vec(value).map_err(|error| Error::Custom(error.to_string()))?;
        let typed = self.properties.as_ref().is_some_and(|properties| properties.content_type.is_some());
        let builder = self.sole_data(octets);
        Ok(if typed { builder } else { builder.content_type(MEDIA_TYPE) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Value};
    use ::serde::{Deserialize, Serialize};
    use alloc::{format, string::String, vec, vec::Vec};
    use bytes::Bytes;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Reading {
        sensor: String,
        celsius: f64,
    }

    fn reading() -> Reading {
        Reading { sensor: "boiler".into(), celsius: 61.5 }
    }

    fn received(builder: MessageBuilder) -> Message {
        Message::from_chunks(builder.build().into_parts()).expect("valid")
    }

    #[test]
    fn json_is_one_data_section_with_its_content_type() {
        let message = received(Message::builder().data("replaced").data("replaced").json(&reading()).expect("JSON"));
        assert_eq!(message.data_in_place().as_deref(), Some(&br#"{"sensor":"boiler","celsius":61.5}"#[..]));
        assert_eq!(message.content_type(), Ok(Some("application/json")));
        assert_eq!(message.json(), Ok(reading()));
        // A content-type that is set stays, and so do other properties.
        let own = Message::builder().content_type("application/vnd.example+json").subject("reading");
        let message = received(own.json(&reading()).expect("JSON"));
        assert_eq!(message.content_type(), Ok(Some("application/vnd.example+json")));
        assert_eq!(message.subject(), Ok(Some("reading")));
    }

    #[test]
    fn json_is_read_from_every_form_of_a_text() {
        let text = ::serde_json::to_string(&reading()).expect("JSON");
        let pieces: Vec<Bytes> = Message::builder().data(text.clone()).build().into_parts();
        let cut = pieces.concat().chunks(5).map(Bytes::copy_from_slice).collect::<Vec<_>>();
        assert_eq!(Message::from_chunks(cut).expect("valid").json(), Ok(reading()));
        for body in [Value::from(&*text), Value::from(Bytes::from(text))] {
            assert_eq!(received(Message::builder().value(body)).json(), Ok(reading()));
        }
    }

    #[test]
    fn what_is_not_the_json_that_is_wanted_is_said_and_not_quoted() {
        for (text, expected) in [
            ("{\"sensor\":\"secret\",", "the body is JSON that ends too early: line 1, column 19"),
            ("secret", "the body is not JSON: line 1, column 1"),
            ("\n \"secret\"", "the body is JSON of another type than the one that is wanted: line 2, column 9"),
        ] {
            let error = received(Message::builder().data(text)).json::<Reading>().expect_err("not that type");
            assert_eq!(format!("{error}"), expected);
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
            let Error::Json(error) = error else { panic!("{error:?}") };
            assert!(error.line() >= 1 && error.column() >= 1 && !error.detail().is_empty());
        }
        for other in [Message::builder().value(7), Message::builder().sequence(vec![]), Message::builder()] {
            let error = received(other).json::<Reading>().expect_err("another body");
            assert_eq!(error, Error::Body("a text of JSON"));
        }
        let malformed = Message::received([Bytes::from_static(b"?")], Limits::DEFAULT);
        assert!(matches!(malformed.json::<Reading>(), Err(Error::Decode(_))));
        assert!(matches!(malformed.value_as::<Reading>(), Err(Error::Decode(_))));
    }

    #[test]
    fn a_value_that_has_no_form_in_json_is_refused() {
        let keyed: alloc::collections::BTreeMap<Option<u8>, u8> = [(None, 1)].into_iter().collect();
        assert!(matches!(Message::builder().json(&keyed), Err(Error::Custom(_))));
    }

    #[test]
    fn a_value_is_read_as_a_type_of_ones_own() {
        let message = received(Message::builder().serialized(&reading()).expect("a value"));
        assert_eq!(message.value_as(), Ok(reading()));
        let error = received(Message::builder().data("boiler")).value_as::<Reading>().expect_err("data");
        assert_eq!(error, Error::Body("an amqp-value"));
        assert_eq!(format!("{error}"), "the body of the message is not an amqp-value");
    }
}
