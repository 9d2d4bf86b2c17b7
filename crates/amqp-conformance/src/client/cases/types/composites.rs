//! Composite and restricted types (§1.3, §1.4).

use super::{
    conversation::refuses_begin,
    support::{self, bad_open, conversation},
    twins,
};
use crate::{
    case::{Case, Check, Severity},
    client::{ClientTrial, Scenario},
    either::types::rules::{CHOICES, MANDATORY, MULTIPLE, SYMBOLIC, TRIMMED, TYPE},
    octets::{self, Body, Descriptor, Item, Style, described, hex, list, vector},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{frame::ProtocolHeader, messaging::DeliveryState, sasl::SaslInit};
use amqp1_script::frames;

const SURPLUS: &str = "A list has no more items than its type has fields (§1.3.4).";
const EMPTY: &str = "A list without items may be list0, list8 or list32 (§1.4, §1.6.22).";

/// A frame that must be refused.
macro_rules! refused {
    ($id:literal, $rule:expr, $sends:literal, $twin:ident, $scenario:ident, $check:expr) => {
        Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: "detach, end or close with amqp:decode-error",
            twin: Some(&twins::$twin),
            check: Check::Client(Scenario::$scenario, $check),
            ..Case::CLIENT
        }
    };
}

/// An answer to the client's attach with another field, that must be refused.
macro_rules! refused_attach {
    ($id:literal, $rule:expr, $sends:literal, $index:literal, $octets:literal) => {
        refused!($id, $rule, $sends, RAW_SEND, Send, |trial| {
            support::refuses_attach(trial, |attach| {
                attach.with($index, Item::Raw(hex($octets))).encode(&Style::COMPACT)
            })
        })
    };
}

/// An open that the client must take.
macro_rules! taken_open {
    ($id:literal, $rule:expr, $sends:literal, $octets:expr) => {
        Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: "a begin, and a close without an error",
            check: Check::Client(Scenario::Send, |trial| support::takes_open(trial, &$octets)),
            ..Case::CLIENT
        }
    };
}

/// The reaction of a client to mechanisms that it cannot read.
const SASL_ENDS: &str = "the end of the connection, and no AMQP header";

