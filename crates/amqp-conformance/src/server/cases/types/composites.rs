//! Composite and restricted types (§1.3, §1.4).

use super::{
    conversation::converses,
    support::{self, bad_opens},
    twins,
};
use crate::{
    case::{Case, Check, Need, Severity},
    either::types::rules::{CHOICES, MANDATORY, MULTIPLE, SYMBOLIC, TRIMMED, TYPE},
    judge::closes_in_peace,
    octets::{Body, Descriptor, Item, Style, described, hex, list, vector},
    server::{Attached, ServerTrial},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    frame::ProtocolHeader,
    messaging::DeliveryState,
    performative::{Disposition, Open},
    sasl::SaslMechanisms,
};
use amqp1_script::{Skip, frames};

/// A frame that is sent on a link's session and must be refused.
macro_rules! refused {
    ($id:literal, $rule:expr, $sends:literal, $twin:ident, $refuses:ident, $body:expr) => {
        Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: "detach, end or close with amqp:decode-error",
            twin: Some(&twins::$twin),
            check: Check::Server(|trial| support::$refuses(trial, &$body)),
            ..Case::SERVER
        }
    };
}

/// An attach to the queue with another field, that must be refused.
macro_rules! refused_attach {
    ($id:literal, $rule:expr, $sends:literal, $index:literal, $octets:literal) => {
        Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: "detach, end or close with amqp:decode-error",
            twin: Some(&twins::RAW_ATTACH),
            check: Check::Server(|trial| {
                let attach = Body::attach("sender", 0, false, None, Some(trial.node()));
                let attach = attach.with($index, Item::Raw(hex($octets)));
                support::refuses_attach(trial, &attach.encode(&Style::COMPACT))
            }),
            ..Case::SERVER
        }
    };
}

