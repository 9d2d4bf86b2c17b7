//! How a link is suspended.

use crate::{
    handle::counted::LinkHandle,
    state::{
        link::LinkState,
        suspended::{Left, Modes, Shelf},
        wait::within,
    },
    types::error::{Error, ErrorKind},
};
use amqp1_codec::Str;

impl LinkState {
    /// The state of the link, to be taken once.
    fn take_left(&mut self) -> Option<Left> {
        let part = self.resume.as_mut()?;
        let kept = part.kept.take()?;
        Some(Left { kept, undelivered: std::mem::take(&mut self.undelivered), late: part.late.clone() })
    }
}

impl LinkHandle {
    /// Detaches the link unless it is over, and gives what it leaves, with its name and modes.
    pub(crate) async fn suspend(&self) -> Result<(Str, Modes, Shelf), Error> {
        let id = self.id;
        let part = self.shared.look(|state| {
            let part = state.links.get(&id)?.resume.as_ref()?;
            Some((part.name.clone(), part.modes))
        });
        let Some((name, modes)) = part else {
            return Err(Error::new(ErrorKind::Config, "the link was not attached as one that can be resumed"));
        };
        // It may be over already; then that counts.
        let _ = self.shared.command(|state, _| state.engine.link(id).and_then(|mut link| link.detach(false, None)));
        let detached =
            within(&self.shared, self.timeout(), "detaching a link", async { Ok(self.detached().await) }).await?;
        let left = self.shared.command(|state, _| state.links.get_mut(&id).and_then(|link| link.take_left()))?;
        match left {
            Some(left) => Ok((name, modes, Shelf::of(left))),
            None if detached.closed => {
                let error = Error::new(ErrorKind::LinkDetached, "the link was closed, and has left nothing");
                Err(error.with_amqp(detached.error))
            }
            None => Err(Error::new(ErrorKind::LinkDetached, "nothing is left of the link, or it was asked for before")),
        }
    }
}
