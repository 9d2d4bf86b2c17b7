//! Azure IoT Hub over AMQP 1.0 and HTTPS: devices, services and telemetry readers.
//!
//! | client | who | does |
//! |---|---|---|
//! | [`ServiceClient`] | a service | sends messages to devices, reads feedback about them, and which files were uploaded |
//! | [`DeviceClient`] | a device | sends telemetry, receives messages, answers direct methods, keeps its twin |
//! | [`ModuleClient`] | a module of a device | the same, with outputs and inputs |
//! | [`MultiplexedConnection`] | a gateway | many of these on one connection |
//! | [`EventConsumer`] | a service | reads telemetry from the hub's built-in endpoint |
//! | [`EventProcessor`] | several processes of a service | share the partitions of the telemetry, and go on at checkpoints |
//! | `RegistryClient` | a service | devices, modules, twins, queries and direct methods, over HTTPS (feature `rest`) |
//!
//! Each is made from a connection string, as the Azure portal shows it. A hub on one's own machine is named in the same
//! way (`HostName=localhost`), and its certificate authority is given to the builder (`ca_pem`, `ca_file`). Only another
//! port of AMQP than 5671 is named in the string (`HostName=localhost:5672`). Another port of HTTPS than 443 is given to
//! the builder (`https_port`).
//!
//! # What is bounded
//!
//! Every future ends by itself, within the builder's `connect_timeout` or `operation_timeout`, but for the `next` of
//! receivers, which waits for messages for as long as the connection lives, and ends with it.
//!
//! # Tokens
//!
//! With [`Auth::Cbs`] the client renews its token before it expires, on the same connection. If that fails for good,
//! the client ends, and every call says why: it does not go silent.
//!
//! # Errors
//!
//! [`Error::kind`] is what a caller can act on, [`Error::is_retriable`] whether to try again. Reconnecting is the
//! caller's business. Over HTTPS, requests that may be repeated are repeated.
//!
//! # Leaving
//!
//! Settlements are queued. The clients' `close` writes them before it returns; a `main` that returns without it may
//! lose the last ones.
#![forbid(unsafe_code)]

mod caller;
mod connect;
mod credential;
mod device;
mod error;
mod events;
mod lazy;
mod message;
pub mod processor;
mod random;
mod receipt;
#[cfg(feature = "rest")]
pub mod registry;
mod service;
mod stream;
mod time;
mod tokens;

pub use amqp1;

pub use amqp1::{Delivered, auth::sas::SasToken};
pub use credential::{Auth, ProviderError, SasTokenProvider};
pub use device::{
    CloudToDevice, CloudToDeviceReceiver, DesiredChange, DesiredChanges, DeviceClient, DeviceClientBuilder, DeviceTwin,
    InputMessage, InputReceiver, MethodAnswer, MethodCall, MethodHandlers, MethodRequest, Methods, ModuleClient,
    ModuleClientBuilder, MultiplexedConnection, MultiplexedConnectionBuilder, Properties, Telemetry, Twin,
};
pub use error::{Error, ErrorKind, HttpAnswer};
pub use events::{
    AuthMethod, Event, EventConsumer, EventConsumerBuilder, EventHubProperties, EventPosition, EventSource,
    PartitionProperties, PlaceInPartition, UndecodableEvent,
};
pub use message::MessageBody;
pub use processor::EventProcessor;
pub use receipt::SendReceipt;
#[cfg(feature = "rest")]
pub use registry::{RegistryClient, RegistryClientBuilder};
pub use service::{
    Ack, CloudMessage, FeedbackBatch, FeedbackReceiver, FeedbackRecord, FeedbackStatus, FileNotification,
    FileNotificationReceiver, ServiceClient, ServiceClientBuilder,
};
pub use time::to_iso8601;
