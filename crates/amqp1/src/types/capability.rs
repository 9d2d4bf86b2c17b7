//! Extensions that are agreed on in open and attach.

use amqp1_codec::Symbol;

/// A sender without a target address, whose messages go where their `to` says. A container that takes such links offers
/// this in its open.
pub const ANONYMOUS_RELAY: Symbol = Symbol::from_static("ANONYMOUS-RELAY");

/// A dynamic node that goes with the link that had it made. RabbitMQ makes nodes for links only that ask for this.
pub const TEMPORARY_QUEUE: Symbol = Symbol::from_static("temporary-queue");

/// A place for answers that is not a queue: see
/// [`RequesterBuilder::direct_reply_to`](crate::request::RequesterBuilder::direct_reply_to).
pub const VOLATILE_QUEUE: Symbol = Symbol::from_static("rabbitmq:volatile-queue");

/// Pairs of links, one each way and both of one name, for requests and their answers. It stands in the open of both.
pub const LINK_PAIR: Symbol = Symbol::from_static("LINK_PAIR_V1_0");
