//! Peers that are wrong about SASL.

use crate::wrong::{Fate, Past, Piece, Wrong, drops};
use amqp1_codec::{
    Symbol,
    frame::ProtocolHeader,
    performative::Performative,
    sasl::{SaslBody, SaslChallenge, SaslCode, SaslInit, SaslMechanisms, SaslOutcome, Secret},
};
use amqp1_script::{AmqpFrame, Got, frames};
use bytes::Bytes;

/// The largest SASL frame (§5.3.1).
const MAX_FRAME: usize = 512;

fn outcome(piece: Piece, with: impl FnOnce(SaslOutcome) -> Fate) -> Fate {
    match piece.got {
        Got::Sasl(SaslBody::Outcome(outcome)) => with(outcome),
        _ => Fate::Pass(piece.octets),
    }
}

fn encoded(code: SaslCode) -> Bytes {
    frames::sasl(&frames::outcome(code))
}

/// It answers whatever comes in the SASL layer, but for one good `sasl-init`, with the outcome ok.
pub(crate) const OK_TO_ANYTHING: Wrong = Wrong {
    name: "sasl-ok-to-anything",
    on: &["sasl-mechanisms"],
    written: |past, piece| {
        if let Got::Sasl(SaslBody::Mechanisms(_)) = &piece.got {
            past.count("offered");
        }
        Fate::Pass(piece.octets)
    },
    read: ok_to_anything,
    place: None,
};

fn ok_to_anything(past: &mut Past, piece: Piece) -> Fate {
    match &piece.got {
        Got::Header(ProtocolHeader::SASL) => Fate::Pass(piece.octets),
        Got::Header(_) if !past.has("ok") => {
            past.count("amqp");
            Fate::Pass(piece.octets)
        }
        _ if past.has("amqp") || !past.has("offered") => Fate::Pass(piece.octets),
        Got::Sasl(SaslBody::Init(_)) if piece.octets.len() <= MAX_FRAME && past.count("init") == 0 => {
            Fate::Pass(piece.octets)
        }
        _ => {
            past.count("ok");
            Fate::Answer(vec![encoded(SaslCode::Ok)])
        }
    }
}

/// No login succeeds.
pub(crate) const NEVER_OK: Wrong = Wrong::writes("sasl-never-ok", &["sasl-outcome"], |_, piece| {
    outcome(piece, |_| Fate::Pass(encoded(SaslCode::Auth)))
});

/// Its failures have the code of a system error.
pub(crate) const OTHER_CODE: Wrong = Wrong::writes("sasl-other-code", &["sasl-outcome"], |_, piece| {
    outcome(piece, |outcome| match outcome.code {
        SaslCode::Ok => Fate::Pass(encoded(SaslCode::Ok)),
        _ => Fate::Pass(encoded(SaslCode::SysTemp)),
    })
});

/// It says each outcome twice.
pub(crate) const OUTCOME_TWICE: Wrong = Wrong::writes("sasl-outcome-twice", &["sasl-outcome"], |_, piece| {
    outcome(piece, |outcome| Fate::Replace(vec![frames::sasl(&SaslBody::Outcome(outcome.clone())); 2]))
});

/// It challenges instead of saying an outcome.
pub(crate) const CHALLENGES: Wrong = Wrong::writes("sasl-challenges", &["sasl-outcome"], |_, piece| {
    outcome(piece, |_| {
        let challenge = SaslChallenge { challenge: Secret(Bytes::from_static(b"why")) };
        Fate::Pass(frames::sasl(&SaslBody::Challenge(challenge)))
    })
});

/// It offers PLAIN and ANONYMOUS together, but no more.
pub(crate) const OFFERS_BOTH: Wrong =
    Wrong::writes("sasl-offers-both", &["sasl-mechanisms"], |_, piece| match piece.got {
        Got::Sasl(SaslBody::Mechanisms(_)) => Fate::Pass(frames::sasl(&frames::mechanisms(&["ANONYMOUS", "PLAIN"]))),
        _ => Fate::Pass(piece.octets),
    });

/// It offers a mechanism whose name is no name, and more of them than a frame may hold.
pub(crate) const OFFERS_MANY: Wrong =
    Wrong::writes("sasl-offers-many", &["sasl-mechanisms"], |_, piece| match piece.got {
        Got::Sasl(SaslBody::Mechanisms(offered)) => {
            let mut all: Vec<Symbol> = offered.sasl_server_mechanisms.iter().cloned().collect();
            all.extend(vec![Symbol::from_static("x-no-mechanism"); 40]);
            let mechanisms = SaslMechanisms { sasl_server_mechanisms: all.into_iter().collect() };
            Fate::Pass(frames::sasl(&SaslBody::Mechanisms(mechanisms)))
        }
        _ => Fate::Pass(piece.octets),
    });

