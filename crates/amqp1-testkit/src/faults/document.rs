//! The accounts of all faults, for people.

use super::Fault;
use crate::ledger::Ledger;
use core::{fmt::Write, time::Duration};

const INTRODUCTION: &str = "\
# Faults

What this library does when something goes wrong on the way: each fault is made many times between two real engines, on
a virtual clock and simulated pipes, and every message and every operation is accounted for. The figures are the same on
every machine.

```sh
cargo run --release -p amqp1-testkit --bin faults              # makes all of them and writes this file
cargo run --release -p amqp1-testkit --bin faults -- --long    # more seeds and a million messages; writes nothing
cargo test -p amqp1-testkit --test faults                      # the same as the first, and fails if this file is stale
```

An account holds only if, in every run:

- each message whose outcome was *accepted* was received, unchanged;
- a message is received twice only where its outcome was unknown to the sender, and what was reported as *not sent* is
  not received at all;
- the messages of a link keep their order, but for those that were sent again;
- every send ends once: with an outcome, as lost, or handed over for resumption;
- every open, begin, attach, drain, detach, end and close ends by an event, within the time given for it: the idle
  time-out of 60 s, 5 s for the close and a second more, unless the fault itself is slower;
- every change of a connection, a session or a link is reported once, in its order, and nothing after the end;
- when the connection is over, the engine holds no session and no link, has nothing to write and wants no timer.

What was lost is sent again on a new link or connection, and in the end everything is settled.
";

const LEGEND: &str = "\
*Sent* counts how often a message was given to an engine, again included. *Otherwise* counts those that ended
with another outcome, or were sent settled (at most once, as the sender wished), by their receipts. *Twice* counts messages that the
receiving application took for new and had before; *known* those that came again when a link was resumed, and that it
knew by their tags. *Lost* counts the sends that were told so when their link ended. *Handed over* counts those that were
kept for the next endpoint of their link instead, once for each endpoint that they outlived. *Operations* are those of
the list above, each of which has ended; *changes* are the events that say so, and those of their peers. *Time* is
virtual, of all runs together; *longest wait* is that of a message or an operation.

So each send has one end: *sent* is *accepted*, *otherwise* and *lost* together. *Received* less *twice* is how many
different messages arrived: all of them, but for some that were sent settled into what then broke, and, in F15, those on
links whose peer had broken a rule. The numbers of the faults are those of a longer list: what is not here needs a socket,
a server or the machine's own clock.
";

/// The document that shows these accounts.
pub fn document(accounts: &[(&Fault, Ledger)]) -> String {
    let mut out = String::from(INTRODUCTION);
    out.push_str("\n## Accounts\n\n");
    out.push_str(
        "| Fault | Runs | Messages | Sent | Accepted | Otherwise | Received | Twice | Known | Lost | Handed over | Operations | \
         Changes | Time | Longest wait | Holds |\n",
    );
    out.push_str("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n");
    for (fault, ledger) in accounts {
        let counts = [
            ledger.runs,
            ledger.messages,
            ledger.sent,
            ledger.accepted,
            ledger.otherwise,
            ledger.received,
            ledger.duplicates,
            ledger.recognised,
            ledger.lost,
            ledger.suspended,
            ledger.ended,
            ledger.changes,
        ];
        let _ = write!(out, "| {} |", fault.name);
        for count in counts {
            let _ = write!(out, " {} |", grouped(count));
        }
        let verdict = if ledger.holds() { "yes" } else { "**no**" };
        let _ = writeln!(out, " {} | {} | {verdict} |", seconds(ledger.time), seconds(ledger.worst_wait));
    }
    out.push('\n');
    out.push_str(LEGEND);
    for (fault, ledger) in accounts {
        section(&mut out, fault, ledger);
    }
    out
}

fn section(out: &mut String, fault: &Fault, ledger: &Ledger) {
    let _ = writeln!(out, "\n## {}: {}\n", fault.name, fault.title);
    paragraph(out, &format!("**How it is made.** {}", fault.made));
    out.push('\n');
    paragraph(out, &format!("**What an application sees.** {}", fault.seen));
    if !ledger.states.is_empty() {
        let states: Vec<_> =
            ledger.states.iter().map(|(state, count)| format!("{} {state}", grouped(*count))).collect();
        out.push('\n');
        paragraph(out, &format!("Deliveries that were cut off, by state at either end: {}.", states.join(", ")));
    }
    if ledger.reattached > 0 {
        let count = grouped(ledger.reattached);
        out.push('\n');
        paragraph(out, &format!("Links that were attached anew because their maps did not fit into a frame: {count}."));
    }
    if !ledger.holds() {
        out.push_str("\n**It does not hold:**\n\n");
        for reason in ledger.reasons() {
            let _ = writeln!(out, "- {reason}");
        }
    }
}

/// Text in lines of at most 120 characters.
fn paragraph(out: &mut String, text: &str) {
    let mut width = 0;
    for word in text.split_whitespace() {
        if width > 0 && width + 1 + word.len() > 120 {
            out.push('\n');
            width = 0;
        }
        if width > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += word.len();
    }
    out.push('\n');
}

/// A number with commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Seconds with the milliseconds that there are.
fn seconds(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{} s", grouped(time.as_secs())),
        millis => format!("{}.{millis:03} s", grouped(time.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_readable() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(seconds(Duration::from_millis(60_430)), "60.430 s");
        assert_eq!(seconds(Duration::from_secs(3600)), "3,600 s");
    }
}
