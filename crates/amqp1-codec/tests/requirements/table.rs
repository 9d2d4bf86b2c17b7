//! The composites as the specification's text declares them.

use crate::{
    encodings::values,
    support::{hex, shown, written},
};
use amqp1_codec::{
    Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, Limits, Reader,
    definitions::AmqpError,
    messaging::{DeliveryState, Header, Modified, Properties, Received, Rejected, Source, Target},
    performative::{
        Attach, Begin, Close, Detach, Disposition, End, Flow, Open, Performative, TargetArchetype, Transfer,
    },
    sasl::{SaslBody, SaslChallenge, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse},
    transaction::{Coordinator, Declare, Declared, Discharge, TransactionalState},
};
use bytes::Bytes;

/// One line for each composite: its number and name, then its fields with their types. `!` marks a mandatory field,
/// `*` one of several values, and after `=` stands the default as it is encoded.
const DECLARED: &str = "
10 open container-id:string! hostname:string max-frame-size:uint=70ffffffff channel-max:ushort=60ffff \
idle-time-out:uint outgoing-locales:symbol* incoming-locales:symbol* offered-capabilities:symbol* \
desired-capabilities:symbol* properties:fields
11 begin remote-channel:ushort next-outgoing-id:uint! incoming-window:uint! outgoing-window:uint! \
handle-max:uint=70ffffffff offered-capabilities:symbol* desired-capabilities:symbol* properties:fields
12 attach name:string! handle:uint! role:boolean! snd-settle-mode:sender-settle-mode=5002 \
rcv-settle-mode:receiver-settle-mode=5000 source:source target:target unsettled:unsettled \
incomplete-unsettled:boolean=42 initial-delivery-count:uint max-message-size:ulong offered-capabilities:symbol* \
desired-capabilities:symbol* properties:fields
13 flow next-incoming-id:uint incoming-window:uint! next-outgoing-id:uint! outgoing-window:uint! handle:uint \
delivery-count:uint link-credit:uint available:uint drain:boolean=42 echo:boolean=42 properties:fields
14 transfer handle:uint! delivery-id:uint delivery-tag:binary32 message-format:uint settled:boolean more:boolean=42 \
rcv-settle-mode:receiver-settle-mode state:delivery-state resume:boolean=42 aborted:boolean=42 batchable:boolean=42
15 disposition role:boolean! first:uint! last:uint settled:boolean=42 state:delivery-state batchable:boolean=42
16 detach handle:uint! closed:boolean=42 error:error
17 end error:error
18 close error:error
1d error condition:symbol! description:string info:fields
23 received section-number:uint! section-offset:ulong!
24 accepted
25 rejected error:error
26 released
27 modified delivery-failed:boolean=42 undeliverable-here:boolean=42 message-annotations:fields
28 source address:string durable:terminus-durability=43 \
expiry-policy:terminus-expiry-policy=a30b73657373696f6e2d656e64 timeout:uint=43 dynamic:boolean=42 dynamic-node-properties:fields distribution-mode:symbol filter:filter-set \
default-outcome:outcome outcomes:symbol* capabilities:symbol*
29 target address:string durable:terminus-durability=43 \
expiry-policy:terminus-expiry-policy=a30b73657373696f6e2d656e64 timeout:uint=43 dynamic:boolean=42 dynamic-node-properties:fields capabilities:symbol*
30 coordinator capabilities:symbol*
31 declare global-id:any
32 discharge txn-id:binary32! fail:boolean
33 declared txn-id:binary32!
34 transactional-state txn-id:binary32! outcome:outcome
40 sasl-mechanisms sasl-server-mechanisms:symbol!*
41 sasl-init mechanism:symbol! initial-response:binary hostname:string
42 sasl-challenge challenge:binary!
43 sasl-response response:binary!
44 sasl-outcome code:sasl-code! additional-data:binary
70 header durable:boolean=42 priority:ubyte=5004 ttl:uint first-acquirer:boolean=42 delivery-count:uint=43
73 properties message-id:message-id user-id:binary to:string subject:string reply-to:string \
correlation-id:message-id content-type:symbol content-encoding:symbol absolute-expiry-time:timestamp \
creation-time:timestamp group-id:string group-sequence:uint reply-to-group-id:string
";

/// A field of a composite.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) ty: &'static str,
    pub(crate) mandatory: bool,
    pub(crate) multiple: bool,
    pub(crate) default: Option<Bytes>,
}

/// A composite, and the type of the codec that is to be it.
pub(crate) struct Composite {
    pub(crate) code: u8,
    pub(crate) name: &'static str,
    pub(crate) fields: Vec<Field>,
    /// Decodes all of the octets and writes what they are.
    pub(crate) again: fn(&Bytes, EncodeStyle) -> Result<Bytes, DecodeError>,
    /// Whether the octets are the same value.
    pub(crate) same: fn(&Bytes, &Bytes) -> bool,
}

/// Reads one `T`, followed by something else, so that what comes after is seen to be left alone.
fn once<T: Decode + Encode>(octets: &Bytes, style: EncodeStyle) -> Result<Bytes, DecodeError> {
    let followed = Bytes::from([octets, &b"next"[..]].concat());
    let mut reader = Reader::with_limits(&followed, Limits::STRICT);
    let value = T::decode(&mut reader)?;
    assert_eq!(reader.rest(), &b"next"[..], "what follows stays");
    Ok(written(&value, style))
}

