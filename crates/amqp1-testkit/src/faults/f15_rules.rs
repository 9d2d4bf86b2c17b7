//! A peer that breaks a rule.

use super::{
    Fault, Scale,
    script::{PLACES, Place, Script, WINDOW},
    seeded,
};
use crate::{Random, attach, ledger::Ledger, transfer};
use amqp1_codec::{
    SequenceNo,
    definitions::{ErrorCondition, Role},
    performative::{Detach, Transfer},
};
use core::time::Duration;

pub(super) const FAULT: Fault = Fault {
    name: "F15",
    title: "A peer that breaks the rules",
    made: "A scripted peer sends on two links in each of two sessions, to an engine of either role. Then it sends more \
           transfers than the session's window allows, attaches a handle twice, repeats or leaves out a delivery-id or \
           changes it half-way, or sends on a link that it has detached. Or it sends on a link that the engine has \
           detached and does not know it yet, which is no offence.",
    seen: "The session or the link ends with the condition that the specification names; the others, on which messages \
           go on, are not touched.",
    run,
};

#[derive(Clone, Copy, Debug)]
enum Offence {
    Window,
    HandleTwice,
    IdRepeated,
    IdMissing,
    IdChanged,
    AfterOwnDetach,
    /// No offence: the transfers were on their way.
    AfterOurDetach,
}

const OFFENCES: [Offence; 7] = [
    Offence::Window,
    Offence::HandleTwice,
    Offence::IdRepeated,
    Offence::IdMissing,
    Offence::IdChanged,
    Offence::AfterOwnDetach,
    Offence::AfterOurDetach,
];

fn run(scale: Scale) -> Ledger {
    let mut all = Ledger::default();
    for offence in OFFENCES {
        all.add(&format!("{offence:?}"), seeded(scale.seeds, |seed| one(offence, seed)));
    }
    all
}

/// Where it happens.
const HERE: Place = (0, 0);

fn one(offence: Offence, seed: u64) -> Ledger {
    let mut random = Random::new(seed);
    let mut script = Script::new(random.chance(2));
    for _ in 0..10 + random.below(50) {
        script.pass(Duration::from_millis(random.below(2000) as u64));
        let (place, _) = random.pick(&PLACES);
        script.deliver(place, 8 + random.below(300));
    }
    // Something is there to be lost.
    script.deliver(HERE, 100);
    let octets = script.message(HERE, 50);
    script.raw(&octets);
    let (scope, condition) = commit(offence, &mut script, &mut random);
    let refused = script.look();
    let expected = Some((scope, condition));
    script.ledger.expect(refused == expected, || format!("{refused:?}, not {expected:?}"));
    // The peer has not seen it yet.
    for _ in 0..random.below(3) {
        let octets = script.message(HERE, 100);
        script.raw(&octets);
    }
    let refused = script.look();
    script.ledger.expect(refused.is_none(), || format!("refused again: {refused:?}"));
    script.give_up(HERE, scope);
    for _ in 0..20 {
        for (place, _) in PLACES {
            if place != HERE && (scope == "detach" || place.0 != HERE.0) {
                script.deliver(place, 8 + random.below(300));
            }
        }
    }
    script.over()
}

/// Breaks the rule. What the engine is to answer.
fn commit(offence: Offence, script: &mut Script, random: &mut Random) -> (&'static str, ErrorCondition) {
    let (channel, handle) = HERE;
    let next = script.next[usize::from(channel)];
    match offence {
        Offence::Window => {
            let mut octets = Vec::new();
            for _ in 0..=WINDOW as usize + random.below(20) {
                octets.extend(script.message(HERE, 20));
            }
            script.raw(&octets);
            ("end", ErrorCondition::WINDOW_VIOLATION)
        }
        Offence::HandleTwice => {
            script.say(channel, attach("again", handle, Role::Sender));
            ("end", ErrorCondition::HANDLE_IN_USE)
        }
        Offence::IdRepeated => {
            let back = if random.chance(2) { 0 } else { random.below(next as usize) };
            let id = next - 1 - back as u32;
            script.wrong_transfer(channel, transfer(handle, id));
            ("end", ErrorCondition::NOT_ALLOWED)
        }
        Offence::IdMissing => {
            script.wrong_transfer(channel, Transfer { delivery_id: None, ..transfer(handle, next) });
            ("detach", ErrorCondition::INVALID_FIELD)
        }
        Offence::IdChanged => {
            script.wrong_transfer(channel, Transfer { more: true, ..transfer(handle, next) });
            let changed = Some(SequenceNo(next + 1 + random.below(1000) as u32));
            script.wrong_transfer(channel, Transfer { handle, delivery_id: changed, ..Transfer::default() });
            script.next[usize::from(channel)] += 1;
            ("detach", ErrorCondition::NOT_ALLOWED)
        }
        Offence::AfterOwnDetach => {
            script.say(channel, Detach { handle, closed: true, error: None });
            script.wrong_transfer(channel, transfer(handle, next));
            ("end", ErrorCondition::UNATTACHED_HANDLE)
        }
        Offence::AfterOurDetach => {
            script.detach(HERE);
            for _ in 0..1 + random.below(5) {
                let octets = script.message(HERE, 100);
                script.raw(&octets);
            }
            ("detach", ErrorCondition::DETACH_FORCED)
        }
    }
}