pub(super) const CASES: &[Case] = &[
    Case {
        id: "Y-1.3.2-1",
        rule: "A composite is a described list (§1.3.2).",
        sends: "an open as map, as array, and as null",
        wants: "close with amqp:decode-error",
        twin: Some(&twins::RAW_OPEN),
        check: Check::Server(|trial| {
            let map = hex("005310 c107 02 a10163 a10178");
            support::refuses_opens(
                trial,
                &[("map", map), ("array", vector("bad-open-as-array")), ("null", vector("bad-open-as-null"))],
            )
        }),
        ..Case::SERVER
    },
    Case {
        id: "Y-1.3.3-1",
        rule: SYMBOLIC,
        sends: "a whole conversation with symbolic descriptors",
        wants: "the same answers as to any other conversation",
        check: Check::Server(|trial| converses(trial, &Style { descriptor: Descriptor::Symbol, ..Style::COMPACT })),
        ..Case::SERVER
    },
    Case {
        id: "Y-1.3.3-1/sym32",
        rule: SYMBOLIC,
        sends: "a whole conversation with symbolic descriptors of the form sym32",
        wants: "the same answers as to any other conversation",
        check: Check::Server(|trial| converses(trial, &Style { descriptor: Descriptor::WideSymbol, ..Style::COMPACT })),
        ..Case::SERVER
    },
    bad_opens!("Y-1.3.4-1/open", MANDATORY, "bad-open-empty-list", "bad-open-container-null"),
    refused!(
        "Y-1.3.4-1/begin",
        MANDATORY,
        "a begin without windows",
        RAW_BEGIN,
        refuses_after_open,
        vector("bad-begin-no-windows")
    ),
    refused!(
        "Y-1.3.4-1/begin-null",
        MANDATORY,
        "a begin whose next-outgoing-id is null",
        RAW_BEGIN,
        refuses_after_open,
        vector("bad-begin-noid-null")
    ),
    refused!(
        "Y-1.3.4-1/attach",
        MANDATORY,
        "an attach without any field",
        RAW_ATTACH,
        refuses_attach,
        hex("005312 45")
    ),
    refused!(
        "Y-1.3.4-1/flow",
        MANDATORY,
        "a flow without any field",
        RAW_FLOW,
        refuses_on_link,
        vector("bad-flow-empty")
    ),
    refused!(
        "Y-1.3.4-1/transfer",
        MANDATORY,
        "a transfer without any field",
        RAW_CONVERSATION,
        refuses_on_link,
        hex("005314 45 005377 a10568656c6c6f")
    ),
    refused!(
        "Y-1.3.4-1/disposition",
        MANDATORY,
        "a disposition without any field",
        RAW_CONVERSATION,
        refuses_on_link,
        vector("bad-disposition-empty")
    ),
    refused!(
        "Y-1.3.4-1/detach",
        MANDATORY,
        "a detach without any field",
        RAW_CONVERSATION,
        refuses_on_link,
        vector("bad-detach-empty")
    ),
    bad_opens!(
        "Y-1.3.4-2/open",
        TYPE,
        "bad-open-container-symbol",
        "bad-open-container-binary",
        "bad-open-mfs-ushort",
        "bad-open-mfs-string",
        "bad-open-chmax-uint",
    ),
    bad_opens!("Y-1.3.4-2/properties", TYPE, "bad-open-props-list", "bad-open-props-string-key"),
    refused_attach!("Y-1.3.4-2/role", TYPE, "an attach whose role is a ubyte", 2, "5000"),
    refused_attach!("Y-1.3.4-2/handle", TYPE, "an attach whose handle is a ushort", 1, "600000"),
    refused_attach!("Y-1.3.4-2/name", TYPE, "an attach whose name is a symbol", 0, "a30673656e646572"),
    refused_attach!("Y-1.3.4-2/unsettled", TYPE, "an attach whose unsettled is a list", 7, "45"),
    refused_attach!("Y-1.3.4-2/max-message-size", TYPE, "an attach whose max-message-size is a uint", 10, "520a"),
    refused_attach!("Y-1.3.4-2/terminus", TYPE, "an attach with a delivery state as source", 5, "00532445"),
    Case {
        id: "Y-1.3.4-3",
        rule: "A field that is null or absent has its declared default (§1.3.4).",
        sends: "an open, begin, attach and transfer with mandatory fields alone",
        wants: "a session, a link, and a disposition, since settled and more are false",
        check: Check::Server(defaults),
        ..Case::SERVER
    },
    bad_opens!(
        "Y-1.3.4-4/open",
        "A list has no more items than its type has fields (§1.3.4).",
        "bad-open-too-many-fields"
    ),
    refused!(
        "Y-1.3.4-4/begin",
        "A list has no more items than its type has fields (§1.3.4).",
        "a begin with a field too many",
        RAW_BEGIN,
        refuses_after_open,
        Body::begin(None, 0).with_field_too_many().encode(&Style::COMPACT)
    ),
    refused!(
        "Y-1.3.4-4/flow",
        "A list has no more items than its type has fields (§1.3.4).",
        "a flow with a field too many",
        RAW_FLOW,
        refuses_on_link,
        Body::flow(0, 0, 0, 0).with_field_too_many().encode(&Style::COMPACT)
    ),
    refused_attach!("Y-1.3.5-1/snd-settle-mode", CHOICES, "an attach with snd-settle-mode 3", 3, "5003"),
    refused_attach!("Y-1.3.5-1/rcv-settle-mode", CHOICES, "an attach with rcv-settle-mode 2", 4, "5002"),
    Case {
        id: "Y-1.3.5-1/durable",
        rule: CHOICES,
        sends: "an attach whose target has the terminus-durability 9",
        wants: "detach, end or close with amqp:decode-error",
        twin: Some(&twins::RAW_ATTACH),
        check: Check::Server(|trial| {
            let address = crate::octets::string(trial.node());
            let target = described(0x29, &list(&[&address, &hex("5209")]));
            let attach = Body::attach("sender", 0, false, None, None).with(6, Item::Raw(target));
            support::refuses_attach(trial, &attach.encode(&Style::COMPACT))
        }),
        ..Case::SERVER
    },
    Case {
        id: "Y-1.4-1",
        severity: Severity::May,
        rule: TRIMMED,
        sends: "an open with its nulls left off, and one with all ten fields",
        wants: "the same open in answer to both",
        check: Check::Server(trimmed_and_untrimmed),
        ..Case::SERVER
    },
    Case {
        id: "Y-1.4-2/untrimmed",
        rule: TRIMMED,
        sends: "a whole conversation with every field written",
        wants: "the same answers as to any other conversation",
        check: Check::Server(|trial| converses(trial, &Style { untrimmed: true, ..Style::COMPACT })),
        ..Case::SERVER
    },
    Case {
        id: "Y-1.4-2/list8",
        rule: "A list without items may be list0, list8 or list32 (§1.4, §1.6.22).",
        sends: "a whole conversation whose end, close and accepted are list8 with count 0",
        wants: "the same answers as to any other conversation",
        check: Check::Server(|trial| converses(trial, &Style { list0: false, ..Style::COMPACT })),
        ..Case::SERVER
    },
    Case {
        id: "Y-1.4-2/list32",
        rule: "A list without items may be list0, list8 or list32 (§1.4, §1.6.22).",
        sends: "a whole conversation whose lists are all list32",
        wants: "the same answers as to any other conversation",
        check: Check::Server(|trial| converses(trial, &Style { wide_lists: true, ..Style::COMPACT })),
        ..Case::SERVER
    },
    Case {
        id: "Y-1.4-3",
        rule: MULTIPLE,
        sends: "opens with capabilities as one symbol, as an array, as an empty array, and as null",
        wants: "an open",
        check: Check::Server(|trial| {
            let open = support::open(trial);
            let forms = ["a3 01 63", "e0 04 01 a3 01 63", "e0 02 00 a3", "40"];
            let bodies = forms.map(|form| open.clone().with(7, Item::Raw(hex(form))).encode(&Style::COMPACT));
            support::opens(trial, &bodies)
        }),
        ..Case::SERVER
    },
    Case {
        id: "Y-1.4-4",
        rule: "A mandatory field of several values holds at least one (§1.4, §5.3.3.1).",
        sends: "the SASL header",
        wants: "sasl-mechanisms with a mechanism",
        needs: &[Need::Sasl],
        check: Check::Server(mechanisms),
        ..Case::SERVER
    },
    bad_opens!(
        "Y-1.4-5/capabilities",
        MULTIPLE,
        "bad-open-caps-list",
        "bad-open-caps-array-string",
        "bad-open-caps-string"
    ),
];

