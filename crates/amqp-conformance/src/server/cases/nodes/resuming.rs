//! Deliveries that the server resumes as their sender (§3.4.6).

use super::support::{from_source, holds, set_up};
use crate::{
    case::{Case, Check, Need, Twin},
    either::resuming::{Entry, Maps, ResumeTrial, Said, accepted},
    server::{Consumer, Delivered, ServerTrial},
    verdict::{Outcome, Stop, Verdict},
};
use amqp1_codec::{
    Value,
    messaging::{DeliveryState, Source, TerminusExpiryPolicy},
    performative::{Attach, Unsettled},
};

/// A link is detached and attached again, and its delivery settled.
pub(crate) static RESUME: Twin = Twin { name: "resume", check: Check::Server(resume) };

pub(super) const CASES: &[Case] = &[Case {
    id: "M-3.4.6-16",
    rule: "The sender's map has no terminal state for what the receiver may still need (§3.4.6).",
    sends: "an attach whose unsettled map says null, for a delivery of which nothing was said",
    wants: "an attach whose map has the delivery, with null or received",
    needs: &[Need::Queue, Need::Resume],
    twin: Some(&RESUME),
    check: Check::Server(entry_is_not_terminal),
    ..Case::SERVER
}];

const TEXT: &str = "0123456789";

/// A link that is attached again.
struct Resumed {
    consumer: Consumer,
    maps: Maps,
}

fn attach(trial: &ServerTrial<'_>, unsettled: Unsettled) -> Attach {
    let source =
        Source { expiry_policy: TerminusExpiryPolicy::ConnectionClose, timeout: 60, ..Source::at(trial.node()) };
    Attach { unsettled: Some(unsettled), ..from_source("resumed", source) }
}

fn resumed(trial: &mut ServerTrial<'_>, said: Said, held: Option<Value>) -> Result<Resumed, Stop> {
    let own = Entry::from(held.as_ref());
    trial.queued(&[TEXT])?;
    let first = attach(trial, Unsettled::new());
    let mut consumer = trial.consumer_with(first)?;
    let delivered = set_up(consumer.take())?;
    if let Some(state) = said.state() {
        consumer.state(&delivered, state);
    }
    let Some(tag) = delivered.transfer.delivery_tag else {
        return Err(Stop::SetUp(String::from("the delivery has no tag")));
    };
    set_up(consumer.detach())?;
    let map = held.map(|held| (tag, held)).into_iter().collect();
    set_up(consumer.attach(attach(trial, map)))?;
    let unsettled = consumer.link.attach.unsettled.clone().unwrap_or_default();
    Ok(Resumed { consumer, maps: Maps { tag, theirs: Entry::from(unsettled.get(&tag)), own } })
}

fn resume(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Resumed { mut consumer, maps } = resumed(trial, Said::Nothing, Some(Value::Null))?;
    if maps.theirs == Entry::Absent {
        return Ok(Outcome::fail("the server's map lacks the delivery"));
    }
    let delivered = consumer.take()?;
    consumer.settle(&delivered, DeliveryState::Accepted);
    let link = consumer.link.clone();
    consumer.connection.detached(&link)?;
    consumer.close()?;
    trial.purge()?;
    Ok(Outcome::pass())
}

/// Returns `true` if the payload ends with the text from this offset on. Its own header of a data section may be
/// repeated or not.
fn is_rest(delivered: &Delivered, from: u64) -> bool {
    let text = String::from_utf8_lossy(&delivered.payload).into_owned();
    TEXT.get(usize::try_from(from).unwrap_or(usize::MAX)..).is_some_and(|rest| text.ends_with(rest))
}

impl ResumeTrial for ServerTrial<'_> {
    fn expects(&mut self, said: Said, held: Option<Value>) -> Result<Outcome, Stop> {
        let Resumed { mut consumer, maps } = resumed(self, said, held)?;
        let delivered = consumer.take()?;
        let fault = maps.fault(&delivered.transfer, delivered.aborted, |from| is_rest(&delivered, from));
        let outcome = match fault {
            Some(reason) => Outcome::fail(reason),
            None => Outcome::pass_with(format!("the server's map says {:?}", maps.theirs)),
        };
        consumer.settle(&delivered, DeliveryState::Accepted);
        let link = consumer.link.clone();
        set_up(consumer.connection.detached(&link))?;
        set_up(consumer.close())?;
        if outcome.verdict != Verdict::Pass || delivered.aborted {
            self.purge()?;
            return Ok(outcome);
        }
        let left = holds(self, &[])?;
        Ok(if left.verdict == Verdict::Pass { outcome } else { left })
    }

    fn finished(&mut self, held: Option<Value>) -> Result<Outcome, Stop> {
        let is_same = held == Some(accepted());
        let Resumed { mut consumer, maps } = resumed(self, Said::Accepted, held)?;
        let outcome = match consumer.drain(1)?.first() {
            None => maps.judge_end(None, false, false, is_same),
            Some(delivered) if !delivered.transfer.resume => {
                Outcome::fail("the message is sent again, though it was accepted")
            }
            Some(Delivered { transfer, aborted, .. }) => {
                maps.judge_end(Some(transfer), *aborted, transfer.settled == Some(true), is_same)
            }
        };
        let link = consumer.link.clone();
        set_up(consumer.connection.detached(&link))?;
        set_up(consumer.close())?;
        let left = holds(self, &[])?;
        Ok(if left.verdict == Verdict::Pass { outcome } else { left })
    }
}

fn entry_is_not_terminal(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Resumed { mut consumer, maps } = resumed(trial, Said::Nothing, Some(Value::Null))?;
    // The delivery is settled and the link closed, or the server would keep both for other cases to find.
    if let Ok(delivered) = consumer.take() {
        consumer.settle(&delivered, DeliveryState::Accepted);
    }
    let link = consumer.link.clone();
    set_up(consumer.connection.detached(&link))?;
    set_up(consumer.close())?;
    trial.purge()?;
    Ok(Maps::judge_entry(maps.theirs))
}
