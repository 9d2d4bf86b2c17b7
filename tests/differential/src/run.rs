//! Batches of inputs on their way to Proton and back.

use crate::{
    dump::hex,
    explain,
    generate::{self, Origin},
    message,
    peer::{self, Answer, Peer},
    vectors::Vectors,
};
use std::{fmt::Write as _, sync::mpsc::sync_channel, thread};

/// Enough that the pipes do not count; few enough that the next batch is being made while one is read.
const BATCH: u64 = 2000;

/// Octets may nest deeper than the usual stack allows for, and the third reading has no limit.
const STACK: usize = 512 << 20;

/// How many unexplained inputs are shown.
const SHOWN: u64 = 20;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Single values (part 1 of the specification).
    Values,
    /// Whole messages (part 3, section 3.2).
    Messages,
}

/// How two answers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Both accepted it as the same.
    Equal,
    /// Both refused it.
    BothRefused,
    /// They differ, and this explains it.
    Explained(&'static str),
    /// Something is not as it was predicted.
    Unexplained(&'static str),
}

impl Mode {
    fn octet(self) -> u8 {
        match self {
            Self::Values => 0,
            Self::Messages => 1,
        }
    }

    /// How the codec's answer compares to Proton's, and on demand both of them.
    fn judge(self, origin: Origin, octets: &[u8], answer: Answer) -> (Outcome, Box<dyn FnOnce() -> (String, String)>) {
        match self {
            Self::Values => {
                let case = explain::Case::new(octets, answer);
                (case.outcome(), Box::new(move || case.texts()))
            }
            Self::Messages => {
                let case = message::Case::new(origin, octets, answer);
                (case.outcome(), Box::new(move || case.texts()))
            }
        }
    }

    fn explanations(self) -> Vec<&'static str> {
        match self {
            Self::Values => explain::EXPLANATIONS.iter().map(|(name, _)| *name).collect(),
            Self::Messages => message::EXPLANATIONS.to_vec(),
        }
    }
}

/// What is shown of an input.
fn report(octets: &[u8], outcome: Outcome, (codec, proton): (String, String)) -> String {
    let outcome = match outcome {
        Outcome::Equal => "the same".to_owned(),
        Outcome::BothRefused => "both refuse".to_owned(),
        Outcome::Explained(name) => name.to_owned(),
        Outcome::Unexplained(why) => format!("UNEXPLAINED: {why}"),
    };
    let (codec, proton) = (shortened(codec), shortened(proton));
    format!("octets  {}\noutcome {outcome}\ncodec   {codec}\nProton  {proton}", hex(octets))
}

/// Few octets can be many values.
fn shortened(text: String) -> String {
    const LONGEST: usize = 4000;
    if text.len() > LONGEST { text.chars().take(LONGEST).chain(" …".chars()).collect() } else { text }
}

/// What came out.
#[derive(Debug)]
pub(crate) struct Summary {
    inputs: u64,
    mutations: u64,
    octets: u64,
    equal: u64,
    both_refused: u64,
    /// Each explanation: how often, and the shortest input.
    explained: Vec<(&'static str, u64, Option<Vec<u8>>)>,
    unexplained: u64,
}

impl Summary {
    fn new(mode: Mode) -> Self {
        let explained = mode.explanations().into_iter().map(|name| (name, 0, None)).collect();
        Self { inputs: 0, mutations: 0, octets: 0, equal: 0, both_refused: 0, explained, unexplained: 0 }
    }

    fn add(&mut self, origin: Origin, octets: &[u8], outcome: Outcome) {
        self.inputs += 1;
        self.mutations += u64::from(matches!(origin, Origin::MutatedVector | Origin::MutatedRandom));
        self.octets += octets.len() as u64;
        match outcome {
            Outcome::Equal => self.equal += 1,
            Outcome::BothRefused => self.both_refused += 1,
            Outcome::Unexplained(_) => self.unexplained += 1,
            Outcome::Explained(reason) => {
                for (_, count, example) in self.explained.iter_mut().filter(|(name, ..)| *name == reason) {
                    *count += 1;
                    if example.as_ref().is_none_or(|known| octets.len() < known.len()) {
                        *example = Some(octets.to_vec());
                    }
                }
            }
        }
    }

