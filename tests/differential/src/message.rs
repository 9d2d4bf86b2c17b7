//! Whole messages (§3.2): the codec's accessors against `pn_message_decode` and its accessors.
//!
//! Proton reads a message leniently and never refuses one, so what is compared is the content of every message that
//! the codec accepts. Proton's decoder of messages shares little with the one of values.

use crate::{
    dump::{self, END, counted, tag, variable},
    generate::Origin,
    peer::Answer,
    reading::{self, Reading, Rule},
    run::Outcome,
};
use amqp1_codec::{
    DecodeError, DecodeErrorKind, Message, Value,
    message::Body,
    messaging::{Header, MessageId, Properties},
};
use bytes::Bytes;

/// What is compared, in the order of the dump; each field follows its length.
const FIELDS: [&str; 23] = [
    "durable",
    "priority",
    "ttl",
    "first-acquirer",
    "delivery-count",
    "message-id",
    "user-id",
    "to",
    "subject",
    "reply-to",
    "correlation-id",
    "content-type",
    "content-encoding",
    "absolute-expiry-time",
    "creation-time",
    "group-id",
    "group-sequence",
    "reply-to-group-id",
    "delivery-annotations",
    "message-annotations",
    "application-properties",
    "body",
    "body is no amqp-value",
];
const PROPERTIES: usize = 5;
const DELIVERY_ANNOTATIONS: usize = 18;
const MESSAGE_ANNOTATIONS: usize = 19;
const APPLICATION_PROPERTIES: usize = 20;
const BODY: usize = 21;
const IS_DATA: usize = 22;

/// The names of the explanations; each is a place in [`Prediction`] that notes it.
pub(crate) const EXPLANATIONS: [&str; 9] = [
    "ProtonAcceptsMalformedSections",
    "ProtonChecksNoMessageRules",
    "ProtonKeepsLastBodySection",
    "ProtonDropsNullBody",
    "ProtonTakesUnknownSectionForBody",
    "ProtonMisplacesDescribedDescribed",
    "ProtonFlattensArrayDescriptors",
    "ProtonRefusesCompoundDescriptor",
    "ProtonLimitsNodes",
];

/// The fields; `None` where what Proton leaves behind is not predicted.
type Fields = Vec<Option<Vec<u8>>>;

/// One message and what both made of it.
#[derive(Debug)]
pub(crate) struct Case {
    codec: Result<Fields, DecodeError>,
    prediction: Option<Prediction>,
    /// Whether the octets are legal values one after another, and so break at most a rule of messages.
    legal: bool,
    /// Whether they were made to break no rule of messages either.
    made: bool,
    proton: Answer,
}

/// What Proton should hold, and why that is not what the message says.
#[derive(Debug)]
struct Prediction {
    fields: Fields,
    notes: Vec<&'static str>,
}

impl Case {
    /// The codec's answer to these octets, beside Proton's.
    pub(crate) fn new(origin: Origin, octets: &[u8], proton: Answer) -> Self {
        let codec = codec(octets);
        let prediction = codec.as_ref().ok().and_then(|fields| predict(octets, fields));
        let mut rest = octets;
        let mut legal = true;
        while !rest.is_empty() && legal {
            let reading = reading::read(rest);
            legal = reading.consumed.is_some() && !reading.rules.refused_by_codec();
            rest = rest.get(reading.consumed.unwrap_or(0)..).unwrap_or_default();
        }
        Self { codec, prediction, legal, made: origin == Origin::Random, proton }
    }

    /// How the answers compare.
    pub(crate) fn outcome(&self) -> Outcome {
        if self.proton.consumed.is_none() {
            return Outcome::Unexplained("Proton refuses a message");
        }
        let proton = fields_of(&self.proton.dump);
        let codec = match &self.codec {
            Err(error) => {
                return match (self.legal, self.made) {
                    (false, _) => Outcome::Explained("ProtonAcceptsMalformedSections"),
                    (true, true) => Outcome::Unexplained("the codec refuses what breaks no rule"),
                    (true, false) if is_of_messages(error.kind) => Outcome::Explained("ProtonChecksNoMessageRules"),
                    (true, false) => Outcome::Unexplained("the codec says that a legal value is malformed"),
                };
            }
            Ok(_) if !self.legal => return Outcome::Unexplained("the codec accepts a malformed section"),
            Ok(fields) => fields,
        };
        let Some(prediction) = &self.prediction else {
            return Outcome::Unexplained("the codec accepts what is no sequence of sections");
        };
        let predicted = prediction.fields.len() == proton.len()
            && prediction.fields.iter().zip(&proton).all(|(one, other)| one.is_none() || one == other);
        if !predicted {
            return Outcome::Unexplained("Proton's message is not the predicted one");
        }
        if *codec == proton {
            return Outcome::Equal;
        }
        match prediction.notes.first() {
            Some(note) => Outcome::Explained(note),
            None => Outcome::Unexplained("no explanation holds"),
        }
    }

