//! Which of a client's links belong together.

use super::{builder::PAIRED, responder::Responder};
use crate::{
    handle::{
        requests::{AcceptedLink, IncomingLink},
        session::Session,
    },
    types::{error::Error, names},
};
use amqp1_codec::{
    Str, Symbol, Value,
    definitions::{AmqpError, ErrorCondition, Role},
    messaging::Source,
    performative::TargetArchetype,
};

/// Accepts the links of clients that ask, and makes a [`Responder`] of each two that belong together: one each way in
/// one session, and of one name if they are said to be `paired`
/// ([`LINK_PAIR`](crate::link::capability::LINK_PAIR)); otherwise both with the same address at this end, or with a node for
/// the answers that is to be made (§3.5.3), which gets an address here. Where several would do, as with two requesters
/// of one node in one session, those come first that have one name, and then those with the same address at the client's
/// end.
///
/// It is for the links of one connection, those to nodes that answer; which links these are is for the caller to say.
#[derive(Debug, Default)]
pub struct Pairing {
    halves: Vec<Half>,
}

/// A link whose counterpart did not come yet.
#[derive(Debug)]
struct Half {
    session: Session,
    name: Str,
    /// `None` for a node that was to be made.
    address: Option<Str>,
    /// The client's end.
    there: Option<Str>,
    paired: bool,
    link: AcceptedLink,
}

impl Half {
    fn is_over(&self) -> bool {
        match &self.link {
            AcceptedLink::Sender(sender) => sender.handle().is_over(),
            AcceptedLink::Receiver(receiver) => receiver.handle().is_over(),
        }
    }

    fn role(&self) -> Role {
        match &self.link {
            AcceptedLink::Sender(_) => Role::Sender,
            AcceptedLink::Receiver(_) => Role::Receiver,
        }
    }

    fn belongs_to(&self, other: &Self) -> bool {
        let named = self.name == other.name;
        let at = self.address == other.address || self.address.is_none() || other.address.is_none();
        let alike = if self.paired { named } else { at };
        self.role() != other.role() && self.session == other.session && self.paired == other.paired && alike
    }

    /// How likely it is that two that may belong together do.
    fn likeness(&self, other: &Self) -> u8 {
        let at = self.there.is_some() && self.there == other.there;
        if self.name == other.name { 2 } else { u8::from(at) }
    }
}

/// Why a link is none that asks or answers: requests go to a node that has a name.
fn stranger(link: &IncomingLink) -> Option<AmqpError> {
    let attach = link.attach();
    if matches!(link, IncomingLink::Coordinator(_)) {
        return Some(AmqpError::new(ErrorCondition::NOT_IMPLEMENTED, "there are no transactions here"));
    }
    let nameless = attach.role == Role::Sender && link.address().is_none();
    nameless.then(|| AmqpError::new(ErrorCondition::NOT_ALLOWED, "requests go to a node that they name"))
}

impl Pairing {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts a link. If it is the second of two, they are a responder. Links to a coordinator, and those on which
    /// messages come that are for no node, are refused.
    ///
    /// # Errors
    ///
    /// If the link has ended meanwhile.
    pub fn accept(&mut self, link: IncomingLink) -> Result<Option<Responder>, Error> {
        self.halves.retain(|half| !half.is_over());
        if let Some(why) = stranger(&link) {
            link.reject(why);
            return Ok(None);
        }
        let session = link.session();
        let attach = link.attach();
        let name = attach.name.to_detached();
        let paired =
            matches!(attach.properties.as_ref().and_then(|fields| fields.get(PAIRED)), Some(Value::Boolean(true)));
        let address = link.address().map(Str::from);
        let there = match attach.role {
            Role::Sender => attach.source.as_ref().and_then(|source| source.address.as_ref()),
            Role::Receiver => {
                let target = attach.target.as_ref().and_then(TargetArchetype::as_target);
                target.and_then(|target| target.address.as_ref())
            }
        };
        let there = there.map(Str::to_detached);
        let link = match link {
            IncomingLink::Sender(mut request) => {
                if let (true, Some(granted)) = (request.is_dynamic(), request.granted_source().cloned()) {
                    // Messages to it are sent on this link: there is nothing to create.
                    let source = Source { dynamic: true, address: Some(names::link("answers")), ..granted };
                    request = request.source(source);
                }
                let request = if paired { request.property(Symbol::from_static(PAIRED), true) } else { request };
                AcceptedLink::Sender(request.accept()?)
            }
            IncomingLink::Receiver(request) => {
                let request = if paired { request.property(Symbol::from_static(PAIRED), true) } else { request };
                AcceptedLink::Receiver(request.accept()?)
            }
            other => other.accept_default()?,
        };
        let half = Half { session, name, address, there, paired, link };
        // The first of those that are most alike.
        let fits = self.halves.iter().enumerate().rev().filter(|(_, other)| other.belongs_to(&half));
        let place = fits.max_by_key(|(_, other)| other.likeness(&half)).map(|(place, _)| place);
        match place {
            Some(place) => Ok(responder(self.halves.remove(place).link, half.link)),
            None => {
                self.halves.push(half);
                Ok(None)
            }
        }
    }
}

fn responder(one: AcceptedLink, other: AcceptedLink) -> Option<Responder> {
    match (one, other) {
        (AcceptedLink::Receiver(requests), AcceptedLink::Sender(answers))
        | (AcceptedLink::Sender(answers), AcceptedLink::Receiver(requests)) => Some(Responder::new(requests, answers)),
        _ => None,
    }
}