/// Reads a `T`, and also as one of several, with which it is to agree in everything.
fn again<T: Decode + Encode, Any: Decode + Encode>(octets: &Bytes, style: EncodeStyle) -> Result<Bytes, DecodeError> {
    let (alone, any) = (once::<T>(octets, style), once::<Any>(octets, style));
    // With another descriptor it is no longer this one, and may be an extension's.
    let another = matches!(alone, Err(DecodeError { kind: DecodeErrorKind::UnexpectedDescriptor, offset: 0, .. }));
    assert!(alone == any || another, "{}: {alone:?} {any:?}", shown(octets));
    alone
}

fn same<T: Decode + PartialEq>(a: &Bytes, b: &Bytes) -> bool {
    matches!((T::decode(&mut Reader::new(a)), T::decode(&mut Reader::new(b))), (Ok(a), Ok(b)) if a == b)
}

macro_rules! types {
    ($name:expr, $($text:literal => $ty:ty as $any:ty),+) => {
        match $name {
            $($text => (again::<$ty, $any> as _, same::<$any> as _),)+
            other => panic!("{other} is not declared"),
        }
    };
}

/// All of them.
pub(crate) fn composites() -> Vec<Composite> {
    let lines = DECLARED.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let code = u8::from_str_radix(words.next().expect("a number"), 16).expect("hexadecimal");
            let name = words.next().expect("a name");
            let (again, same) = types!(
                name,
                "open" => Open as Performative,
                "begin" => Begin as Performative,
                "attach" => Attach as Performative,
                "flow" => Flow as Performative,
                "transfer" => Transfer as Performative,
                "disposition" => Disposition as Performative,
                "detach" => Detach as Performative,
                "end" => End as Performative,
                "close" => Close as Performative,
                "error" => AmqpError as AmqpError,
                "received" => Received as DeliveryState,
                "accepted" => DeliveryState as DeliveryState,
                "rejected" => Rejected as DeliveryState,
                "released" => DeliveryState as DeliveryState,
                "modified" => Modified as DeliveryState,
                "declared" => Declared as DeliveryState,
                "transactional-state" => TransactionalState as DeliveryState,
                "source" => Source as Source,
                "target" => Target as TargetArchetype,
                "coordinator" => Coordinator as TargetArchetype,
                "declare" => Declare as Declare,
                "discharge" => Discharge as Discharge,
                "sasl-mechanisms" => SaslMechanisms as SaslBody,
                "sasl-init" => SaslInit as SaslBody,
                "sasl-challenge" => SaslChallenge as SaslBody,
                "sasl-response" => SaslResponse as SaslBody,
                "sasl-outcome" => SaslOutcome as SaslBody,
                "header" => Header as Header,
                "properties" => Properties as Properties
            );
            Composite { code, name, fields: words.map(field).collect(), again, same }
        })
        .collect()
}

fn field(word: &'static str) -> Field {
    let (name, rest) = word.split_once(':').expect("a type");
    let (rest, default) = match rest.split_once('=') {
        Some((rest, default)) => (rest, Some(hex(default))),
        None => (rest, None),
    };
    let ty = rest.trim_end_matches(['!', '*']);
    Field { name, ty, mandatory: rest.contains('!'), multiple: rest.contains('*'), default }
}

/// A list of these elements as list8, as list32, and as list0 if there are none.
pub(crate) fn lists(elements: &[Bytes]) -> Vec<Bytes> {
    let data = elements.concat();
    let (size, count) = (data.len() as u32, elements.len() as u32);
    let mut all = Vec::new();
    if let (Ok(size), Ok(count)) = (u8::try_from(size + 1), u8::try_from(count)) {
        all.push([&[0xc0, size, count][..], &data].concat().into());
    }
    all.push([&[0xd0][..], &(size + 4).to_be_bytes(), &count.to_be_bytes(), &data].concat().into());
    if elements.is_empty() {
        all.push(hex("45"));
    }
    all
}

/// The descriptors of a composite: its number and its name, each in both forms.
pub(crate) fn descriptors(code: u8, name: &str) -> Vec<Bytes> {
    let symbol = format!("amqp:{name}:list");
    let size = symbol.len();
    vec![
        hex(&format!("00 53 {code:02x}")),
        hex(&format!("00 80 {code:016x}")),
        hex(&format!("00 a3 {size:02x} '{symbol}'")),
        hex(&format!("00 b3 {size:08x} '{symbol}'")),
    ]
}

impl Composite {
    /// These fields in every form of descriptor and list.
    pub(crate) fn forms(&self, fields: &[Bytes]) -> Vec<Bytes> {
        let lists = lists(fields);
        let pairs = descriptors(self.code, self.name);
        pairs.iter().flat_map(|descriptor| lists.iter().map(|list| [&descriptor[..], list].concat().into())).collect()
    }

    /// The mandatory fields, and null for the others.
    pub(crate) fn least(&self) -> Vec<Bytes> {
        let sample = |field: &Field| values(field.ty)[0].1[0].clone();
        self.fields.iter().map(|field| if field.mandatory { sample(field) } else { hex("40") }).collect()
    }

    /// The mandatory fields, and this one.
    pub(crate) fn with(&self, index: usize, octets: &Bytes) -> Vec<Bytes> {
        let mut fields = self.least();
        fields[index] = octets.clone();
        fields
    }
}
