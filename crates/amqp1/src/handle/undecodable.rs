//! Messages that are not handed over because the receiver wants none that cannot be decoded.

use crate::{
    handle::receiver::Receiver,
    state::{ids::LinkKey, shared::State},
    types::error::{Error, ErrorKind},
};
use amqp1_codec::{DecodeError, DeliveryTag};

/// How many characters of a link's name are logged.
const NAME: usize = 64;

impl State {
    pub(crate) fn on_undecodable(&mut self, id: LinkKey, tag: DeliveryTag, error: DecodeError) {
        if let Some(link) = self.links.get_mut(&id) {
            link.undecodable = link.undecodable.saturating_add(1);
        }
        let name = self.engine.link(id).map(|link| link.name().chars().take(NAME).collect::<String>());
        let name = name.unwrap_or_default();
        self.warnings.push(format!("a message on link {name:?} was rejected (reject_undecodable): {error}; {tag:?}"));
    }
}

impl Receiver {
    /// How many messages were rejected, or dropped, because they could not be decoded and the receiver
    /// [asks for that](crate::link::ReceiverBuilder::reject_undecodable). They are not handed over.
    pub fn undecodable(&self) -> u64 {
        let id = self.handle().id;
        self.handle().shared.look(|state| state.links.get(&id).map_or(0, |link| link.undecodable))
    }
}

/// A message in pieces is handed over before it can be checked.
pub(crate) fn check(streamed: bool, rejects: bool) -> Result<(), Error> {
    let text = "a link whose messages are received piece by piece cannot reject those that cannot be decoded";
    if streamed && rejects { Err(Error::new(ErrorKind::Config, text)) } else { Ok(()) }
}
