//! The sections of a message, and the bare message that is relayed (§3.1, §3.2).

use super::support::{accepts, bad_message, bad_messages, before_body, relayed_message};
use crate::{
    case::{Case, Check, Need, Tag},
    octets::{self, hex, vector},
    server::ServerTrial,
    verdict::{Outcome, Stop},
};

const FORMAT: &str = "Every peer that handles messages handles the format 0 (§3.1, §3.2.16).";
const ORDER: &str = "The sections have an order, and those other than the body occur at most once (§3.2).";
const BODY: &str = "A body is data sections, amqp-sequence sections, or one amqp-value section (§3.2).";
const BARE: &str = "The bare message is immutable: its encoding is not changed (§3.2).";
const MALFORMED: &str = "A message that cannot be read is rejected, or its link detached (§3.2; robustness).";

/// A case that sends a message through the queue, and compares the octets of the bare message.
macro_rules! unaltered {
    ($id:literal, $rule:expr, $sends:literal, $octets:expr) => {
        Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: "the same octets from the queue",
            needs: &[Need::Queue],
            check: Check::Server(|trial| unaltered(trial, &$octets)),
            ..Case::SERVER
        }
    };
}

pub(super) const CASES: &[Case] = &[
    relayed_message!("M-3.1-1/data", FORMAT, "a message with a data section", vector("msg-data")),
    relayed_message!("M-3.1-1/sequence", FORMAT, "a message with an amqp-sequence section", hex("005376 c003 01 5201")),
    relayed_message!("M-3.1-1/value", FORMAT, "a message with an amqp-value section", vector("msg-value")),
    Case {
        id: "M-3.1-1/format",
        rule: "The message-format of a delivery goes with it (§2.7.5, §3.2.16).",
        sends: "a message of the format 0",
        wants: "a transfer of the format 0 from the queue",
        needs: &[Need::Queue],
        check: Check::Server(|trial| {
            let relayed = trial.relayed(&vector("msg-data"))?;
            match relayed.transfer.message_format {
                None | Some(0) => Ok(Outcome::pass()),
                Some(format) => Ok(Outcome::fail(format!("the message-format is {format}"))),
            }
        }),
        ..Case::SERVER
    },
    bad_messages!(
        "M-3.2-1/order",
        ORDER,
        "bad-msg-properties-before-header",
        "bad-msg-da-after-props",
        "bad-msg-footer-before-body"
    ),
    bad_messages!("M-3.2-1/twice", ORDER, "bad-msg-header-twice", "bad-msg-footer-twice"),
    relayed_message!("M-3.2-1", ORDER, "a message with every section, in order", octets::every_section()),
    bad_messages!("M-3.2-2", BODY, "bad-msg-two-values", "bad-msg-value-then-data", "bad-msg-data-and-sequence"),
    Case { tags: &[Tag::Strict], ..bad_messages!("M-3.2-2/header-alone", BODY, "bad-msg-header-only") },
    Case { tags: &[Tag::Strict], ..bad_message!("M-3.2-2/empty", BODY, "a message without any octet", Vec::new()) },
    unaltered!(
        "M-3.2-3/encodings",
        BARE,
        "a message with properties as list32, wide numbers, and a body that could be shorter",
        [
            hex("00 80 0000000000000073 d0 0000000b 00000001 b1 00000002 6d31"),
            hex("00 80 0000000000000077 70 00000001"),
        ]
        .concat()
    ),
    unaltered!(
        "M-3.2-3/untrimmed",
        BARE,
        "a message whose properties end with nulls",
        before_body("005373 c011 0d a1026d31 404040404040404040404040")
    ),
    unaltered!("M-3.2-3/symbolic", BARE, "a message with symbolic descriptors", vector("data-symbolic")),
    unaltered!("M-3.2-3/all", BARE, "a message with every section", octets::every_section()),
    unaltered!("M-3.2-3/data", BARE, "a message with three data sections", vector("msg-data-multi")),
    unaltered!(
        "M-3.2-4",
        "A section of the bare message that is absent is not inserted (§3.2).",
        "a message that is a body alone",
        vector("msg-data")
    ),
    unaltered!(
        "M-3.2-4/empty",
        "A section of the bare message is neither inserted nor left out (§3.2).",
        "a message with empty properties and application-properties",
        vector("msg-empty-sections")
    ),
    relayed_message!(
        "M-3.2-5",
        "The descriptor of a section may be a symbol (§3.2).",
        "a message whose data section has a symbolic descriptor",
        vector("data-symbolic")
    ),
    Case {
        id: "M-3.2-5/header",
        rule: "The descriptor of a section may be a symbol (§3.2).",
        sends: "a message whose header has a symbolic descriptor",
        wants: "accepted",
        check: Check::Server(|trial| {
            let header = [vec![0x00], octets::symbol("amqp:header:list"), vec![0x45]].concat();
            accepts(trial, &[header, vector("msg-data")].concat())
        }),
        ..Case::SERVER
    },
    bad_message!("M-3.2-6/garbage", MALFORMED, "octets that are no section", hex("ff ff ff")),
    bad_messages!("M-3.2-6/truncated", MALFORMED, "bad-msg-trunc-body"),
    bad_messages!("M-3.2-6/trailing", MALFORMED, "bad-msg-trailing"),
    bad_messages!("M-3.2-6/section", MALFORMED, "bad-msg-unknown-section"),
    bad_messages!("M-3.2-6/map", MALFORMED, "bad-msg-ann-odd-map"),
    Case { tags: &[Tag::Hostile], ..bad_messages!("M-3.2-6/count", MALFORMED, "bad-msg-ann-bomb") },
];

/// Sends a message through the queue. Passes if the octets of its bare message come back.
fn unaltered(trial: &mut ServerTrial<'_>, message: &[u8]) -> Result<Outcome, Stop> {
    let sent = octets::bare(message).map_err(|flaw| Stop::SetUp(flaw.to_string()))?;
    let relayed = trial.relayed(message)?;
    match octets::bare(&relayed.message) {
        Ok(received) if received == sent => Ok(Outcome::pass()),
        Ok(received) => Ok(Outcome::fail(format!("{} became {}", digits(&sent), digits(&received)))),
        Err(flaw) => Ok(Outcome::fail(format!("the message cannot be read any more: {flaw}"))),
    }
}

fn digits(octets: &[u8]) -> String {
    octets.iter().take(40).fold(String::new(), |text, octet| format!("{text}{octet:02x}"))
}
