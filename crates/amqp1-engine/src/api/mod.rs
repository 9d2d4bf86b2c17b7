//! The parts of a connection, as an application reaches them: one look-up, then the commands and the state of that part.

mod link;
mod receiver;
mod sender;
mod session;
mod unsent;

pub use link::Link;
pub use receiver::Receiver;
pub use sender::Sender;
pub use session::Session;
pub use unsent::Unsent;

use crate::{
    Connection,
    error::ApiMisuse,
    store::{LinkId, SessionId},
};
use amqp1_codec::definitions::Role;

impl Connection {
    /// Looks up a session.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::UnknownSession`] if there is no such session, or it is over. Its
    /// [`Event::SessionEnded`](crate::Event::SessionEnded) may not have been polled yet.
    #[inline]
    pub fn session(&mut self, id: SessionId) -> Result<Session<'_>, ApiMisuse> {
        if !self.has_session(id) {
            return Err(ApiMisuse::UnknownSession);
        }
        Ok(Session { connection: self, id })
    }

    /// Looks up a link of either role.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::UnknownLink`] if there is no such link, or it is over. Its
    /// [`Event::LinkDetached`](crate::Event::LinkDetached) may not have been polled yet.
    #[inline]
    pub fn link(&mut self, id: LinkId) -> Result<Link<'_>, ApiMisuse> {
        let (role, session) = self.find_link(id).ok_or(ApiMisuse::UnknownLink)?;
        Ok(Link { connection: self, id, role, session })
    }

    /// Looks up a link on which this end sends.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::UnknownLink`] as for [`link`](Self::link); [`ApiMisuse::WrongRole`] if this end receives.
    #[inline]
    pub fn sender(&mut self, id: LinkId) -> Result<Sender<'_>, ApiMisuse> {
        match self.find_link(id) {
            Some((Role::Sender, _)) => Ok(Sender { connection: self, id }),
            Some((Role::Receiver, _)) => Err(ApiMisuse::WrongRole),
            None => Err(ApiMisuse::UnknownLink),
        }
    }

    /// Looks up a link on which this end receives.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::UnknownLink`] as for [`link`](Self::link); [`ApiMisuse::WrongRole`] if this end sends.
    #[inline]
    pub fn receiver(&mut self, id: LinkId) -> Result<Receiver<'_>, ApiMisuse> {
        match self.find_link(id) {
            Some((Role::Receiver, _)) => Ok(Receiver { connection: self, id }),
            Some((Role::Sender, _)) => Err(ApiMisuse::WrongRole),
            None => Err(ApiMisuse::UnknownLink),
        }
    }
}
