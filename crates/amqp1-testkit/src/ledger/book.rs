//! Every message, from the application that writes it to the one that reads it.

use super::Ledger;
use crate::body;
use amqp1_codec::{EncodedMessage, Message, messaging::DeliveryState};
use amqp1_engine::{Instant, Settlement};
use bytes::Bytes;
use std::collections::BTreeMap;

/// A message about which not everything is known yet.
#[derive(Debug)]
struct Entry {
    stream: &'static str,
    length: usize,
    /// When it was given to the engine, if its end is not told yet.
    open: Option<Instant>,
    /// How often it was given to the engine.
    sends: u32,
    /// An end was told that does not say whether it was received: another copy may come.
    unknown: bool,
    /// Some of it may have left.
    left: bool,
    /// It was handed over when some of it may have left, and goes on with the next endpoint of its link.
    suspended: bool,
    received: u32,
    /// Something else than a loss was told of it.
    done: bool,
}

/// The messages of a conversation. What is settled and can come no more costs nothing.
///
/// The rules: an end is told once for each time that a message is sent; *accepted* means received; a message comes
/// twice only where its outcome was unknown; what was reported as not sent does not come; the order of a stream holds
/// but for what was sent again.
#[derive(Debug, Default)]
pub struct Book {
    entries: BTreeMap<u64, Entry>,
    /// The newest message that each stream has received.
    newest: BTreeMap<&'static str, u64>,
    next: u64,
}

/// How many octets at the front of a body tell the message's number.
const NUMBER: usize = 8;

impl Book {
    /// A new message of a stream, and its number.
    pub fn write(&mut self, stream: &'static str, length: usize, ledger: &mut Ledger) -> u64 {
        let number = self.next;
        self.next += 1;
        ledger.messages += 1;
        let entry = Entry {
            stream,
            length,
            open: None,
            sends: 0,
            unknown: false,
            left: false,
            suspended: false,
            received: 0,
            done: false,
        };
        self.entries.insert(number, entry);
        number
    }

    /// The message of this number, as it is sent.
    pub fn message(&self, number: u64) -> EncodedMessage {
        let length = self.entries.get(&number).map_or(0, |entry| entry.length);
        Message::builder().data(content(number, length)).build()
    }

    /// A message was given to the engine.
    pub fn sent(&mut self, number: u64, now: Instant, ledger: &mut Ledger) {
        ledger.sent += 1;
        let Some(entry) = self.entries.get_mut(&number) else {
            return ledger.wrong(format!("message {number} was sent, and is settled"));
        };
        ledger.expect(entry.open.is_none(), || format!("message {number} was sent, and sent again"));
        entry.sends += 1;
        entry.open = Some(now);
        entry.left = true;
    }

    /// The sending end has told what became of a message. Whether it is lost.
    pub fn settled(&mut self, number: u64, settlement: &Settlement, now: Instant, ledger: &mut Ledger) -> bool {
        let lost = matches!(settlement, Settlement::Lost { .. });
        let Some(entry) = self.entries.get_mut(&number) else {
            ledger.wrong(format!("message {number} was settled before, and now {settlement:?}"));
            return false;
        };
        match entry.open.take() {
            Some(sent) => ledger.waited(now - sent),
            None => ledger.wrong(format!("message {number} is not sent, and now {settlement:?}")),
        }
        entry.done |= !lost;
        match settlement {
            Settlement::Outcome(Some(DeliveryState::Accepted)) => {
                ledger.accepted += 1;
                let received = entry.received > 0;
                ledger.expect(received, || format!("message {number} is accepted, and was not received"));
            }
            Settlement::Lost { sent } => {
                ledger.lost += 1;
                entry.unknown |= *sent;
                // This time nothing has left.
                entry.left = *sent || entry.unknown;
                let received = !entry.left && entry.received > 0;
                ledger.expect(!received, || format!("message {number} was not sent, and was received"));
            }
            _ => ledger.otherwise += 1,
        }
        if !lost && !entry.unknown && entry.received > 0 {
            self.entries.remove(&number);
        }
        lost
    }

    /// A message was handed over, to go on with the next endpoint of its link: `begun`, if some of it has left. Where
    /// the receiver settles `first` it may have done so already, and will then take the message for a new one.
    pub fn suspended(&mut self, number: u64, begun: bool, first: bool, now: Instant, ledger: &mut Ledger) {
        ledger.suspended += 1;
        let Some(entry) = self.entries.get_mut(&number) else {
            return ledger.wrong(format!("message {number} was settled, and is handed over"));
        };
        match entry.open.take() {
            Some(sent) => ledger.waited(now - sent),
            None => ledger.wrong(format!("message {number} is not sent, and is handed over")),
        }
        entry.suspended |= begun;
        entry.unknown |= begun && first;
    }