    /// Both answers, for people.
    pub(crate) fn texts(&self) -> (String, String) {
        let text = |fields: &Fields| {
            let named = FIELDS.iter().zip(fields).filter_map(|(name, field)| Some((name, field.as_ref()?)));
            named.fold(String::new(), |text, (name, field)| match *name {
                "delivery-annotations" | "message-annotations" | "application-properties" | "body" => {
                    format!("{text}\n    {name}: {}", dump::render(field))
                }
                _ => format!("{text}\n    {name}: {}", dump::hex(field)),
            })
        };
        let codec = self.codec.as_ref().map_or_else(|error| format!("refused: {error}"), text);
        (codec, text(&fields_of(&self.proton.dump)))
    }
}

/// Whether legal values can break this rule, because they are the wrong ones here.
fn is_of_messages(kind: DecodeErrorKind) -> bool {
    matches!(
        kind,
        DecodeErrorKind::InvalidKeyType
            | DecodeErrorKind::InvalidValueType
            | DecodeErrorKind::MissingField(_)
            | DecodeErrorKind::NotDescribed
            | DecodeErrorKind::SectionOrder
            | DecodeErrorKind::TooManyFields
            | DecodeErrorKind::UnexpectedDescriptor
            | DecodeErrorKind::UnexpectedFormatCode(_)
    )
}

fn fields_of(mut dump: &[u8]) -> Fields {
    let mut fields = Vec::new();
    while let Some((length, rest)) = dump.split_first_chunk() {
        let Some((field, rest)) = rest.split_at_checked(u32::from_be_bytes(*length) as usize) else { break };
        fields.push(Some(field.to_vec()));
        dump = rest;
    }
    fields
}

/// What the codec finds in a message.
fn codec(octets: &[u8]) -> Result<Fields, DecodeError> {
    let message = Message::from_bytes(Bytes::copy_from_slice(octets))?;
    message.validate()?;
    let mut fields = head(&message.header()?.unwrap_or_default(), &message.properties()?.unwrap_or_default());
    let mut map = |pairs: Option<Vec<(Value, Value)>>| {
        let mut out = Vec::new();
        if let Some(pairs) = pairs {
            counted(tag::MAP, pairs.len() * 2, &mut out);
            for (key, value) in pairs {
                dump::dump(&key, &mut out);
                dump::dump(&value, &mut out);
            }
            out.push(END);
        }
        fields.push(Some(out));
    };
    let owned = |(key, value): (&Value, &Value)| (key.clone(), value.clone());
    map(message.delivery_annotations()?.map(|map| map.iter().map(owned).collect()));
    map(message.message_annotations()?.map(|map| map.iter().map(owned).collect()));
    map(message.application_properties()?.map(|map| map.iter().map(owned).collect()));
    let mut body = Vec::new();
    let is_data = match message.body() {
        Body::Malformed(error) => return Err(error),
        Body::Empty => false,
        Body::Data(sections) => {
            for section in sections {
                let octets: Vec<u8> = section.chunks().flat_map(|chunk| chunk.to_vec()).collect();
                variable(tag::BINARY, &octets, &mut body);
            }
            true
        }
        Body::Sequence(sequences) => {
            for sequence in sequences {
                dump::dump(&Value::List(sequence?), &mut body);
            }
            true
        }
        Body::Value(value) => {
            dump::dump(&value.to_value()?, &mut body);
            false
        }
    };
    fields.push(Some(body));
    fields.push(Some(vec![u8::from(is_data)]));
    Ok(fields)
}

