//! How long dynamic nodes live (§3.5.10 to §3.5.13).

use super::{
    dynamic::address,
    support::{from_source, set_up, texts},
};
use crate::{
    case::{Case, Check, Need},
    server::{Begun, Consumer, ServerTrial},
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_codec::{
    messaging::{LifetimePolicy, NodeProperties, Source},
    performative::{Detach, Disposition},
};
use amqp1_script::{Link, Refusal, Session, Skip, frames};
use std::{thread, time::Duration};

/// How often a node that should be gone is looked at, since the text does not say how soon it goes.
const LOOKS: u32 = 20;

/// The time between two looks.
const INTERVAL: Duration = Duration::from_millis(100);

const NEEDS: &[Need] = &[Need::DynamicSource];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.5.10-1/closed",
        rule: "A node with delete-on-close goes when the link that it was made for is closed (§3.5.10).",
        sends: "a dynamic source with delete-on-close; a message to the node; detach with closed=true",
        wants: "the address is refused, or the node is empty",
        needs: NEEDS,
        check: Check::Server(|trial| closed(trial, LifetimePolicy::DeleteOnClose, true)),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.10-1/detached",
        rule: "A node with delete-on-close stays while the link that it was made for is only detached (§3.5.10).",
        sends: "a dynamic source with delete-on-close that is kept; a message to the node; detach with closed=false",
        wants: "the message from the node, on another link",
        needs: NEEDS,
        check: Check::Server(detached),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.11-1/in-use",
        rule: "A node with delete-on-no-links stays while a link uses it (§3.5.11).",
        sends: "a dynamic source with delete-on-no-links; another link from the node; detach of the first with closed=true",
        wants: "a message to the node comes on the other link",
        needs: NEEDS,
        check: Check::Server(in_use),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.11-1/gone",
        rule: "A node with delete-on-no-links goes with its last link (§3.5.11).",
        sends: "a dynamic source with delete-on-no-links; a message to the node; detach of each link with closed=true",
        wants: "the address is refused, or the node is empty",
        needs: NEEDS,
        check: Check::Server(|trial| closed(trial, LifetimePolicy::DeleteOnNoLinks, true)),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.12-1/full",
        rule: "A node with delete-on-no-messages stays while it holds a message (§3.5.12).",
        sends: "a dynamic source with delete-on-no-messages; a message to the node; detach of each link with closed=true",
        wants: "the message from the node",
        needs: NEEDS,
        check: Check::Server(|trial| closed(trial, LifetimePolicy::DeleteOnNoMessages, false)),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.12-1/empty",
        rule: "A node with delete-on-no-messages goes when its creator's link is closed and it holds no message (§3.5.12).",
        sends: "a dynamic source with delete-on-no-messages; detach with closed=true; then an attach to the node",
        wants: "the address is refused",
        needs: NEEDS,
        check: Check::Server(|trial| empty(trial, LifetimePolicy::DeleteOnNoMessages)),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.13-1/full",
        rule: "A node with delete-on-no-links-or-messages stays while it holds a message (§3.5.13).",
        sends: "a dynamic source with that policy; a message to the node; detach of each link with closed=true",
        wants: "the message from the node",
        needs: NEEDS,
        check: Check::Server(|trial| closed(trial, LifetimePolicy::DeleteOnNoLinksOrMessages, false)),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.13-1/empty",
        rule: "A node with delete-on-no-links-or-messages goes when it has neither (§3.5.13).",
        sends: "a dynamic source with that policy; detach with closed=true; then an attach to the node",
        wants: "the address is refused",
        needs: NEEDS,
        check: Check::Server(|trial| empty(trial, LifetimePolicy::DeleteOnNoLinksOrMessages)),
        ..Case::SERVER
    },
];

/// A connection with a link from a dynamic node, on handle 0.
struct Made {
    connection: Connection,
    session: Session,
    link: Link,
    address: String,
    sent: u32,
}

/// A link of a name of its own, since a node may be kept for one of the same name.
fn made(trial: &mut ServerTrial<'_>, name: &str, policy: LifetimePolicy, timeout: u32) -> Result<Made, Stop> {
    let properties = NodeProperties::default().with_lifetime_policy(policy);
    let source = Source { dynamic: true, dynamic_node_properties: Some(properties), timeout, ..Source::default() };
    let attached = trial.attached(from_source(name, source))?;
    let granted = attached.link.attach.source.as_ref().and_then(|source| source.dynamic_node_properties.clone());
    // Those in the reply are the node's actual properties (§3.5.3).
    if granted.and_then(|granted| granted.lifetime_policy()) != Some(policy) {
        return Err(Outcome::skip("the server does not say that the node has this lifetime-policy").into());
    }
    let address = address(&attached.link.attach).unwrap_or_default();
    Ok(Made { connection: attached.connection, session: attached.session, link: attached.link, address, sent: 0 })
}

