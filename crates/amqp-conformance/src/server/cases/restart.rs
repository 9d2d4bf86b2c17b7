//! What outlives a restart of the server: durable messages (§3.2.1), and termini (§3.5.5).

use crate::{
    case::{Case, Check, Need, Tag, Twin},
    server::ServerTrial,
    verdict::{Outcome, Stop, Verdict},
};
use amqp1_codec::{
    DeliveryTag, Message, Value,
    messaging::{DeliveryState, Header, Source, TerminusDurability, TerminusExpiryPolicy},
    performative::{Attach, Unsettled},
};
use amqp1_script::{Unexpected, frames};
use bytes::Bytes;

/// A durable message is accepted, and comes back.
static DURABLE: Twin = Twin { name: "durable", check: Check::Server(durable_comes_back) };

const RESTARTED: Case = Case { tags: &[Tag::Restart], needs: &[Need::Queue], twin: Some(&DURABLE), ..Case::SERVER };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.2.1-3",
        rule: "A durable message that was accepted is not lost when the server fails (§3.2.1).",
        sends: "a durable message; a restart of the server",
        wants: "the message on the queue",
        check: Check::Server(durable_outlives_restart),
        ..RESTARTED
    },
    Case {
        id: "M-3.5.5-1/restart",
        rule: "A terminus whose durability is unsettled-state keeps the state of its deliveries when the server fails \
               (§3.5.5).",
        sends: "a delivery that is left unsettled on such a source; a restart of the server, and the same attach",
        wants: "the delivery in the server's unsettled map",
        check: Check::Server(terminus_outlives_restart),
        ..RESTARTED
    },
];

fn message() -> Bytes {
    let header = Header { durable: true, ..Header::default() };
    Message::builder().header(header).data("durable").build().into_parts().concat().into()
}

fn set_up(unexpected: Unexpected) -> Stop {
    Stop::set_up(&unexpected)
}

fn comes_back(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let texts: Vec<String> = trial.emptied()?.iter().map(crate::server::Delivered::text).collect();
    Ok(if texts == ["durable"] {
        Outcome::pass()
    } else {
        Outcome::fail(format!("the queue holds {texts:?}, and not the durable message"))
    })
}

fn durable_comes_back(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.purge()?;
    trial.fill(&[message()])?;
    comes_back(trial)
}

fn durable_outlives_restart(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.purge()?;
    trial.fill(&[message()])?;
    trial.restart()?;
    comes_back(trial)
}

fn terminus_outlives_restart(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.purge()?;
    trial.fill(&[message()])?;
    let source = Source {
        durable: TerminusDurability::UnsettledState,
        expiry_policy: TerminusExpiryPolicy::Never,
        ..Source::at(trial.node())
    };
    let attach = Attach {
        source: Some(Box::new(source)),
        unsettled: Some(Unsettled::new()),
        ..frames::attach_receiver("outlives", 0, trial.node())
    };
    let mut consumer = trial.consumer_with(attach.clone())?;
    let granted = consumer.link.attach.source.as_ref().map(|source| source.durable);
    if granted != Some(TerminusDurability::UnsettledState) {
        return Ok(Outcome::skip("the server grants no such durability"));
    }
    let delivered = consumer.take().map_err(set_up)?;
    let tag: DeliveryTag =
        delivered.transfer.delivery_tag.ok_or_else(|| Stop::SetUp(String::from("the delivery has no delivery-tag")))?;
    drop(consumer);
    trial.restart()?;
    let again = Attach { unsettled: Some([(tag, Value::Null)].into_iter().collect()), ..attach };
    let mut consumer = trial.consumer_with(again)?;
    let is_kept = consumer.link.attach.unsettled.as_ref().is_some_and(|unsettled| unsettled.get(&tag).is_some());
    let outcome =
        if is_kept { Outcome::pass() } else { Outcome::fail("the delivery is not in the server's unsettled map") };
    // Whether the delivery is sent again or not, the next run finds the queue empty and the terminus gone.
    if let Ok(resumed) = consumer.take() {
        consumer.settle(&resumed, DeliveryState::Accepted);
    }
    let link = consumer.link.clone();
    match consumer.connection.detached(&link) {
        Err(unexpected) if outcome.verdict == Verdict::Pass => Err(unexpected.into()),
        _ => Ok(outcome),
    }
}