fn ends(piece: Piece, is_ended: fn(&Piece) -> bool) -> Fate {
    if is_ended(&piece) { Fate::End(Vec::new()) } else { Fate::Pass(piece.octets) }
}

fn is_sasl_frame(piece: &Piece) -> bool {
    !matches!(piece.got, Got::Header(_)) && piece.octets.get(5) == Some(&1)
}

/// It takes no SASL frame with an extended header, or with something in octets 6 and 7.
pub(crate) const PLAIN_FRAMES: Wrong =
    Wrong::reads("sasl-plain-frames-only", &["sasl-init", "sasl-mechanisms"], |_, piece| {
        ends(piece, |piece| is_sasl_frame(piece) && !matches!(piece.octets.get(4..8), Some([2, 1, 0, 0])))
    });

/// It takes no SASL frame of 512 octets.
pub(crate) const SMALL_FRAMES: Wrong =
    Wrong::reads("sasl-small-frames-only", &["sasl-init", "sasl-mechanisms"], |_, piece| {
        ends(piece, |piece| is_sasl_frame(piece) && piece.octets.len() >= MAX_FRAME)
    });

/// It takes no initial response that is empty.
pub(crate) const NO_EMPTY_RESPONSE: Wrong = Wrong::reads("sasl-no-empty-response", &["sasl-init"], |_, piece| {
    ends(piece, |piece| match &piece.got {
        Got::Sasl(SaslBody::Init(init)) => init.initial_response.as_ref().is_some_and(|response| response.0.is_empty()),
        _ => false,
    })
});

/// It wants a host's name in each open.
pub(crate) const WANTS_HOSTNAME: Wrong = Wrong::reads("wants-a-hostname", &["open"], |_, piece| {
    ends(piece, |piece| match &piece.got {
        Got::Frame(AmqpFrame { body: Some(Performative::Open(open)), .. }) => open.hostname.is_none(),
        _ => false,
    })
});

/// It loses what comes before the outcome.
pub(crate) const LOSES_WHAT_COMES_EARLY: Wrong = Wrong {
    name: "loses-what-comes-early",
    on: &["sasl-outcome"],
    written: |past, piece| {
        if let Got::Sasl(SaslBody::Outcome(_)) = &piece.got {
            past.count("outcome");
        }
        Fate::Pass(piece.octets)
    },
    read: |past, piece| match &piece.got {
        Got::Header(ProtocolHeader::AMQP) | Got::Frame(_) if !past.has("outcome") => Fate::Drop,
        _ => Fate::Pass(piece.octets),
    },
    place: None,
};

/// After SASL it writes no header.
pub(crate) const NO_SECOND_HEADER: Wrong =
    Wrong::writes("no-header-after-sasl", &["header"], |past, piece| match piece.got {
        Got::Header(_) if past.count("header") > 0 => Fate::Drop,
        _ => Fate::Pass(piece.octets),
    });

/// After SASL its header is of another version.
pub(crate) const OTHER_SECOND_HEADER: Wrong =
    Wrong::writes("other-header-after-sasl", &["header"], |past, piece| match piece.got {
        Got::Header(_) if past.count("header") > 0 => Fate::Pass(Bytes::from_static(b"AMQP\0\x01\x01\0")),
        _ => Fate::Pass(piece.octets),
    });

/// It answers each header with the one that was asked for.
pub(crate) const ECHOES_HEADERS: Wrong = Wrong {
    name: "echoes-headers",
    on: &["header"],
    written: |past, piece| match (&piece.got, past.kept.pop()) {
        (Got::Header(_), Some(asked)) => Fate::Pass(asked),
        _ => Fate::Pass(piece.octets),
    },
    read: |past, piece| {
        if let Got::Header(_) = &piece.got {
            past.kept.push(piece.octets.clone());
        }
        Fate::Pass(piece.octets)
    },
    place: None,
};

/// It says no initial response.
pub(crate) const NO_RESPONSE: Wrong =
    Wrong::writes("sasl-no-initial-response", &["sasl-init"], |_, piece| match piece.got {
        Got::Sasl(SaslBody::Init(init)) => {
            Fate::Pass(frames::sasl(&SaslBody::Init(SaslInit { initial_response: None, ..init })))
        }
        _ => Fate::Pass(piece.octets),
    });

/// It does not answer a challenge.
pub(crate) const IGNORES_CHALLENGES: Wrong =
    Wrong::reads("sasl-ignores-challenges", &["sasl-challenge"], |_, piece| drops(piece, "sasl-challenge"));
