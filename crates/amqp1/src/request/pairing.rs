//! Which of a client's links belong together.

use super::{builder::PAIRED, responder::Responder};
use crate::{
    error::Error,
    incoming::{AcceptedLink, IncomingLink},
    names,
    session::Session,
};
use amqp1_codec::{Str, Symbol, Value, definitions::Role};

/// Accepts the links of clients that ask, and makes a [`Responder`] of each two that belong together: one each way in
/// one session, and of one name if they are said to be `paired`
/// ([`LINK_PAIR`](crate::capability::LINK_PAIR)); otherwise both with the same address at this end, or with a node for
/// the answers that is to be made (§3.5.3), which gets an address here.
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
}

impl Pairing {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts a link. If it is the second of two, they are a responder.
    ///
    /// # Errors
    ///
    /// If the link has ended meanwhile.
    pub fn accept(&mut self, link: IncomingLink) -> Result<Option<Responder>, Error> {
        self.halves.retain(|half| !half.is_over());
        let session = link.session();
        let attach = link.attach();
        let name = attach.name.to_detached();
        let paired =
            matches!(attach.properties.as_ref().and_then(|fields| fields.get(PAIRED)), Some(Value::Boolean(true)));
        let address = link.address().map(Str::from);
        let mut reply = link.reply();
        if paired {
            reply.properties.insert(Symbol::from_static(PAIRED), true);
        }
        if let (Role::Receiver, Some(source)) = (attach.role, &mut reply.source) {
            if source.dynamic {
                source.address = Some(names::link("answers"));
            }
        }
        let half = Half { session, name, address, paired, link: link.accept(reply)? };
        match self.halves.iter().position(|other| other.belongs_to(&half)) {
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
