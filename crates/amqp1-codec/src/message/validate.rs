//! Whether all of a received message can be decoded.

use super::{Body, Message};
use crate::{DecodeError, DecodeErrorKind, ValueRef, messaging::PropertiesRef, types::MapRef};

impl Message {
    /// Looks at every section, down to its last octet: what is malformed is found now rather than when it is used.
    ///
    /// The usual encodings are read in place. Everything else, and every error, is left to the decoding of values of
    /// their own.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), DecodeError> {
        if let Some(error) = self.layout_error() {
            return Err(error);
        }
        self.header()?;
        self.delivery_annotations()?;
        if !self.message_annotations_ref().is_ok_and(|map| map.is_none_or(|map| is_usual(map, symbol))) {
            self.message_annotations()?;
        }
        if !self.properties_ref().is_ok_and(|properties| properties.is_none_or(|properties| reads_well(&properties))) {
            self.properties()?;
        }
        if !self.application_properties_ref().is_ok_and(|map| map.is_none_or(|map| is_usual(map, string))) {
            self.application_properties()?;
        }
        match self.body() {
            Body::Value(value) => drop(value.to_value()?),
            Body::Sequence(mut sequences) => sequences.try_for_each(|sequence| sequence.map(drop))?,
            Body::Empty if self.limits.strict() => {
                return Err(DecodeError::new(DecodeErrorKind::MissingBody, 0));
            }
            Body::Malformed(error) => return Err(error),
            Body::Empty | Body::Data(_) => {}
        }
        self.footer()?;
        Ok(())
    }
}

fn string<'a>(key: &ValueRef<'a>) -> Option<&'a str> {
    match *key {
        ValueRef::String(text) => Some(text),
        _ => None,
    }
}

fn symbol<'a>(key: &ValueRef<'a>) -> Option<&'a str> {
    match *key {
        ValueRef::Symbol(text) => Some(text),
        _ => None,
    }
}

/// Whether a map has few pairs, of keys of one type, none of them twice, and of values that hold no others.
fn is_usual<'a>(map: MapRef<'a>, text: impl Fn(&ValueRef<'a>) -> Option<&'a str>) -> bool {
    const FEW: usize = 16;
    let mut keys = [""; FEW];
    let mut count: usize = 0;
    for pair in map {
        let Ok((key, value)) = pair else { return false };
        let (Some(key), Some((earlier, rest))) = (text(&key), keys.split_at_mut_checked(count)) else { return false };
        let Some(place) = rest.first_mut() else { return false };
        if is_compound(&value) || earlier.contains(&key) {
            return false;
        }
        *place = key;
        count = count.saturating_add(1);
    }
    true
}

const fn is_compound(value: &ValueRef<'_>) -> bool {
    matches!(value, ValueRef::List(_) | ValueRef::Map(_) | ValueRef::Array(_) | ValueRef::Described(_))
}

fn reads_well(properties: &PropertiesRef<'_>) -> bool {
    !properties.has_excess()
        && properties.message_id().is_ok()
        && properties.user_id().is_ok()
        && properties.to().is_ok()
        && properties.subject().is_ok()
        && properties.reply_to().is_ok()
        && properties.correlation_id().is_ok()
        && properties.content_type().is_ok()
        && properties.content_encoding().is_ok()
        && properties.absolute_expiry_time().is_ok()
        && properties.creation_time().is_ok()
        && properties.group_id().is_ok()
        && properties.group_sequence().is_ok()
        && properties.reply_to_group_id().is_ok()
}
