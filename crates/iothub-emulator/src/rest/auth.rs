//! Who may do what: tokens in `Authorization`, by route and right.
//!
//! A handler names the right that it needs by an argument of the type of that name. The argument cannot be made without a
//! token that has the right and covers the path, so a handler is not reached otherwise. It also checks the API version, and
//! waits where a hub of a tier would.

use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use super::Rest;
use super::errors::Failure;
use super::path::Segments;
use super::server::Connection;
use super::throttle::operation_of;
use crate::hub::{
    AuthError, CertificateRefusal, DeviceId, ErrorCode, Grant, Identity, IdentityId, ModuleId, Operation, Rights,
};
use crate::token::{Presented, TokenError, claim, verify};

/// Whose token a request has shown, or whose a refused one claims to be, for the log. Clones are of the same request.
#[derive(Clone, Debug, Default)]
pub(super) struct Who(Arc<OnceLock<String>>);

impl Who {
    fn set(&self, who: impl ToString) {
        self.0.get_or_init(|| who.to_string());
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.get().map_or("unknown", String::as_str)
    }
}

macro_rules! rights {
    ($( $(#[$doc:meta])* $name:ident: $right:ident, )*) => { $(
        $(#[$doc])*
        #[allow(dead_code, reason = "not every route looks at who asked")]
        pub(super) struct $name(pub(super) Grant);

        impl FromRequestParts<Rest> for $name {
            type Rejection = Failure;

            async fn from_request_parts(parts: &mut Parts, rest: &Rest) -> Result<Self, Failure> {
                let grant = authorize(parts, rest, Rights::$right)?;
                pace(parts, rest).await?;
                Ok(Self(grant))
            }
        }
    )* };
}

rights! {
    /// Reads the registry of devices and modules.
    RegistryRead: REGISTRY_READ,
    /// Changes the registry.
    RegistryWrite: REGISTRY_READ_WRITE,
    /// Uses twins, queries, methods, purge and feedback.
    ServiceConnect: SERVICE_CONNECT,
    /// Acts as a device: with its own key, or with that of a policy for devices.
    DeviceConnect: DEVICE_CONNECT,
    /// Has a valid token for this path, whatever its rights are.
    AnyRight: NONE,
}

fn authorize(parts: &Parts, rest: &Rest, needed: Rights) -> Result<Grant, Failure> {
    check_version(parts)?;
    if let Some(by_certificate) = certificate_grant(parts, rest, needed) {
        return by_certificate;
    }
    let header = parts.headers.get(header::AUTHORIZATION).ok_or_else(|| {
        Failure::new(
            ErrorCode::IotHubUnauthorized,
            "the Authorization header is missing: send a shared access signature",
        )
    })?;
    let token = header.to_str().unwrap_or_default().trim();
    if token.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("Bearer ")) {
        let text = "this hub takes shared access signatures only, not tokens of Microsoft Entra ID";
        return Err(Failure::new(ErrorCode::IotHubUnauthorized, text));
    }
    let verified = rest.shared.hub(|hub, now| verify(hub, now, Presented::Cbs, token));
    let who = parts.extensions.get::<Who>();
    let verified = verified.map_err(|error| {
        if let (Some(who), Some(claim)) = (who, claim(token)) {
            who.set(claim);
        }
        refused(error)
    })?;
    if let Some(who) = who {
        who.set(verified.grant.signer());
    }
    let path = parts.extensions.get::<Segments>().map(Segments::as_strs).unwrap_or_default();
    let grant = verified.grant;
    if !grant.rights().contains(needed) {
        let text =
            format!("the rule does not allow access: {needed} is needed, and {} does not have it", grant.signer());
        return Err(Failure::new(ErrorCode::IotHubUnauthorizedAccess, text));
    }
    if !grant.covers_path(&path) {
        let text = "the token is for another resource: its sr does not cover this path";
        return Err(Failure::new(ErrorCode::IotHubUnauthorizedAccess, text));
    }
    Ok(grant)
}

/// Waits until what is asked for may be done. What is refused by its token uses up nothing of a tier's rates.
async fn pace(parts: &Parts, rest: &Rest) -> Result<(), Failure> {
    let path = parts.extensions.get::<Segments>().map(Segments::as_strs).unwrap_or_default();
    let Some(operation) = operation_of(&parts.method, &path) else { return Ok(()) };
    match operation {
        // Counts where its body has been read.
        Operation::DeviceToCloud => rest.shared.pace(operation, 0).await.map_err(Failure::from),
        _ => rest.shared.throttle(operation, 0).await.map_err(Failure::from),
    }
}

/// What a device may do that sends no token but has shown a certificate; `None` for everybody else.
fn certificate_grant(parts: &Parts, rest: &Rest, needed: Rights) -> Option<Result<Grant, Failure>> {
    if parts.headers.contains_key(header::AUTHORIZATION) {
        return None;
    }
    let connection = parts.extensions.get::<Arc<Connection>>()?;
    let certificate = rest.shared.client_certificate(connection.certificates.as_deref())?;
    if let Some(who) = parts.extensions.get::<Who>() {
        who.set(format_args!("certificate {}", certificate.sha1));
    }
    let refusal = |error: CertificateRefusal| {
        let code = match error {
            CertificateRefusal::Expired(_) | CertificateRefusal::NotValidYet(_) => ErrorCode::IotHubUnauthorized,
            _ => ErrorCode::IotHubUnauthorizedAccess,
        };
        // The text of these errors begins with a code of its own.
        let text = error.to_string();
        let text = text.split_once("; ").map_or(text.as_str(), |(_, text)| text);
        Err(Failure::new(code, text))
    };
    let path = parts.extensions.get::<Segments>().map(Segments::as_strs).unwrap_or_default();
    let Some(id) = identity_in(&path).filter(|_| needed == Rights::DEVICE_CONNECT) else {
        return Some(refusal(CertificateRefusal::NotOfAnIdentity));
    };
    let granted = rest.shared.hub(|hub, now| {
        let grant = hub.authorize_certificate(now, &certificate, &id)?;
        let enabled = hub.device(&id.device).is_some_and(Identity::is_enabled);
        Ok((grant, enabled))
    });
    Some(match granted {
        Ok((grant, true)) => Ok(grant),
        Ok((_, false)) => Err(Failure::new(ErrorCode::DeviceDisabled, format!("device {} is disabled", id.device))),
        Err(error) => refusal(error),
    })
}

/// The device or module of a path of the form `devices/{id}[/modules/{id}]/…`.
fn identity_in(path: &[&str]) -> Option<IdentityId> {
    let (first, rest) = path.split_first()?;
    let (device, rest) = rest.split_first().filter(|_| first.eq_ignore_ascii_case("devices"))?;
    let device = DeviceId::new(device).ok()?;
    let module = match rest {
        [modules, module, ..] if modules.eq_ignore_ascii_case("modules") => Some(ModuleId::new(module).ok()?),
        _ => None,
    };
    Some(IdentityId { device, module })
}

/// Why a token is not good.
fn refused(error: TokenError) -> Failure {
    let (code, text) = match &error {
        TokenError::Malformed(error) => (ErrorCode::IotHubUnauthorized, format!("the token is malformed: {error}")),
        TokenError::Refused(error) => {
            let code = match error {
                AuthError::DeviceDisabled(_) => ErrorCode::DeviceDisabled,
                AuthError::TokenExpired => ErrorCode::IotHubUnauthorized,
                _ => ErrorCode::IotHubUnauthorizedAccess,
            };
            // The text of these errors begins with a code of its own.
            let text = error.to_string();
            (code, text.split_once("; ").map_or(text.as_str(), |(_, text)| text).to_owned())
        }
    };
    Failure::new(code, text)
}

/// Any dated version is answered alike.
fn check_version(parts: &Parts) -> Result<(), Failure> {
    let query = parts.uri.query().unwrap_or_default();
    let version = query.split('&').filter_map(|field| field.split_once('='));
    let version = version.filter(|(name, _)| name.eq_ignore_ascii_case("api-version")).map(|(_, value)| value).next();
    match version {
        Some(version) if is_dated(version) => Ok(()),
        Some(_) => {
            Err(Failure::new(ErrorCode::InvalidProtocolVersion, "api-version is not a date, such as 2021-04-12"))
        }
        None => {
            Err(Failure::new(ErrorCode::InvalidProtocolVersion, "the query has no api-version, such as 2021-04-12"))
        }
    }
}

/// `yyyy-mm-dd`, with or without a suffix such as `-preview`.
fn is_dated(version: &str) -> bool {
    let octets = version.as_bytes();
    let date = octets.iter().take(10).enumerate().all(|(at, octet)| match at {
        4 | 7 => *octet == b'-',
        _ => octet.is_ascii_digit(),
    });
    date && octets.len() >= 10 && matches!(octets.get(10), None | Some(b'-'))
}

#[cfg(test)]
mod tests {
    use super::is_dated;

    #[test]
    fn any_dated_version_is_taken() {
        for version in ["2021-04-12", "2016-11-14", "2020-05-31-preview", "2024-03-31"] {
            assert!(is_dated(version), "{version}");
        }
        for version in ["", "2021", "20210412", "2021-04-1", "2021-04-12preview", "v1"] {
            assert!(!is_dated(version), "{version}");
        }
    }
}
