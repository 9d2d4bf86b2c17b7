//! Shared access signatures: tokens that prove the knowledge of a key without showing it.
//!
//! A token reads `SharedAccessSignature sr=<resource>&sig=<signature>&se=<expiry>[&skn=<policy>]`, its fields in any
//! order. The signature is the HMAC-SHA256 of `<resource>\n<expiry>`, the resource *exactly as it stands in the
//! token*: the official SDKs percent-encode it in different ways, so a verifier must not decode and encode
//! it again.
//!
//! The octets of the HMAC key differ too. IoT Hub decodes a policy's or a device's key from base64; Event
//! Hubs and Service Bus take the very text of it. [`SharedAccessKey`] is the text and gives either [`SasKey`].

mod audience;
mod error;
mod key;
mod percent;
mod signature;
mod token;

pub use self::audience::covers;
pub use self::error::SasError;
pub use self::key::SharedAccessKey;
pub use self::percent::{PercentEncoding, PercentError, percent_decode};
pub use self::signature::SasKey;
pub use self::token::{MAX_TOKEN, SasToken};