    /// A message goes on with the next endpoint of its link.
    pub fn resumed(&mut self, number: u64, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.open = Some(now);
        }
    }

    /// The receiving application has taken a message. `known`: it was resumed, and the application has it already.
    pub fn received(&mut self, stream: &'static str, data: &[u8], known: bool, ledger: &mut Ledger) -> u64 {
        let number = data.first_chunk().map_or(u64::MAX, |octets| u64::from_be_bytes(*octets));
        let Some(entry) = self.entries.get_mut(&number) else {
            ledger.wrong(format!("message {number} of {} octets is unknown, or comes again settled", data.len()));
            return number;
        };
        let same = content(number, entry.length) == data && entry.stream == stream;
        ledger.expect(same, || format!("message {number} is not what was sent"));
        if known {
            ledger.recognised += 1;
            ledger.expect(entry.received > 0, || format!("message {number} is known, and is new"));
            return number;
        }
        ledger.received += 1;
        entry.received += 1;
        let (unknown, left) = (entry.unknown, entry.left);
        ledger.expect(left, || format!("message {number} was reported as not sent, and comes"));
        if entry.received > 1 {
            ledger.duplicates += 1;
            ledger.expect(unknown, || format!("message {number} comes twice, and its outcome was known"));
            return number;
        }
        let newest = self.newest.entry(stream).or_insert(number);
        let again = entry.sends > 1 || entry.suspended;
        ledger.expect(*newest <= number || again, || format!("message {number} comes after message {newest}"));
        *newest = number.max(*newest);
        number
    }

    /// The stream of a message about which not everything is known.
    pub fn stream_of(&self, number: u64) -> Option<&'static str> {
        self.entries.get(&number).map(|entry| entry.stream)
    }

    /// Messages that are sent and of which no end is told.
    pub fn open(&self) -> usize {
        self.entries.values().filter(|entry| entry.open.is_some()).count()
    }

    /// Messages that have no end but that they were lost.
    pub fn undone(&self) -> usize {
        self.entries.values().filter(|entry| !entry.done).count()
    }
}

fn content(number: u64, length: usize) -> Bytes {
    let mut octets = number.to_be_bytes().to_vec();
    octets.extend_from_slice(&body(number as usize, length.saturating_sub(NUMBER)));
    octets.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCEPTED: Settlement = Settlement::Outcome(Some(DeliveryState::Accepted));

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    /// A book of three messages that were sent.
    fn book() -> (Book, Ledger) {
        let (mut book, mut ledger) = (Book::default(), Ledger::default());
        for _ in 0..3 {
            let number = book.write("l", 20, &mut ledger);
            book.sent(number, at(0), &mut ledger);
        }
        (book, ledger)
    }

    /// Takes a message; whether that holds.
    fn take(book: &mut Book, ledger: &mut Ledger, number: u64) -> bool {
        book.received("l", &content(number, 20), false, ledger);
        ledger.holds()
    }

    #[test]
    fn what_is_accepted_was_received() {
        let (mut book, mut ledger) = book();
        assert!(take(&mut book, &mut ledger, 0));
        book.settled(0, &ACCEPTED, at(5), &mut ledger);
        assert!(ledger.holds() && ledger.worst_wait.as_nanos() == 5 && book.undone() == 2);
        book.settled(1, &ACCEPTED, at(6), &mut ledger);
        assert!(!ledger.holds());
    }

    #[test]
    fn an_end_is_told_once() {
        let (mut book, mut ledger) = book();
        assert!(book.settled(0, &Settlement::Lost { sent: true }, at(1), &mut ledger) && ledger.holds());
        book.settled(0, &Settlement::Lost { sent: true }, at(1), &mut ledger);
        assert!(!ledger.holds());
    }

    #[test]
    fn a_message_comes_twice_only_where_its_outcome_was_unknown() {
        let (mut book, mut ledger) = book();
        book.settled(0, &Settlement::Lost { sent: true }, at(1), &mut ledger);
        book.sent(0, at(2), &mut ledger);
        assert!(take(&mut book, &mut ledger, 0) && take(&mut book, &mut ledger, 0));
        assert_eq!(ledger.duplicates, 1);
        assert!(take(&mut book, &mut ledger, 1) && !take(&mut book, &mut ledger, 1));
    }

    #[test]
    fn what_was_not_sent_does_not_come() {
        let (mut book, mut ledger) = book();
        book.settled(2, &Settlement::Lost { sent: false }, at(1), &mut ledger);
        assert!(!take(&mut book, &mut ledger, 2));
    }

    #[test]
    fn order_holds_but_for_what_was_sent_again() {
        let (mut book, mut ledger) = book();
        book.settled(0, &Settlement::Lost { sent: true }, at(1), &mut ledger);
        book.sent(0, at(1), &mut ledger);
        assert!(take(&mut book, &mut ledger, 2) && take(&mut book, &mut ledger, 0));
        assert!(!take(&mut book, &mut ledger, 1));
    }
}
