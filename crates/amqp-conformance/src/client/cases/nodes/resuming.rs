//! Deliveries that the client resumes as their sender (§3.4.6).

use super::outcomes::SENDS;
use crate::{
    case::{Case, Check, Twin},
    client::{Attached, ClientTrial, Scenario, sends_to_node},
    delivery::Delivery,
    either::resuming::{Entry, Maps, ResumeTrial, Said, accepted},
    verdict::{Outcome, Stop, Verdict},
};
use amqp1_codec::{
    DeliveryTag, Value,
    definitions::Role,
    performative::{Attach, Disposition, Performative, Unsettled},
};
use amqp1_script::{AmqpFrame, Got, frames};

/// The client attaches its link again, with the delivery in its unsettled map, and resumes it.
pub(crate) static RESUME: Twin = Twin { name: "resume", check: Check::Client(Scenario::Send, resume) };

pub(super) const CASES: &[Case] = &[Case {
    id: "M-3.4.6-16",
    rule: "The sender's map has no terminal state for what the receiver may still need (§3.4.6).",
    sends: "a detach with closed=false, before anything was said of the delivery",
    wants: "an attach whose unsettled map has the delivery, with null or received",
    check: Check::Client(Scenario::Send, entry_is_not_terminal),
    twin: Some(&SENDS),
    ..Case::CLIENT
}];

/// The client's link after it was attached again, and what came before.
pub(in crate::client::cases) struct Resumed {
    pub(in crate::client::cases) client: Attached,
    pub(in crate::client::cases) delivery: Delivery,
    pub(in crate::client::cases) maps: Maps,
}

/// Detaches the client's link, and answers its next attach with this entry in the unsettled map.
pub(in crate::client::cases) fn resumed(
    trial: &mut ClientTrial<'_>,
    said: Said,
    held: Option<Value>,
) -> Result<Resumed, Stop> {
    let own = Entry::from(held.as_ref());
    let (mut client, delivery) = trial.receiving_from_client(1)?;
    let tag = DeliveryTag::new(delivery.tag()).unwrap_or_default();
    if let Some(state) = said.state() {
        let settled = frames::settled(Role::Receiver, delivery.number(), state);
        client.connection.send(client.session.channel, Disposition { settled: false, ..settled });
    }
    let attach = attached_again(&mut client)?;
    let map = attach.unsettled.clone().unwrap_or_default();
    answer(&mut client, attach, held.map(|held| (tag, held)).into_iter().collect(), false);
    Ok(Resumed { client, delivery, maps: Maps { tag, theirs: Entry::from(map.get(&tag)), own } })
}

/// Detaches the client's link, without closing it, and waits for its next attach of the same name.
pub(in crate::client::cases) fn attached_again(client: &mut Attached) -> Result<Attach, Stop> {
    client.detach(false, None);
    next_attach(client, false)
}

/// Waits for the client's next attach of the same name, after its detach, if that has not come.
pub(in crate::client::cases) fn next_attach(client: &mut Attached, mut is_detached: bool) -> Result<Attach, Stop> {
    let name = client.link.attach.name.clone();
    let (channel, handle) = (client.link.remote_channel, client.link.attach.handle);
    loop {
        let got = client.connection.next();
        match &got {
            Got::Frame(AmqpFrame { channel: on, body: Some(Performative::Detach(detach)), .. })
                if *on == channel && detach.handle == handle && !is_detached =>
            {
                if detach.closed {
                    return Err(Stop::SetUp(String::from("the client closes the link")));
                }
                is_detached = true;
                client.progress.forget(&client.link);
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Attach(attach)), .. }) if attach.name == name => {
                return Ok(Attach::clone(attach));
            }
            Got::Frame(AmqpFrame { body, .. })
                if !matches!(body, Some(Performative::Close(_) | Performative::End(_))) =>
            {
                let max_frame_size = client.open.max_frame_size;
                client.progress.answer(&mut client.connection, &got, max_frame_size);
            }
            _ => return Err(Stop::SetUp(format!("the client does not attach the link again: {got}"))),
        }
    }
}

/// Answers the client's attach with this unsettled map.
pub(in crate::client::cases) fn answer(client: &mut Attached, attach: Attach, map: Unsettled, is_incomplete: bool) {
    let answer = client.progress.answer_to(&client.session, &attach);
    let answer = Attach { unsettled: Some(map), incomplete_unsettled: is_incomplete, ..answer };
    client.connection.send(client.session.channel, answer.clone());
    client.link = client.progress.add_link(&client.session, attach, &answer);
}

