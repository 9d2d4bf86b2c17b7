//! Addresses, filters and other agreements of particular brokers and services.
//!
//! AMQP leaves to each broker what an address means and which filters it has. A module for each has what it wants, under
//! the names of its own documentation:
//!
//! | module | for |
//! |---|---|
//! | [`artemis`] | Apache ActiveMQ Artemis |
//! | [`event_hubs`] | Azure Event Hubs |
//! | [`rabbitmq`] | RabbitMQ 4; RabbitMQ 3 with its plug-in |
//! | [`service_bus`] | Azure Service Bus |
//!
//! ```no_run
//! # async fn example(session: amqp1::Session) -> Result<(), amqp1::Error> {
//! use amqp1::brokers::rabbitmq::{self, Offset};
//!
//! let stream = rabbitmq::queue("page views");
//! let mut views = session.receiver(stream).filter(rabbitmq::stream_offset(Offset::First)).attach().await?;
//! # Ok(()) }
//! ```

pub mod artemis;
pub mod event_hubs;
pub mod rabbitmq;
pub mod service_bus;
