//! Is it a difference, and if so, which of those that are known.
//!
//! Before anything is explained, both answers must be what [`crate::reading`] predicts: the verdict, the octets
//! consumed, and every octet of the dump. Each explanation is a function of its own, documented in `README.md` under
//! its name.

use crate::{
    dump,
    peer::Answer,
    reading::{Reading, Rule},
    run::Outcome,
};
use amqp1_codec::{Decode, DecodeErrorKind, Reader, Value};
use bytes::Bytes;

/// One input and what everybody made of it.
#[derive(Debug)]
pub(crate) struct Case {
    /// What the codec made of it: the octets consumed and the dump, or the rule that is broken.
    pub(crate) codec: Result<(usize, Vec<u8>), DecodeErrorKind>,
    /// The third reading, which predicts both.
    pub(crate) reading: Reading,
    /// What Proton made of it.
    pub(crate) proton: Answer,
}

/// An explanation: its name, and whether it holds.
pub(crate) type Explanation = (&'static str, fn(&Case) -> bool);

/// All explanations.
pub(crate) const EXPLANATIONS: [Explanation; 12] = [
    ("ProtonAcceptsBooleanOctet", proton_accepts_boolean_octet),
    ("ProtonAcceptsNonScalarChar", proton_accepts_non_scalar_char),
    ("ProtonAcceptsStringNotUtf8", proton_accepts_string_not_utf8),
    ("ProtonAcceptsSymbolNotAscii", proton_accepts_symbol_not_ascii),
    ("ProtonAcceptsOddMap", proton_accepts_odd_map),
    ("ProtonAcceptsDuplicateKey", proton_accepts_duplicate_key),
    ("ProtonIgnoresCompoundSize", proton_ignores_compound_size),
    ("CodecLimitsDepth", codec_limits_depth),
    ("ProtonRefusesCompoundDescriptor", proton_refuses_compound_descriptor),
    ("ProtonLimitsNodes", proton_limits_nodes),
    ("ProtonMisplacesDescribedDescribed", proton_misplaces_described_described),
    ("ProtonFlattensArrayDescriptors", proton_flattens_array_descriptors),
];

impl Case {
    /// The codec's answer to these octets, beside Proton's.
    pub(crate) fn new(octets: &[u8], proton: Answer) -> Self {
        let wire = Bytes::copy_from_slice(octets);
        let mut reader = Reader::new(&wire);
        let codec = match Value::decode(&mut reader) {
            Ok(value) => {
                let mut out = Vec::new();
                dump::dump(&value, &mut out);
                Ok((reader.offset() as usize, out))
            }
            Err(error) => Err(error.kind),
        };
        Self { codec, reading: crate::reading::read(octets), proton }
    }

    /// How the answers compare.
    pub(crate) fn outcome(&self) -> Outcome {
        let reading = &self.reading;
        let legal = reading.consumed.filter(|_| !reading.rules.refused_by_codec());
        match (&self.codec, legal) {
            (Ok(_), None) => return Outcome::Unexplained("the codec accepts what breaks a rule"),
            (Err(_), Some(_)) => return Outcome::Unexplained("the codec refuses what breaks no rule"),
            (Ok((consumed, dump)), Some(predicted)) if (*consumed, dump) != (predicted, &reading.dump) => {
                return Outcome::Unexplained("the codec reads another value");
            }
            _ => {}
        }
        let taken = reading.consumed.filter(|_| !reading.rules.refused_by_proton());
        if self.proton.consumed != taken {
            return Outcome::Unexplained("Proton's verdict is not the predicted one");
        }
        if taken.is_some() && self.proton.dump != *reading.misplaced.as_ref().unwrap_or(&reading.dump) {
            return Outcome::Unexplained("Proton's value is not the predicted one");
        }
        match (&self.codec, self.proton.consumed) {
            (Err(_), None) => Outcome::BothRefused,
            (Ok((_, dump)), Some(_)) if *dump == self.proton.dump => Outcome::Equal,
            _ => EXPLANATIONS
                .iter()
                .find(|(_, holds)| holds(self))
                .map_or(Outcome::Unexplained("no explanation holds"), |(name, _)| Outcome::Explained(name)),
        }
    }

    /// Both answers, for people.
    pub(crate) fn texts(&self) -> (String, String) {
        let answer = |consumed: usize, octets: &[u8]| format!("{consumed} octets: {}", dump::render(octets));
        let codec = match &self.codec {
            Ok((consumed, dump)) => answer(*consumed, dump),
            Err(kind) => format!("refused: {kind}"),
        };
        let proton = self.proton.consumed.map_or_else(|| "refused".to_owned(), |at| answer(at, &self.proton.dump));
        (codec, proton)
    }

    /// The codec refuses it by this rule, which Proton does not have; the rest is as predicted.
    fn only_codec_refuses(&self, rule: Rule, kinds: impl Fn(DecodeErrorKind) -> bool) -> bool {
        self.reading.rules.has(rule)
            && self.proton.consumed.is_some()
            && self.codec.as_ref().is_err_and(|kind| kinds(*kind))
    }

    fn only_proton_refuses(&self, rule: Rule) -> bool {
        self.reading.rules.has(rule) && self.proton.consumed.is_none() && self.codec.is_ok()
    }

    /// Both accept it, and the codec's value is the right one.
    fn both_accept(&self, rule: Rule) -> bool {
        self.reading.rules.has(rule) && self.proton.consumed.is_some() && self.codec.is_ok()
    }
}

fn proton_accepts_boolean_octet(case: &Case) -> bool {
    case.only_codec_refuses(Rule::BooleanOctet, |kind| kind == DecodeErrorKind::InvalidBoolean)
}

fn proton_accepts_non_scalar_char(case: &Case) -> bool {
    case.only_codec_refuses(Rule::CharScalar, |kind| kind == DecodeErrorKind::InvalidChar)
}

fn proton_accepts_string_not_utf8(case: &Case) -> bool {
    case.only_codec_refuses(Rule::StringUtf8, |kind| kind == DecodeErrorKind::InvalidUtf8)
}

fn proton_accepts_symbol_not_ascii(case: &Case) -> bool {
    case.only_codec_refuses(Rule::SymbolAscii, |kind| kind == DecodeErrorKind::InvalidSymbol)
}

fn proton_accepts_odd_map(case: &Case) -> bool {
    case.only_codec_refuses(Rule::MapEven, |kind| kind == DecodeErrorKind::OddMap)
}

fn proton_accepts_duplicate_key(case: &Case) -> bool {
    case.only_codec_refuses(Rule::MapKeys, |kind| kind == DecodeErrorKind::DuplicateKey)
}

/// Cut off at its size, a compound ends before its elements do, or its elements before it. A large one is walked by
/// sizes first, where a wrong one leads anywhere.
fn proton_ignores_compound_size(case: &Case) -> bool {
    case.only_codec_refuses(Rule::CompoundSize, |kind| match kind {
        DecodeErrorKind::LengthMismatch | DecodeErrorKind::Truncated | DecodeErrorKind::ElementsExceeded => true,
        DecodeErrorKind::UnknownFormatCode(_) | DecodeErrorKind::DepthExceeded => case.reading.large,
        _ => false,
    })
}

fn codec_limits_depth(case: &Case) -> bool {
    case.only_codec_refuses(Rule::Depth, |kind| kind == DecodeErrorKind::DepthExceeded)
}

fn proton_refuses_compound_descriptor(case: &Case) -> bool {
    case.only_proton_refuses(Rule::DescriptorScalar)
}

fn proton_limits_nodes(case: &Case) -> bool {
    case.only_proton_refuses(Rule::NodeCount)
}

fn proton_misplaces_described_described(case: &Case) -> bool {
    case.both_accept(Rule::DescribedTwice)
}

fn proton_flattens_array_descriptors(case: &Case) -> bool {
    case.both_accept(Rule::ArrayDescribedTwice)
}
