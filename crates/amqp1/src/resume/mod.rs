//! Links that outlive their endpoints (§2.6.13, §3.4.6): what one endpoint leaves, and the next one goes on with.
//!
//! A link that is attached as [`resumable`](crate::link::SenderBuilder::resumable) keeps what is not settled when it is
//! suspended: because it is detached without being closed, or because its session or its connection ends.
//! [`Sender::suspend`](crate::Sender::suspend) and [`Receiver::suspend`](crate::Receiver::suspend) give what is left,
//! whichever of these it was; [`SenderBuilder::resume`](crate::link::SenderBuilder::resume) and
//! [`ReceiverBuilder::resume`](crate::link::ReceiverBuilder::resume) attach the link again under its name, on a session of the
//! same connection or of another one. Both ends then tell each other what they know, and each delivery is sent again,
//! gone on with, settled or dropped, as follows from that.
//!
//! ```no_run
//! use amqp1::{Client, ErrorKind, resume::SuspendedSender};
//!
//! # async fn example() -> Result<(), amqp1::Error> {
//! let connection = Client::builder("amqp://broker").connect().await?;
//! let session = connection.begin().await?;
//! let sender = session.sender("orders").resumable(true).attach().await?;
//!
//! let Err(error) = sender.send("an order").await else { return Ok(()) };
//! if error.kind() != ErrorKind::Suspended {
//!     return Err(error);
//! }
//! // Not to be sent again by hand: it is kept, and goes on with the link.
//! let left: SuspendedSender = sender.suspend().await?;
//! let connection = Client::builder("amqp://broker").connect().await?;
//! let session = connection.begin().await?;
//! // What fails here leaves `left` as it was, for another try.
//! let sender = session.sender("orders").resume(&left).attach().await?;
//! for (delivery, receipt) in sender.resumed() {
//!     println!("{:?}: {:?}", delivery.tag, receipt.await?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The accepting end
//!
//! Both ends must keep what is not settled. Where the other end does not, as with
//! [`accept_default`](crate::IncomingLink::accept_default), all is sent again as new when the link is resumed; that the
//! peer's attach has no [`unsettled`](amqp1_codec::performative::Attach) map then says so
//! ([`Sender::remote_attach`](crate::Sender::remote_attach)). An acceptor accepts the link as resumable,
//! keeps what [`suspend`](crate::Receiver::suspend) gives by the name of the link, and goes on with it when a link of that
//! name [is resumed](crate::IncomingLink::is_resumed), or with nothing, if it knows of nothing:
//!
//! ```
//! use amqp1::{Error, acceptor::ReceiverRequest, resume::SuspendedReceiver};
//! use std::collections::HashMap;
//!
//! /// Serves a link on which the client sends; `kept` are links by their names, those of each client apart.
//! async fn serve(link: ReceiverRequest, kept: &mut HashMap<String, SuspendedReceiver>) -> Result<(), Error> {
//!     let name = link.attach().name.to_string();
//!     let left = kept.remove(&name).unwrap_or_else(|| SuspendedReceiver::new(name.as_str()));
//!     // What was processed before the link was suspended is not to be processed again.
//!     let taken: Vec<_> = left.deliveries().into_iter().filter(|kept| kept.taken).map(|kept| kept.tag).collect();
//!     let link = if link.is_resumed() { link.resume(&left) } else { link.resumable(true) };
//!     let mut receiver = link.accept()?;
//!     while let Ok(Some(delivery)) = receiver.recv().await {
//!         if !(delivery.is_resumed() && taken.contains(&delivery.tag())) {
//!             println!("{:?}", delivery.message().data());
//!         }
//!         // If it cannot be said any more, it is said when the link is resumed.
//!         let _ = delivery.accept();
//!     }
//!     if let Ok(left) = receiver.suspend().await {
//!         kept.insert(name, left);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! A client may be back before its old connection is known to be dead. Close that one first
//! ([`Connection::close_with`](crate::Connection::close_with)), and suspend the old endpoint; then there is something to go
//! on with.
//!
//! # Messages on their way
//!
//! A [`Receipt`](crate::Receipt) or a `send` that is under way when the link is suspended ends with
//! [`ErrorKind::Suspended`](crate::ErrorKind::Suspended) and [`Delivered::Unknown`](crate::Delivered): the receiver may
//! have the message, and if not, it is sent again when the link is resumed. That is so of messages that were queued and
//! of which nothing had left as well. Their outcomes come from [`Sender::resumed`](crate::Sender::resumed). Of a message
//! that was streamed nothing is kept to be sent again; its outcome still comes if the receiver has all of it.
//!
//! A message that was posted within a transaction does not outlive its endpoint: its receipts end as those of other
//! links, and it is not sent again.
//!
//! # Messages received
//!
//! A [`Delivery`](crate::Delivery) of a link that is suspended cannot be settled any more: doing so fails, and dropping it
//! says nothing to anyone. The delivery comes again at the next endpoint, with the same tag, and
//! [`Delivery::is_resumed`](crate::Delivery::is_resumed) says so. What has been decided about it meanwhile can be said in
//! advance with [`SuspendedReceiver::settle`]; then it does not come again. With
//! [`ReceiverSettleMode::Second`](crate::link::ReceiverSettleMode) no message arrives twice as a new one; with `First` the
//! receiver forgets what it has settled, and one whose settlement was lost comes again.
//!
//! # When there is too much to tell
//!
//! The unsettled map may not fit into one attach (§2.7.3, incomplete-unsettled). The sender then sorts out what both
//! ends could name, and sends nothing new. When that is done, everything that waits on it, what `resumed` gave included,
//! ends with [`ErrorKind::Suspended`](crate::ErrorKind::Suspended) and
//! [`Retry::ReopenLink`](crate::Retry::ReopenLink): suspend the link and resume it once more, as often as it says so. The
//! receiving end sees its link detached, and does likewise.
//!
//! # Ends that leave nothing
//!
//! A link that is closed, by either end, leaves nothing, and [`suspend`](crate::Sender::suspend) says so; its deliveries
//! are lost as those of any link. So is what a link has left whose last handle is dropped without `suspend`, and what is
//! on a connection whose runtime is shut down before it is closed.

mod accepting;
mod receiver;
mod sender;
mod suspending;
#[cfg(test)]
mod tests;

pub use receiver::{ReceiverDelivery, SuspendedReceiver};
pub use sender::{SenderDelivery, SuspendedSender};