pub(super) const CASES: &[Case] = &[
    bad_open!(
        "Y-1.3.2-1/map",
        "A composite is a described list (§1.3.2).",
        "an open as map",
        hex("005310 c107 02 a10163 a10178")
    ),
    bad_open!(
        "Y-1.3.2-1/array",
        "A composite is a described list (§1.3.2).",
        "an open as array",
        vector("bad-open-as-array")
    ),
    bad_open!(
        "Y-1.3.2-1/null",
        "A composite is a described list (§1.3.2).",
        "an open as null",
        vector("bad-open-as-null")
    ),
    conversation!("Y-1.3.3-1/send", SYMBOLIC, "every frame with a symbolic descriptor", Send, descriptor: Descriptor::Symbol),
    conversation!("Y-1.3.3-1/receive", SYMBOLIC, "every frame with a symbolic descriptor of the form sym32", Receive, descriptor: Descriptor::WideSymbol),
    bad_open!("Y-1.3.4-1/open", MANDATORY, "an open without any field", vector("bad-open-empty-list")),
    refused!("Y-1.3.4-1/begin", MANDATORY, "a begin without windows", RAW_SEND, Send, |trial| {
        refuses_begin(trial, |channel| {
            let [high, low] = channel.to_be_bytes();
            [hex("005311 c005 02 60"), vec![high, low, 0x43]].concat()
        })
    }),
    refused!("Y-1.3.4-1/attach", MANDATORY, "an attach without any field", RAW_SEND, Send, |trial| {
        support::refuses_attach(trial, |_| hex("005312 45"))
    }),
    refused!("Y-1.3.4-1/flow", MANDATORY, "a flow without any field", RAW_SEND, Send, |trial| {
        support::refuses_on_link(trial, |_| vector("bad-flow-empty"))
    }),
    refused!("Y-1.3.4-1/transfer", MANDATORY, "a transfer without any field", RAW_RECEIVE, Receive, |trial| {
        support::refuses_on_receiver(trial, &hex("005314 45 005377 a10568656c6c6f"))
    }),
    refused!("Y-1.3.4-1/disposition", MANDATORY, "a disposition without any field", RAW_SEND, Send, |trial| {
        support::refuses_after_message(trial, |_| vector("bad-disposition-empty"))
    }),
    refused!("Y-1.3.4-1/detach", MANDATORY, "a detach without any field", RAW_SEND, Send, |trial| {
        support::refuses_on_link(trial, |_| vector("bad-detach-empty"))
    }),
    bad_open!(
        "Y-1.3.4-2/container-id",
        TYPE,
        "an open whose container-id is a symbol",
        vector("bad-open-container-symbol")
    ),
    bad_open!(
        "Y-1.3.4-2/max-frame-size",
        TYPE,
        "an open whose max-frame-size is a ushort",
        vector("bad-open-mfs-ushort")
    ),
    bad_open!("Y-1.3.4-2/channel-max", TYPE, "an open whose channel-max is a uint", vector("bad-open-chmax-uint")),
    refused_attach!("Y-1.3.4-2/role", TYPE, "an attach whose role is a ubyte", 2, "5001"),
    refused_attach!("Y-1.3.4-2/unsettled", TYPE, "an attach whose unsettled is a list", 7, "45"),
    refused_attach!("Y-1.3.4-2/terminus", TYPE, "an attach with a delivery state as source", 5, "00532445"),
    refused!("Y-1.3.4-2/state", TYPE, "a disposition whose state is a string", RAW_SEND, Send, |trial| {
        support::refuses_after_message(trial, |id| {
            Body::accepted(true, id).with(4, Item::String(String::from("accepted"))).encode(&Style::COMPACT)
        })
    }),
    Case {
        id: "Y-1.3.4-3",
        rule: "A field that is null or absent has its declared default (§1.3.4).",
        sends: "a transfer with handle, delivery-id, delivery-tag and message-format alone",
        wants: "a disposition, since settled and more are false",
        check: Check::Client(Scenario::Receive, defaults),
        ..Case::CLIENT
    },
    bad_open!("Y-1.3.4-4/open", SURPLUS, "an open with a field too many", vector("bad-open-too-many-fields")),
    refused!("Y-1.3.4-4/begin", SURPLUS, "a begin with a field too many", RAW_SEND, Send, |trial| {
        refuses_begin(trial, |channel| Body::begin(Some(channel), 0).with_field_too_many().encode(&Style::COMPACT))
    }),
    refused!("Y-1.3.4-4/flow", SURPLUS, "a flow with a field too many", RAW_SEND, Send, |trial| {
        support::refuses_on_link(trial, |handle| {
            Body::flow(0, 0, handle, 0).with_field_too_many().encode(&Style::COMPACT)
        })
    }),
    refused_attach!("Y-1.3.5-1/snd-settle-mode", CHOICES, "an attach with snd-settle-mode 3", 3, "5003"),
    refused_attach!("Y-1.3.5-1/rcv-settle-mode", CHOICES, "an attach with rcv-settle-mode 2", 4, "5002"),
    refused!(
        "Y-1.3.5-1/durable",
        CHOICES,
        "an attach whose target has the terminus-durability 9",
        RAW_SEND,
        Send,
        |trial| {
            support::refuses_attach(trial, |attach| {
                let target = described(0x29, &list(&[&octets::string("conformance"), &hex("5209")]));
                attach.with(6, Item::Raw(target)).encode(&Style::COMPACT)
            })
        }
    ),
    Case {
        id: "Y-1.3.5-1/sasl-code",
        rule: CHOICES,
        sends: "a sasl-outcome with the code 9",
        wants: "the end of the connection, and no AMQP header",
        check: Check::Client(Scenario::Send, |trial| outcome(trial, "005344 c003 01 5009")),
        ..Case::CLIENT
    },
    Case {
        severity: Severity::May,
        ..taken_open!(
            "Y-1.4-1",
            TRIMMED,
            "an open with all of its ten fields, null at the end",
            vector("open-untrimmed")
        )
    },
    conversation!("Y-1.4-2/send", TRIMMED, "every frame with all of its fields", Send, untrimmed: true),
    conversation!("Y-1.4-2/receive", TRIMMED, "every frame with all of its fields", Receive, untrimmed: true),
    conversation!("Y-1.4-2/list8", EMPTY, "end, close and accepted as list8 with the count 0", Send, list0: false),
    conversation!("Y-1.4-2/list32", EMPTY, "every list as list32", Send, wide_lists: true),
    taken_open!(
        "Y-1.4-3/symbol",
        MULTIPLE,
        "an open with one capability as a symbol",
        vector("open-single-cap-as-symbol")
    ),
    taken_open!(
        "Y-1.4-3/empty",
        MULTIPLE,
        "an open with an empty array of capabilities",
        support::open().with(7, Item::Raw(hex("e0 02 00 a3"))).encode(&Style::COMPACT)
    ),
    Case {
        id: "Y-1.4-3/mechanisms",
        rule: MULTIPLE,
        sends: "sasl-mechanisms with one mechanism as a symbol",
        wants: "sasl-init with this mechanism",
        twin: Some(&twins::ANONYMOUS),
        check: Check::Client(Scenario::Send, |trial| one_mechanism(trial, "005340 c00c 01 a3 09 414e4f4e594d4f5553")),
        ..Case::CLIENT
    },
    Case {
        wants: SASL_ENDS,
        ..refused!(
            "Y-1.4-4/empty",
            "A mandatory field of several values holds at least one (§1.4).",
            "sasl-mechanisms with an empty array",
            RAW_SEND,
            Send,
            |trial| { mechanisms(trial, "005340 c005 01 e0 02 00 a3") }
        )
    },
    Case {
        wants: SASL_ENDS,
        ..refused!(
            "Y-1.4-4/null",
            "A mandatory field of several values holds at least one (§1.4).",
            "sasl-mechanisms with null",
            RAW_SEND,
            Send,
            |trial| { mechanisms(trial, "005340 c002 01 40") }
        )
    },
    bad_open!("Y-1.4-5/list", MULTIPLE, "an open whose capabilities are a list", vector("bad-open-caps-list")),
    bad_open!(
        "Y-1.4-5/strings",
        MULTIPLE,
        "an open whose capabilities are an array of strings",
        vector("bad-open-caps-array-string")
    ),
    Case {
        wants: SASL_ENDS,
        ..refused!("Y-1.4-5/mechanisms", MULTIPLE, "sasl-mechanisms with a list of symbols", RAW_SEND, Send, |trial| {
            mechanisms(trial, "005340 c00e 01 c0 0c 01 a3 09 414e4f4e594d4f5553")
        })
    },
];

