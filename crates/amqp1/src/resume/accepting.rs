//! The acceptor's side: links that clients resume.

use super::{SuspendedReceiver, SuspendedSender};
use crate::handle::requests::{ReceiverRequest, SenderRequest};

impl SenderRequest {
    /// Goes on with what an earlier endpoint of the link has left, and makes the link resumable. The outcomes come from
    /// [`Sender::resumed`](crate::Sender::resumed). What was left of a link of another name is an error of
    /// [`accept`](Self::accept).
    pub fn resume(self, left: &SuspendedSender) -> Self {
        self.go_on(left.name(), left.shelf.clone())
    }
}

impl ReceiverRequest {
    /// Goes on with what an earlier endpoint of the link has left, in the receiver-settle-mode that it had, and makes the
    /// link resumable. What was left of a link of another name is an error of [`accept`](Self::accept).
    pub fn resume(self, left: &SuspendedReceiver) -> Self {
        let this = self.go_on(left.name(), left.shelf.clone());
        match left.modes {
            Some(modes) => this.receiver_settle_mode(modes.receiver),
            None => this,
        }
    }
}
