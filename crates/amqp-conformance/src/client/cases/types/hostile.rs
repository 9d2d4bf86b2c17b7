//! Octets that exhaust or stop a decoder that does not defend itself.

use super::{
    support::{self, answers, bad_open, bad_property},
    twins,
};
use crate::{
    case::{Case, Check, Tag},
    client::{Accepted, ClientTrial, Scenario},
    octets::{self, Body, Item, Style},
    verdict::{Outcome, Stop},
};
use amqp1_codec::performative::Begin;

const LIMIT: &str =
    "A limit of the decoder is reported, and reached before memory or time is spent (§1.2; robustness).";
const TRUNCATED: &str = "A value that ends before its octets do is malformed where the frame is whole (§1.2, §2.3).";

/// A case in which the client may go on or refuse, but must do either.
macro_rules! survived {
    ($id:literal, $sends:expr, $check:expr) => {
        Case {
            id: $id,
            rule: LIMIT,
            sends: $sends,
            wants: "an answer in time: it goes on, or closes with an error",
            tags: &[Tag::Hostile],
            twin: Some(&twins::OPEN_WITH_PROPERTY),
            check: Check::Client(Scenario::Send, $check),
            ..Case::CLIENT
        }
    };
}

/// A case that answers with an open whose properties hold a vector, and wants an answer.
macro_rules! survived_vector {
    ($id:literal, $name:literal) => {
        survived!($id, concat!("an open whose properties hold the octets of ", $name), |trial| {
            survives_open(trial, $name)
        })
    };
}

pub(super) const CASES: &[Case] = &[
    survived_vector!("Y-1.2.4-5/null", "bad-array32-zero-width-bomb"),
    survived_vector!("Y-1.2.4-5/true", "bad-array32-true-bomb"),
    survived_vector!("Y-1.2.4-5/list0", "bad-array32-list0-bomb"),
    survived_vector!("Y-rob-1/binary", "bad-vbin32-len-max"),
    survived_vector!("Y-rob-1/string", "bad-str32-len-80000000"),
    survived_vector!("Y-rob-1/list", "bad-list32-count-max"),
    survived_vector!("Y-rob-1/map", "bad-map32-odd-bomb"),
    survived_vector!("Y-rob-1/array", "bad-array32-count-max"),
    survived!("Y-rob-2/list", "a begin whose properties hold 3000 nested lists", |trial| {
        survives_begin(trial, &octets::nested(0xd0, 3000, 0x45))
    }),
    survived!("Y-rob-2/described", "a begin whose properties hold 20000 nested described values", |trial| {
        survives_begin(trial, &[vec![[0x00, 0x40]; 20_000].concat(), vec![0x40]].concat())
    }),
    bad_open!(
        "Y-rob-3",
        TRUNCATED,
        "an open that ends within its container-id",
        octets::hex("005310 c00b 01 a108 6162")
    ),
    bad_property!("Y-rob-3/uint", TRUNCATED, "bad-trunc-uint"),
    bad_property!("Y-rob-3/uuid", TRUNCATED, "bad-trunc-uuid"),
    bad_property!("Y-rob-3/string", TRUNCATED, "bad-str8-len-over"),
];

fn survives_open(trial: &mut ClientTrial<'_>, name: &str) -> Result<Outcome, Stop> {
    let mut connection = support::opening(trial)?;
    let open = octets::open_with_vector(support::open(), name).encode(&Style::COMPACT);
    connection.raw(octets::frame(0, &open));
    answers(&mut connection)
}

fn survives_begin(trial: &mut ClientTrial<'_>, value: &[u8]) -> Result<Outcome, Stop> {
    let Accepted { mut connection, open } = trial.opened()?;
    let begin = connection.expect::<Begin>().map_err(|unexpected| Stop::set_up(&unexpected))?;
    let properties = octets::map(&[&octets::symbol("x-opt-value"), value]);
    let body = Body::begin(Some(begin.channel), 0).with(7, Item::Raw(properties)).encode(&Style::COMPACT);
    let frame = octets::frame(0, &body);
    if u32::try_from(frame.len()).is_ok_and(|size| size > open.max_frame_size) {
        return Ok(Outcome::skip(format!("the client takes frames of {} octets", open.max_frame_size)));
    }
    connection.raw(frame);
    answers(&mut connection)
}
