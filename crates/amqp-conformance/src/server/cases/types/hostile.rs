//! Octets that exhaust or stop a decoder that does not defend itself.

use super::{
    support::{self, bad_properties},
    twins,
};
use crate::{
    case::{Case, Check, Tag},
    octets::{self, Body, Item, Style},
    server::{Opened, ServerTrial},
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_codec::frame::ProtocolHeader;
use amqp1_script::{Got, Refusal, frames};

const LIMIT: &str =
    "A limit of the decoder is reported, and reached before memory or time is spent (§1.2; robustness).";

/// A case in which the server may accept or refuse, but must do either.
macro_rules! answers {
    ($id:literal, $sends:literal, $twin:ident, $check:expr) => {
        Case {
            id: $id,
            rule: LIMIT,
            sends: $sends,
            wants: "an answer in time, and a server that goes on",
            tags: &[Tag::Hostile],
            twin: Some(&twins::$twin),
            check: Check::Server($check),
            ..Case::SERVER
        }
    };
}

pub(super) const CASES: &[Case] = &[
    answers!(
        "Y-1.2.4-5",
        "opens whose properties hold arrays of billions of elements without octets",
        OPEN_WITH_PROPERTY,
        |trial| {
            let names = [
                "bad-array32-zero-width-bomb",
                "bad-array32-true-bomb",
                "bad-array32-list0-bomb",
                "bad-array32-uint0-bomb",
            ];
            answers_open(trial, &names.map(octets::vector))
        }
    ),
    answers!(
        "Y-rob-1",
        "opens whose properties hold lengths and counts of up to four billion",
        OPEN_WITH_PROPERTY,
        |trial| {
            let names = [
                "bad-vbin32-len-max",
                "bad-str32-len-7fffffff",
                "bad-str32-len-80000000",
                "bad-sym32-len-max",
                "bad-list32-count-max",
                "bad-list32-count-80000000",
                "bad-array32-count-max",
                "bad-map32-odd-bomb",
            ];
            answers_open(trial, &names.map(octets::vector))
        }
    ),
    answers!("Y-rob-2/list", "a begin whose properties hold 3000 nested lists", RAW_BEGIN, |trial| {
        answers_begin(trial, &octets::nested(0xd0, 3000, 0x45))
    }),
    answers!("Y-rob-2/array", "a begin whose properties hold 2000 nested arrays", RAW_BEGIN, |trial| {
        answers_begin(trial, &octets::nested(0xf0, 2000, 0x40))
    }),
    answers!("Y-rob-2/described", "a begin whose properties hold 20000 nested described values", RAW_BEGIN, |trial| {
        answers_begin(trial, &[vec![[0x00, 0x40]; 20_000].concat(), vec![0x40]].concat())
    }),
    answers!("Y-rob-2/marker", "a begin whose properties hold 30000 markers of described values", RAW_BEGIN, |trial| {
        answers_begin(trial, &[0; 30_000])
    }),
    bad_properties!(
        "Y-rob-3/property",
        "A value that ends before its octets do is malformed where the frame is whole (§1.2, §2.3).",
        "bad-trunc-boolean",
        "bad-trunc-ushort",
        "bad-trunc-uint",
        "bad-trunc-ulong",
        "bad-trunc-smalllong",
        "bad-trunc-double",
        "bad-trunc-decimal128",
        "bad-trunc-uuid",
        "bad-vbin8-len-over",
        "bad-vbin32-len-over",
        "bad-vbin32-len-trunc",
        "bad-str8-len-over",
        "bad-str32-len-over",
        "bad-sym8-len-over",
        "bad-list8-trunc",
        "bad-list8-no-count",
        "bad-described-no-value",
    ),
    Case {
        id: "Y-rob-3/open",
        rule: "A value that ends before its octets do is malformed where the frame is whole (§1.2, §2.3).",
        sends: "an open that ends within its container-id",
        wants: "close with amqp:decode-error, not a wait for more",
        twin: Some(&twins::RAW_OPEN),
        check: Check::Server(|trial| {
            support::refuses_opens(trial, &[("open", octets::hex("005310 c00b 01 a108 6162"))])
        }),
        ..Case::SERVER
    },
];

/// Sends opens whose properties hold these values. Passes if the server opens or refuses each in time.
fn answers_open(trial: &mut ServerTrial<'_>, values: &[Vec<u8>]) -> Result<Outcome, Stop> {
    let mut remarks = Vec::new();
    for value in values {
        let open = octets::open_with_property(support::open(trial), value).encode(&Style::COMPACT);
        let mut connection = trial.authenticated()?;
        connection.header(ProtocolHeader::AMQP);
        connection.raw(octets::frame(0, &open));
        connection.expect_header(ProtocolHeader::AMQP)?;
        remarks.push(answer(&mut connection)?);
    }
    remarks.dedup();
    Ok(Outcome::pass_with(remarks.join(", ")))
}

/// Sends a begin whose properties hold this value. Passes if the server begins or refuses in time.
fn answers_begin(trial: &mut ServerTrial<'_>, value: &[u8]) -> Result<Outcome, Stop> {
    let Opened { mut connection, open } = trial.opened()?;
    let properties = octets::map(&[&octets::symbol("x-opt-value"), value]);
    let begin = Body::begin(None, 0).with(7, Item::Raw(properties)).encode(&Style::COMPACT);
    let frame = octets::frame(0, &begin);
    if u32::try_from(frame.len()).is_ok_and(|size| size > open.max_frame_size) {
        return Ok(Outcome::skip(format!("the server takes frames of {} octets", open.max_frame_size)));
    }
    connection.raw(frame);
    Ok(Outcome::pass_with(answer(&mut connection)?))
}

/// Closes the connection, and waits until the server has as well.
fn answer(connection: &mut Connection) -> Result<String, Stop> {
    connection.send(0, frames::close());
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        if let Some(refusal) = Refusal::of(&got) {
            return Ok(format!("refused with {}", refusal.error.condition));
        }
        match &got {
            Got::Frame(frame) if frame.body.as_ref().is_some_and(|body| body.name() == "close") => {
                return Ok(String::from("accepted"));
            }
            Got::Frame(_) => {}
            got if got.is_end() => return Ok(String::from("dropped")),
            got => return Err(Outcome::fail(format!("expected an answer, got {got}")).into()),
        }
    }
}
