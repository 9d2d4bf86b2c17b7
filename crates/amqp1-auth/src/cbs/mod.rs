//! Claims-based security: tokens put to the node `$cbs`, and kept fresh.
//!
//! A client attaches a sender and a receiver to [`ADDRESS`], sends a [`PutToken`] request for each audience and waits
//! for the [`Reply`] whose correlation-id is the request's message-id. From then on links to that audience may be
//! attached, until the token expires; a [`Renewal`] says when to put the next one. It makes no difference whether the
//! SASL layer before it was MSSBCBS, ANONYMOUS or absent.
//!
//! A server reads each message to the node with [`Request::parse`], which gives an answerable request also where the
//! operation is not understood, and answers with a [`Reply`] on the link that [`reply_link`] chooses.
//!
//! ```
//! use amqp1_auth::cbs::{PutToken, Reply, Request};
//! use amqp1_codec::{EncodeStyle, Message, messaging::MessageId};
//!
//! # fn carry(message: amqp1_codec::EncodedMessage) -> Message {
//! #     Message::from_chunks(message.into_parts()).expect("our own message")
//! # }
//! let id = MessageId::from(7);
//! let sent = PutToken::sas("hub.example", "SharedAccessSignature sr=…").encode(&id, EncodeStyle::Compact);
//!
//! let request = Request::parse(&carry(sent));
//! let put = request.operation.as_ref().expect("a put-token request");
//! assert_eq!(put.name(), "hub.example");
//! let answer = Reply::accepted().encode(&request, EncodeStyle::Full);
//!
//! let reply = Reply::parse(&carry(answer))?;
//! assert!(reply.answers(&id));
//! reply.outcome()?;
//! # Ok::<(), amqp1_auth::cbs::CbsError>(())
//! ```

mod error;
mod node;
mod renewal;
mod reply;
mod request;

pub use self::error::{CbsError, RequestError};
pub use self::node::{ADDRESS, is_address, reply_link};
pub use self::renewal::{Action, Clocks, Refusal, Renewal, RenewalPolicy, RenewalState};
pub use self::reply::Reply;
pub use self::request::{PutToken, Request, TokenType};

const OPERATION: &str = "operation";
const PUT_TOKEN: &str = "put-token";
const TYPE: &str = "type";
const NAME: &str = "name";
const EXPIRATION: &str = "expiration";