/// The client's next transfers on the link; `None` if it detaches or closes before.
pub(in crate::client::cases) fn next_delivery(client: &mut Attached) -> Result<Option<Delivery>, Stop> {
    let max_frame_size = client.open.max_frame_size;
    loop {
        let got = client.connection.next();
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Transfer(_)), .. }) => {
                if let Some(delivery) = client.progress.note(&got) {
                    return Ok(Some(delivery));
                }
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Detach(_) | Performative::End(_)), .. }) => {
                client.progress.answer(&mut client.connection, &got, max_frame_size);
                return Ok(None);
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Close(_)), .. }) => {
                client.connection.send(0, frames::close());
                return Ok(None);
            }
            Got::Frame(_) => client.progress.answer(&mut client.connection, &got, max_frame_size),
            _ => return Err(Outcome::fail(format!("expected a transfer, got {got}")).into()),
        }
    }
}

fn resume(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let Resumed { mut client, maps, .. } = resumed(trial, Said::Nothing, Some(Value::Null))?;
    if maps.theirs == Entry::Absent {
        return Ok(Outcome::fail("the client's unsettled map lacks the delivery"));
    }
    client.give_credit(10);
    match next_delivery(&mut client)? {
        Some(delivery) => {
            client.accept(&delivery);
            Ok(client.finishes())
        }
        None => Ok(Outcome::fail("the client does not resume the delivery")),
    }
}

impl ResumeTrial for ClientTrial<'_> {
    fn expects(&mut self, said: Said, held: Option<Value>) -> Result<Outcome, Stop> {
        let Resumed { mut client, delivery: first, maps } = resumed(self, said, held)?;
        client.give_credit(10);
        let Some(mut delivery) = next_delivery(&mut client)? else {
            return Ok(Outcome::fail("no transfer follows"));
        };
        let transfer = delivery.first().cloned().unwrap_or_default();
        let is_rest = |_| first.message.ends_with(&delivery.message);
        if let Some(reason) = maps.fault(&transfer, delivery.is_aborted(), is_rest) {
            return Ok(Outcome::fail(reason));
        }
        if delivery.is_aborted() {
            // It comes as a new one now, or its loss is reported.
            match next_delivery(&mut client)? {
                Some(next) => delivery = next,
                None => return Ok(Outcome::pass_with("aborted, and not sent again")),
            }
        }
        client.accept(&delivery);
        let outcome = client.finishes();
        let is_passed = outcome.verdict == Verdict::Pass;
        Ok(if is_passed { Outcome::pass_with(format!("the client's map says {:?}", maps.theirs)) } else { outcome })
    }

    fn finished(&mut self, held: Option<Value>) -> Result<Outcome, Stop> {
        let is_same = held == Some(accepted());
        // Two messages, so that the client attaches the link again for the second one.
        self.set_count(2);
        let Resumed { mut client, maps, .. } = resumed(self, Said::Accepted, held)?;
        client.give_credit(10);
        let Some(delivery) = next_delivery(&mut client)? else {
            return Ok(Outcome::fail("the client sends nothing more"));
        };
        let Some(transfer) = delivery.first() else { return Ok(Outcome::fail("no transfer")) };
        if transfer.resume {
            return Ok(maps.judge_end(Some(transfer), delivery.is_aborted(), delivery.is_settled(), is_same));
        }
        // The second message; the first would come again as a new one with another tag.
        let is_second =
            String::from_utf8_lossy(&delivery.message).contains("message 1") || delivery.tag() != maps.tag.as_slice();
        client.accept(&delivery);
        Ok(if is_second {
            maps.judge_end(None, false, false, is_same)
        } else {
            Outcome::fail("the message is sent again, though it was accepted")
        })
    }
}

fn entry_is_not_terminal(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let (mut client, delivery) = trial.receiving_from_client(1)?;
    debug_assert!(sends_to_node(&client.link.attach), "the set-up takes such a link");
    let tag = DeliveryTag::new(delivery.tag()).unwrap_or_default();
    let map = attached_again(&mut client)?.unsettled.unwrap_or_default();
    Ok(Maps::judge_entry(Entry::from(map.get(&tag))))
}
