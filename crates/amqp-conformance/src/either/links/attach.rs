//! The fields of an attach (§2.7.3).

use super::Checked;
use crate::{
    case::{Case, Check},
    client::Scenario,
};
use amqp1_codec::definitions::ErrorCondition;

/// The encoded fields of an attach.
pub(crate) type Fields = Vec<Vec<u8>>;

/// A trial of a server or of a client that is sent attaches with flaws.
pub(crate) trait AttachTrial {
    /// Sends an attach with this flaw: a server is asked for a link on which the tool sends, and a client is answered that
    /// sends. Passes if the peer refuses it.
    fn refuses_flawed(&mut self, flaw: fn(&mut Fields)) -> Checked;
}

/// Declares `SERVER` and `CLIENT`, tables of the same flaws for both roles: `id: rule, sends, flaw`.
macro_rules! flaws {
    ($($id:literal: $rule:literal, $sends:literal, $flaw:expr;)+) => {
        pub(crate) const SERVER: &[Case] = &[$(Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: REFUSAL,
            twin: Some(&crate::server::twins::ATTACH_SENDER),
            check: Check::Server(|trial| trial.refuses_flawed($flaw)),
            ..Case::SERVER
        }),+];
        pub(crate) const CLIENT: &[Case] = &[$(Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: REFUSAL,
            twin: Some(&crate::client::twins::SEND),
            check: Check::Client(Scenario::Send, |trial| trial.refuses_flawed($flaw)),
            ..Case::CLIENT
        }),+];
    };
}

const REFUSAL: &str = "a refusal with amqp:decode-error or amqp:invalid-field";

flaws! {
    "T-2.7.3-1/empty":
        "An attach has a name, a handle and a role (§2.7.3).",
        "an attach without fields",
        Vec::clear;
    "T-2.7.3-1/no-handle":
        "An attach has a name, a handle and a role (§2.7.3).",
        "an attach whose handle is null",
        |fields| set(fields, HANDLE, NULL);
    "T-2.7.3-1/no-role":
        "An attach has a name, a handle and a role (§2.7.3).",
        "an attach with a name and a handle alone",
        |fields| fields.truncate(2);
    "T-2.7.3-8/source-string":
        "The source of an attach is a type that provides a source (§2.7.3).",
        "an attach whose source is a string",
        |fields| set(fields, SOURCE, b"\xa1\x01q");
    "T-2.7.3-8/target-is-source":
        "The target of an attach is a type that provides a target (§2.7.3).",
        "an attach whose target is a source",
        target_is_source;
    "T-2.7.3-10/null-key":
        "The unsettled map has no null among its keys (§2.7.3).",
        "an attach whose unsettled map has the key null",
        |fields| set(fields, UNSETTLED, b"\xc1\x03\x02\x40\x40");
    "T-2.7.3-10/list":
        "The unsettled deliveries are a map (§2.7.3).",
        "an attach whose unsettled field is a list",
        |fields| set(fields, UNSETTLED, b"\x45");
    "T-2.7.3-10/string-key":
        "The keys of the unsettled map are delivery-tags, which are binary (§2.7.3, §2.8.7).",
        "an attach whose unsettled map has a string as key",
        |fields| set(fields, UNSETTLED, b"\xc1\x05\x02\xa1\x01t\x40");
}

const NULL: &[u8] = b"\x40";
const HANDLE: usize = 1;
const SOURCE: usize = 5;
const TARGET: usize = 6;
const UNSETTLED: usize = 7;

/// The conditions with which an attach may be refused whose fields cannot be what they are.
pub(crate) static UNREADABLE: [ErrorCondition; 3] =
    [ErrorCondition::DECODE_ERROR, ErrorCondition::INVALID_FIELD, ErrorCondition::NOT_ALLOWED];

fn set(fields: &mut [Vec<u8>], index: usize, octets: &[u8]) {
    if let Some(field) = fields.get_mut(index) {
        *field = octets.to_vec();
    }
}

/// The descriptor of the target becomes that of a source.
fn target_is_source(fields: &mut Fields) {
    if let Some(code) = fields.get_mut(TARGET).and_then(|target| target.get_mut(2)) {
        *code = 0x28;
    }
}