fn defaults(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut client = trial.sending_to_client()?;
    let handle = client.link.handle;
    let body = Body::transfer(handle, 0, b"0", false).with(4, Item::Null).with(5, Item::Null);
    let frame = octets::frame(client.session.channel, &[body.encode(&Style::COMPACT), vector("msg-value")].concat());
    client.connection.raw(frame);
    match client.disposition_of(0)?.body.state {
        Some(DeliveryState::Accepted) => Ok(client.finishes()),
        state => Ok(Outcome::fail(format!("the client's outcome is {state:?}"))),
    }
}

/// A SASL frame.
fn sasl(body: &[u8]) -> Vec<u8> {
    let mut frame = octets::frame(0, body);
    if let Some(kind) = frame.get_mut(5) {
        *kind = 1;
    }
    frame
}

/// A connection on which the client has asked for SASL.
fn asked_for_sasl(trial: &mut ClientTrial<'_>) -> Result<crate::wire::Connection, Stop> {
    let mut connection = trial.connected()?;
    match connection.expect_any_header().map_err(|unexpected| Stop::set_up(&unexpected))? {
        ProtocolHeader::SASL => {
            connection.header(ProtocolHeader::SASL);
            Ok(connection)
        }
        header => Err(Outcome::skip(format!("the client asks for no SASL, but for {header:?}")).into()),
    }
}

/// Offers mechanisms by this body. Passes if the client does not choose one.
fn mechanisms(trial: &mut ClientTrial<'_>, body: &str) -> Result<Outcome, Stop> {
    let mut connection = asked_for_sasl(trial)?;
    connection.raw(sasl(&hex(body)));
    goes_without_frames(&mut connection)
}

/// Ends SASL by this body. Passes if the client does not go on.
fn outcome(trial: &mut ClientTrial<'_>, body: &str) -> Result<Outcome, Stop> {
    let mut connection = asked_for_sasl(trial)?;
    connection.sasl(frames::mechanisms(&["ANONYMOUS", "PLAIN"]));
    connection.expect::<SaslInit>().map_err(|unexpected| Stop::set_up(&unexpected))?;
    connection.raw(sasl(&hex(body)));
    goes_without_frames(&mut connection)
}

/// Passes if the client ends the connection, and writes nothing before.
fn goes_without_frames(connection: &mut crate::wire::Connection) -> Result<Outcome, Stop> {
    match connection.next() {
        got if got.is_end() => Ok(Outcome::pass()),
        got => Err(connection.unexpected("the end of the connection", got).into()),
    }
}

/// Offers ANONYMOUS alone by this body. Passes if the client chooses it.
pub(super) fn one_mechanism(trial: &mut ClientTrial<'_>, body: &str) -> Result<Outcome, Stop> {
    let mut connection = asked_for_sasl(trial)?;
    connection.raw(sasl(&hex(body)));
    let init = connection.expect::<SaslInit>()?;
    match init.body.mechanism.as_str() {
        "ANONYMOUS" => Ok(Outcome::pass()),
        other => Ok(Outcome::fail(format!("the client chose {other}"))),
    }
}