impl Made {
    /// Sends a message to the node on handle 1, and closes that link.
    fn put(&mut self, text: &'static str) -> Result<(), Stop> {
        let sender = set_up(self.connection.attached_sender(&self.session, 1, "sender", &self.address))?;
        set_up(self.connection.credited(&sender))?;
        self.connection.send_with(0, frames::transfer(1, self.sent), frames::message(text));
        self.sent = self.sent.saturating_add(1);
        set_up(self.connection.expect_skipping::<Disposition>(Skip::FLOWS))?;
        set_up(self.connection.detached(&sender))?;
        Ok(())
    }

    /// Closes the link that the node was made for.
    fn close_link(&mut self) -> Result<(), Stop> {
        set_up(self.connection.detached(&self.link)).map(drop)
    }

    /// The texts of the messages that a link from the node finds, on a session of its own; `None` if it is refused.
    fn look(mut self) -> Result<Option<Vec<String>>, Stop> {
        let session = set_up(self.connection.begun(1))?;
        look(self.connection, session, &self.address)
    }
}

/// The texts of the messages that a link from a node finds; `None` if it is refused.
fn look(mut connection: Connection, session: Session, address: &str) -> Result<Option<Vec<String>>, Stop> {
    let found = match connection.attached(&session, frames::attach_receiver("reader", 0, address)) {
        Ok(link) if link.attach.source.is_none() => return Ok(None),
        Ok(link) => Consumer::new(connection, session, link).drain(1),
        Err(unexpected) => Err(unexpected),
    };
    match found {
        Ok(found) => Ok(Some(texts(&found))),
        Err(unexpected) if Refusal::of(&unexpected.got).is_some() => Ok(None),
        Err(unexpected) => Err(unexpected.into()),
    }
}

/// Puts a message into the node and closes its links; then the message is gone, or not.
fn closed(trial: &mut ServerTrial<'_>, policy: LifetimePolicy, is_gone: bool) -> Result<Outcome, Stop> {
    let mut made = made(trial, &format!("closed-{policy:?}"), policy, 0)?;
    made.put("left")?;
    made.close_link()?;
    let address = made.address.clone();
    let mut found = made.look()?;
    for _ in 1..LOOKS {
        if !is_gone || found.as_ref().is_none_or(Vec::is_empty) {
            break;
        }
        thread::sleep(INTERVAL);
        let Begun { connection, session, .. } = trial.begun()?;
        found = look(connection, session, &address)?;
    }
    Ok(match (found.as_deref(), is_gone) {
        (None, true) => Outcome::pass_with("the address is refused"),
        (Some([]), true) => Outcome::pass_with("another node has the address, and is empty"),
        (Some(found), true) => Outcome::fail(format!("the node still holds {found:?}")),
        (Some([text]), false) if text == "left" => Outcome::pass(),
        (Some(_), false) => Outcome::fail("the message is gone"),
        (None, false) => Outcome::fail("the node is gone, though it holds a message"),
    })
}

/// Closes the link of an empty node: its address does not exist any more.
fn empty(trial: &mut ServerTrial<'_>, policy: LifetimePolicy) -> Result<Outcome, Stop> {
    let mut made = made(trial, &format!("empty-{policy:?}"), policy, 0)?;
    let address = made.address.clone();
    let Begun { connection, session, .. } = trial.begun()?;
    if look(connection, session, &format!("{address}-never-made"))?.is_some() {
        return Ok(Outcome::skip(
            "the server makes a node for any address: it does not show whether the first one is gone",
        ));
    }
    made.close_link()?;
    for _ in 0..LOOKS {
        let Begun { connection, session, .. } = trial.begun()?;
        if look(connection, session, &address)?.is_none() {
            return Ok(Outcome::pass());
        }
        thread::sleep(INTERVAL);
    }
    Ok(Outcome::fail("the node is still there, though it holds no message and its link is closed"))
}

fn detached(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut made = made(trial, "detached", LifetimePolicy::DeleteOnClose, 60)?;
    made.put("kept")?;
    made.connection.send(0, Detach { closed: false, ..frames::detach(0) });
    set_up(made.connection.expect_skipping::<Detach>(Skip::CHATTER))?;
    match made.look()?.as_deref() {
        Some([text]) if text == "kept" => Ok(Outcome::pass()),
        Some(_) => Ok(Outcome::fail("the message is gone")),
        None => Ok(Outcome::fail("the node is gone, though its link is only detached")),
    }
}

fn in_use(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut made = made(trial, "in-use", LifetimePolicy::DeleteOnNoLinks, 0)?;
    let other = set_up(made.connection.attached_receiver(&made.session, 2, "other", &made.address))?;
    made.close_link()?;
    made.put("for the other")?;
    let mut consumer = Consumer::new(made.connection, made.session, other);
    let got = texts(&[consumer.take()?]);
    if got == ["for the other"] { Ok(Outcome::pass()) } else { Ok(Outcome::fail(format!("got {got:?}"))) }
}