/// The header and the properties; what is missing has its default, because Proton does not tell the two apart.
fn head(header: &Header, properties: &Properties) -> Fields {
    let id = |id: &Option<MessageId>| {
        let mut out = Vec::new();
        dump::dump(&id.clone().map(Value::from).into(), &mut out);
        out
    };
    // Proton gives texts as C strings, which end at their first NUL.
    let text = |text: Option<&str>| match text {
        Some(text) => std::iter::once(1).chain(text.bytes().take_while(|octet| *octet != 0)).collect(),
        None => vec![0],
    };
    let Properties { message_id, user_id, to, subject, reply_to, correlation_id, .. } = properties;
    [
        vec![u8::from(header.durable)],
        vec![header.priority],
        header.ttl.unwrap_or_default().to_be_bytes().to_vec(),
        vec![u8::from(header.first_acquirer)],
        header.delivery_count.to_be_bytes().to_vec(),
        id(message_id),
        user_id.as_ref().map(|octets| octets.to_vec()).unwrap_or_default(),
        text(to.as_deref()),
        text(subject.as_deref()),
        text(reply_to.as_deref()),
        id(correlation_id),
        text(properties.content_type.as_deref()),
        text(properties.content_encoding.as_deref()),
        properties.absolute_expiry_time.map_or(0, |time| time.0).to_be_bytes().to_vec(),
        properties.creation_time.map_or(0, |time| time.0).to_be_bytes().to_vec(),
        text(properties.group_id.as_deref()),
        properties.group_sequence.map_or(0, |number| number.0).to_be_bytes().to_vec(),
        text(properties.reply_to_group_id.as_deref()),
    ]
    .into_iter()
    .map(Some)
    .collect()
}

/// Walks the sections as Proton does.
fn predict(octets: &[u8], codec: &Fields) -> Option<Prediction> {
    let mut fields = head(&Header::default(), &Properties::default());
    fields.extend([const { Some(Vec::new()) }; 4]);
    fields.push(Some(vec![0]));
    let mut prediction = Prediction { fields, notes: Vec::new() };
    let mut rest = octets;
    let mut bodies = 0;
    while !rest.is_empty() {
        let whole = reading::read(rest);
        let length = whole.consumed?;
        let descriptor = reading::read(rest.get(1..)?);
        let value = rest.get(1 + descriptor.consumed?..length)?;
        let number = match descriptor.dump.as_slice() {
            [tag::ULONG, number @ ..] => number.try_into().ok().map(u64::from_be_bytes),
            _ => None,
        };
        // Proton skips a described value only if neither its descriptor nor its value is described again.
        let skips = match value {
            [0, 0, ..] => false,
            [0, inner @ ..] => *inner.get(reading::read(inner).consumed?)? != 0,
            _ => true,
        };
        let field = match number.filter(|_| skips) {
            Some(0x70) => {
                prediction.copy(codec, 0..PROPERTIES);
                None
            }
            Some(0x73) => {
                prediction.copy(codec, PROPERTIES..DELIVERY_ANNOTATIONS);
                None
            }
            Some(0x71) => Some(DELIVERY_ANNOTATIONS),
            Some(0x72) => Some(MESSAGE_ANNOTATIONS),
            Some(0x74) => Some(APPLICATION_PROPERTIES),
            Some(0x75..=0x77) => {
                bodies += 1;
                if bodies > 1 {
                    prediction.notes.push("ProtonKeepsLastBodySection");
                }
                prediction.set(IS_DATA, Some(vec![u8::from(number != Some(0x77))]));
                Some(BODY)
            }
            Some(0x78) => None,
            _ => {
                prediction.notes.push("ProtonTakesUnknownSectionForBody");
                prediction.section(BODY, reading::read(rest));
                None
            }
        };
        match field {
            Some(field) if value == [0x40] => {
                prediction.notes.push("ProtonDropsNullBody");
                prediction.set(field, Some(Vec::new()));
            }
            Some(field) => prediction.section(field, reading::read(value)),
            None => {}
        }
        if !skips {
            break;
        }
        rest = rest.get(length..)?;
    }
    Some(prediction)
}

impl Prediction {
    fn set(&mut self, field: usize, value: Option<Vec<u8>>) {
        if let Some(slot) = self.fields.get_mut(field) {
            *slot = value;
        }
    }

    fn copy(&mut self, codec: &Fields, fields: std::ops::Range<usize>) {
        for field in fields {
            self.set(field, codec.get(field).cloned().flatten());
        }
    }

    /// A section's value, which Proton decodes as any value.
    fn section(&mut self, field: usize, reading: Reading) {
        for (rule, name) in [
            (Rule::DescribedTwice, "ProtonMisplacesDescribedDescribed"),
            (Rule::ArrayDescribedTwice, "ProtonFlattensArrayDescriptors"),
            (Rule::DescriptorScalar, "ProtonRefusesCompoundDescriptor"),
            (Rule::NodeCount, "ProtonLimitsNodes"),
        ] {
            if reading.rules.has(rule) {
                self.notes.push(name);
            }
        }
        // Proton keeps what it has read of a value that it then refuses.
        let refused = reading.rules.refused_by_proton();
        self.set(field, (!refused).then(|| reading.misplaced.unwrap_or(reading.dump)));
    }
}
