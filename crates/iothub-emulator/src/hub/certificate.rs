//! Client certificates: what the hub compares with what it has registered.

use super::clock::UnixMillis;

/// The certificate that a client has shown, and whose private key it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The SHA-1 of the certificate's DER encoding, in upper-case hexadecimal digits.
    pub sha1: String,
    /// The SHA-256 of the same.
    pub sha256: String,
    /// The common name of its subject; `None` if it has none, or more than one.
    pub common_name: Option<String>,
    /// From when to when it is valid; `None` if that cannot be read.
    pub validity: Option<(UnixMillis, UnixMillis)>,
    /// Whether an authority that was given to the hub has issued it. The error says why not.
    pub issued: Result<(), String>,
}