fn defaults(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let node = trial.node();
    let Attached { mut connection, link, credit: _, .. } =
        trial.sender_with(frames::attach_sender("sender", 0, node))?;
    // handle, delivery-id, delivery-tag and message-format; settled, more and all others have their defaults.
    let transfer = hex("005314 c007 04 43 43 a00130 43");
    connection.raw(crate::octets::frame(link.channel, &[transfer, vector("msg-value")].concat()));
    let disposition = connection.expect_skipping::<Disposition>(Skip::FLOWS)?;
    match disposition.body.state {
        Some(DeliveryState::Accepted) => Ok(Outcome::pass()),
        state => Ok(Outcome::fail(format!("the message's outcome is {state:?}"))),
    }
}

fn trimmed_and_untrimmed(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut answers = Vec::new();
    let open = support::open(trial);
    for style in [Style::COMPACT, Style { untrimmed: true, ..Style::COMPACT }] {
        let mut connection = trial.authenticated()?;
        connection.header(ProtocolHeader::AMQP);
        connection.raw(crate::octets::frame(0, &open.encode(&style)));
        connection.expect_header(ProtocolHeader::AMQP)?;
        answers.push(connection.expect::<Open>()?.body);
        let outcome = closes_in_peace(&mut connection);
        if outcome != Outcome::pass() {
            return Ok(outcome);
        }
    }
    match answers.as_slice() {
        [first, second] if first == second => Ok(Outcome::pass()),
        _ => Ok(Outcome::fail("the open that answers the untrimmed one is another")),
    }
}

fn mechanisms(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    connection.header(ProtocolHeader::SASL);
    connection.expect_header(ProtocolHeader::SASL)?;
    let mechanisms = connection.expect::<SaslMechanisms>()?.body.sasl_server_mechanisms;
    match mechanisms.is_empty() {
        true => Ok(Outcome::fail("sasl-mechanisms names no mechanism")),
        false => Ok(Outcome::pass()),
    }
}
