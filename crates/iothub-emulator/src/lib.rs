//! An Azure IoT hub on your own machine, over AMQP 1.0, WebSockets and HTTPS: for tests, demonstrations, and work without a network.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use iothub_emulator::Emulator;
//!
//! let hub = Emulator::builder().device("dev1", "c2VjcmV0IG9mIGRldjE=").start().await?;
//! println!("{}", hub.service_connection_string());
//! println!("{:?}", hub.device_connection_string("dev1"));
//! // What the clients of `iothub` have to trust: `.ca_pem(hub.ca_pem())?` of their builders.
//! println!("{}", hub.ca_pem());
//! hub.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What it does
//!
//! Cloud-to-device messages with locks, delivery counts, expiry and feedback; telemetry in partitions, read through
//! the link redirect or at the Event-Hubs-compatible endpoint, with selector filters, epochs and `$management`.
//! Devices and modules with twins: tags, desired and reported properties with versions, metadata and limits; a device
//! reads its twin, reports, and is sent the changes of desired properties. Authentication is checked for real: SAS tokens
//! by SASL PLAIN and by claims-based security, for hub policies, devices and modules, until they expire; or the certificate of a device or module.
//!
//! The service calls direct methods of devices and modules over HTTPS, tests with [`Emulator::invoke_method`]. A device is
//! called once it has attached both of its links for methods.
//!
//! A module receives what [`Emulator::send_input`] puts at its inputs; no module's output goes to another's input, which is
//! what IoT Edge does.
//!
//! Where a device or module attaches a link on another connection, all of its older links are detached with
//! `com.microsoft:link-creation-conflict`. The older connection is closed when it serves nothing else. Several links on one
//! connection are left alone.
//!
//! Twins are queried as on the service: conditions, columns, aggregates, groups and pages, over devices and modules. The
//! service's index is behind by seconds to minutes; here an answer is of this instant. See [`hub::query`].
//!
//! Devices upload files by HTTPS: into the memory of the emulator, within a limit, or into a container that is named
//! ([`hub::FileUploadSettings`]). The service is notified over AMQP, and a test reads a file by [`Emulator::uploaded_file`].
//!
//! Events of the hub itself appear at the built-in endpoint where [`hub::EventSettings`] says so: devices and modules that
//! connect, disconnect, are registered or removed, and twins that change.
//!
//! With a tier ([`hub::Settings::scale`]) telemetry, cloud-to-device messages, methods, twins, queries, the registry and new
//! connections have the rates and the daily quota of a hub of that tier. What comes too fast is put off, up to 5 s, and refused
//! then: over AMQP with `com.microsoft:device-container-throttled`, over HTTPS with 429. Without a tier nothing is bounded.
//!
//! # X.509
//!
//! Clients may show a certificate in the handshake of TLS, of any issuer; that they have its key is checked there. A device
//! or module of type `selfSigned` is matched by the SHA-1 or SHA-256 of the certificate; one of type
//! `certificateAuthority` by a chain to an authority of [`EmulatorBuilder::device_ca_pem`] and the common name `{device}` or
//! `{device}/{module}`. Such a connection needs no SASL and takes no tokens. It serves one identity. A certificate that is
//! expired, not valid yet, unknown, or of another identity is refused at the first link or request, with the reason.
//!
//! # HTTPS
//!
//! One listener ([`Emulator::https_addr`]) serves REST and both WebSocket paths, `/$iothub/websocket` and
//! `/$servicebus/websocket`, which carry AMQP. REST covers devices and modules, twins, statistics, the purge of messages, and
//! a device's telemetry, messages and files, queries, bulk changes, and the calls of direct methods. Each route asks for the right that the service asks for. Any dated `api-version` is
//! answered alike. Jobs, configurations, digital twins, import and export are answered with 501.
//!
//! An entity tag in `If-Match` is compared if it is in quotes. The service ignores one without quotes, and so does the
//! emulator, with a line in the log; [`hub::HttpsSettings`] changes that.
//!
//! # Refusals
//!
//! Each refusal is logged in one line at the level `WARN`: who, from where, to which resource, and why.
//!
//! # How it is built
//!
//! [`hub`] is the hub without IO and without a clock. The front accepts connections with [`amqp1`] and calls the hub
//! for every attach and every delivery; each link is one task. HTTPS is served by `axum`. Everything lives in memory.
#![forbid(unsafe_code)]

mod builder;
mod ca;
mod clock;
mod connection_strings;
mod emulator;
mod error;
mod front;
mod grants;
pub mod hub;
mod listen;
mod messages;
mod policy_keys;
mod rest;
mod shared;
mod signal;
mod tls;
mod token;
mod x509;

pub use builder::EmulatorBuilder;
pub use ca::CaError;
pub use clock::{BoxFuture, Clock, ManualClock, SystemClock};
pub use emulator::Emulator;
pub use error::{DeviceError, StartError};
pub use x509::DeviceCaError;