    /// Whether no difference is without explanation.
    pub(crate) fn is_explained(&self) -> bool {
        self.unexplained == 0
    }

    /// The summary for people.
    pub(crate) fn text(&self, seed: u64, version: &str) -> String {
        let share = |part: u64| part as f64 * 100.0 / self.inputs.max(1) as f64;
        let mut text = format!("Qpid Proton {version}, seed {seed}\n");
        let mut line = |name: &str, count: u64, more: &str| {
            let _ = writeln!(text, "{name:<36} {count:>10} {:>7.3} %{more}", share(count));
        };
        line("inputs", self.inputs, "");
        line("  of them mutations", self.mutations, "");
        line("both accept, the same value", self.equal, "");
        line("both refuse", self.both_refused, "");
        line("explained differences", self.explained.iter().map(|(_, count, _)| count).sum(), "");
        for (name, count, example) in &self.explained {
            let example = example.as_ref().filter(|example| example.len() <= 40);
            let example = example.map_or_else(String::new, |example| format!("  e.g. {}", hex(example)));
            line(&format!("  {name}"), *count, &example);
        }
        line("unexplained", self.unexplained, "");
        let _ = write!(text, "{} octets in all", self.octets);
        text
    }
}

/// Compares one input, and says how it came out and what to show of it.
pub(crate) fn one(mode: Mode, peer: Peer, origin: Origin, octets: Vec<u8>) -> Result<(Outcome, String), String> {
    on_large_stack(move || {
        let (mut input, mut output, running) = peer.split();
        let broken = |error: std::io::Error| format!("Proton does not answer: {error}");
        peer::batch(mode.octet(), [octets.as_slice()].into_iter(), &mut input).map_err(broken)?;
        let answer = peer::answers(1, &mut output).map_err(broken)?.pop().ok_or("Proton gave no answer")?;
        drop(input);
        running.wait()?;
        let (outcome, texts) = mode.judge(origin, &octets, answer);
        Ok((outcome, report(&octets, outcome, texts())))
    })
}

/// Compares this many inputs.
pub(crate) fn many(mode: Mode, peer: Peer, vectors: Vectors, seed: u64, inputs: u64) -> Result<Summary, String> {
    let (mut input, mut output, running) = peer.split();
    let (sender, batches) = sync_channel::<(u64, Vec<(Origin, Vec<u8>)>)>(4);
    // Proton reads a batch whole before it answers, so writing the next one never waits for what is unread.
    let writer = thread::spawn(move || -> Result<(), String> {
        for start in (0..inputs).step_by(BATCH as usize) {
            let end = inputs.min(start + BATCH);
            let batch: Vec<_> = (start..end).map(|index| generate::input(mode, &vectors, seed, index)).collect();
            peer::batch(mode.octet(), batch.iter().map(|(_, octets)| octets.as_slice()), &mut input)
                .map_err(|error| format!("Proton does not listen after input {start}: {error}"))?;
            if sender.send((start, batch)).is_err() {
                break;
            }
        }
        Ok(())
    });
    let summary = on_large_stack(move || {
        let mut summary = Summary::new(mode);
        for (start, batch) in batches {
            let answers = peer::answers(batch.len(), &mut output)
                .map_err(|error| format!("Proton does not answer inputs from {start} on: {error}"))?;
            for (index, ((origin, octets), answer)) in (start..).zip(batch.into_iter().zip(answers)) {
                let (outcome, texts) = mode.judge(origin, &octets, answer);
                summary.add(origin, &octets, outcome);
                if matches!(outcome, Outcome::Unexplained(_)) && summary.unexplained <= SHOWN {
                    println!("seed {seed}, index {index} ({origin:?})\n{}\n", report(&octets, outcome, texts()));
                }
            }
        }
        Ok(summary)
    })?;
    writer.join().map_err(|_| "making inputs failed".to_owned())??;
    running.wait()?;
    Ok(summary)
}

fn on_large_stack<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    thread::Builder::new()
        .stack_size(STACK)
        .spawn(work)
        .map_err(|error| format!("there is no memory for a deep stack: {error}"))?
        .join()
        .map_err(|_| "comparing failed".to_owned())?
}
