//! From what AMQP says to what it means on a hub.

use super::{Error, ErrorKind};
use amqp1::{
    azure,
    codec::printable::Bounded,
    error::{AmqpError, ErrorCondition},
};
use std::time::Duration;

/// What was being worked with, which decides what "not found" means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A device, or a module of one.
    Device,
    /// Partitions of the telemetry.
    Events,
    /// The hub, for a service.
    Service,
}

/// The longest text of a hub that is repeated, in characters.
const MAX_DESCRIPTION: usize = 300;

/// How long Event Hubs' own clients wait when it is busy.
const BUSY: Duration = Duration::from_secs(4);

/// What is said of a reader that is refused or pushed out for its owner level.
const READ_ELSEWHERE: &str = "a reader with the same or a higher owner level has this partition; to read beside it, \
                              read with another consumer group, which an emulator has with --consumer-group NAME";

/// What a condition means.
#[derive(Clone, Copy)]
enum Meaning {
    /// An error of this kind, which says whether to try again and when.
    Kind(ErrorKind),
    /// An error of this kind, and the hub is busy.
    Busy(ErrorKind),
    /// An error of this kind, to be tried again in any case.
    Retriable(ErrorKind),
    /// An error of this kind, not to be tried again.
    Final(ErrorKind),
}

/// What each condition means, but *not-found*, of which [`Subject::not_found`] decides.
const MEANINGS: [(ErrorCondition, Meaning); 30] = [
    (ErrorCondition::UNAUTHORIZED_ACCESS, Meaning::Kind(ErrorKind::Unauthorized)),
    (azure::AUTH_FAILED, Meaning::Kind(ErrorKind::Unauthorized)),
    (ErrorCondition::INTERNAL_ERROR, Meaning::Kind(ErrorKind::ServiceUnavailable)),
    (ErrorCondition::NOT_ALLOWED, Meaning::Kind(ErrorKind::NotAllowed)),
    (ErrorCondition::NOT_IMPLEMENTED, Meaning::Kind(ErrorKind::NotAllowed)),
    (azure::ENTITY_DISABLED, Meaning::Kind(ErrorKind::NotAllowed)),
    (ErrorCondition::RESOURCE_LIMIT_EXCEEDED, Meaning::Kind(ErrorKind::QuotaExceeded)),
    (azure::QUOTA_EXCEEDED, Meaning::Kind(ErrorKind::QuotaExceeded)),
    (ErrorCondition::MESSAGE_SIZE_EXCEEDED, Meaning::Kind(ErrorKind::MessageTooLarge)),
    (ErrorCondition::DETACH_FORCED, Meaning::Kind(ErrorKind::ConnectionLost)),
    (ErrorCondition::CONNECTION_FORCED, Meaning::Kind(ErrorKind::ConnectionLost)),
    (ErrorCondition::LINK_REDIRECT, Meaning::Kind(ErrorKind::Redirect)),
    (ErrorCondition::CONNECTION_REDIRECT, Meaning::Kind(ErrorKind::Redirect)),
    (ErrorCondition::STOLEN, Meaning::Kind(ErrorKind::Superseded)),
    // The same identity has connected elsewhere; it may be this program's older connection.
    (azure::LINK_CREATION_CONFLICT, Meaning::Retriable(ErrorKind::Superseded)),
    (azure::TIMEOUT, Meaning::Kind(ErrorKind::Timeout)),
    (azure::DEVICE_CONTAINER_THROTTLED, Meaning::Kind(ErrorKind::Throttled)),
    (azure::SERVER_BUSY, Meaning::Busy(ErrorKind::Throttled)),
    (azure::OPERATION_CANCELLED, Meaning::Kind(ErrorKind::ServiceUnavailable)),
    (azure::CONTAINER_CLOSE, Meaning::Busy(ErrorKind::ServiceUnavailable)),
    // Somebody has to pay, or to restore it, first.
    (azure::IOT_HUB_SUSPENDED, Meaning::Final(ErrorKind::ServiceUnavailable)),
    (azure::IOT_HUB_NOT_FOUND_ERROR, Meaning::Kind(ErrorKind::NotFound)),
    (azure::MESSAGE_LOCK_LOST, Meaning::Kind(ErrorKind::MessageLockLost)),
    (ErrorCondition::PRECONDITION_FAILED, Meaning::Kind(ErrorKind::PreconditionFailed)),
    (azure::PRECONDITION_FAILED, Meaning::Kind(ErrorKind::PreconditionFailed)),
    (azure::DEVICE_ALREADY_EXISTS, Meaning::Kind(ErrorKind::AlreadyExists)),
    (azure::ARGUMENT_ERROR, Meaning::Kind(ErrorKind::InvalidArgument)),
    (azure::ARGUMENT_OUT_OF_RANGE, Meaning::Kind(ErrorKind::InvalidArgument)),
    (ErrorCondition::DECODE_ERROR, Meaning::Kind(ErrorKind::InvalidArgument)),
    (ErrorCondition::INVALID_FIELD, Meaning::Kind(ErrorKind::InvalidArgument)),
];

impl Subject {
    fn not_found(self) -> ErrorKind {
        match self {
            Self::Device | Self::Service => ErrorKind::DeviceNotFound,
            Self::Events => ErrorKind::NotFound,
        }
    }

    /// What an error of a connection or a link means here.
    pub(crate) fn error(self, error: amqp1::Error) -> Error {
        let meaning = match error.amqp_error() {
            Some(stated) => self.stated(stated, error.kind()),
            None => {
                let kind = self.kind(error.kind());
                Error::new(kind, sentence(kind, &error.to_string()))
            }
        };
        meaning.with_delivered(error.delivered()).with_source(error)
    }

    /// What a condition of the hub means here; the kind of the error where the condition is not known.
    pub(crate) fn stated(self, stated: &AmqpError, otherwise: amqp1::ErrorKind) -> Error {
        let (kind, retriable, after) = self.condition(&stated.condition).unwrap_or_else(|| {
            let kind = self.kind(otherwise);
            (kind, kind.is_retriable(), kind.retry_after())
        });
        // The condition is the same for both; the text has the service's own code.
        let is_module = || stated.description.as_deref().is_some_and(|text| text.contains("404010"));
        let kind = if kind == ErrorKind::DeviceNotFound && is_module() { ErrorKind::ModuleNotFound } else { kind };
        let description = match &stated.description {
            Some(text) if !text.is_empty() => printable(text),
            _ => stated.condition.to_string(),
        };
        let sentence = match kind {
            ErrorKind::Superseded if self == Self::Events && stated.condition == ErrorCondition::STOLEN => {
                format!("{READ_ELSEWHERE}: {description}")
            }
            _ => sentence(kind, &description),
        };
        Error::new(kind, sentence).with_retry(retriable, after)
    }

    /// What the status-code of a request to `$cbs` or `$management` means here.
    pub(crate) fn status(self, code: i32, description: Option<&str>) -> Error {
        let kind = match code {
            400 => ErrorKind::InvalidArgument,
            401 | 403 => ErrorKind::Unauthorized,
            404 => self.not_found(),
            408 => ErrorKind::Timeout,
            409 | 412 => ErrorKind::PreconditionFailed,
            413 => ErrorKind::MessageTooLarge,
            429 => ErrorKind::Throttled,
            500..=599 => ErrorKind::ServiceUnavailable,
            _ => ErrorKind::NotAllowed,
        };
        let description = match description {
            Some(text) if !text.is_empty() => format!("{} (status {code})", printable(text)),
            _ => format!("status {code}"),
        };
        Error::new(kind, sentence(kind, &description))
    }

    /// Kind, whether to try again, and when.
    fn condition(self, condition: &ErrorCondition) -> Option<(ErrorKind, bool, Option<Duration>)> {
        let as_usual = |kind: ErrorKind| Some((kind, kind.is_retriable(), kind.retry_after()));
        if *condition == ErrorCondition::NOT_FOUND {
            return as_usual(self.not_found());
        }
        let meaning = MEANINGS.into_iter().find(|(known, _)| known == condition);
        match meaning?.1 {
            Meaning::Kind(kind) => as_usual(kind),
            Meaning::Busy(kind) => Some((kind, true, Some(BUSY))),
            Meaning::Retriable(kind) => Some((kind, true, None)),
            Meaning::Final(kind) => Some((kind, false, None)),
        }
    }

    /// The kind of an error about which the hub said nothing.
    fn kind(self, kind: amqp1::ErrorKind) -> ErrorKind {
        use amqp1::ErrorKind as Amqp;
        match kind {
            Amqp::Authentication | Amqp::MechanismNotOffered => ErrorKind::Unauthorized,
            Amqp::Closed => ErrorKind::Closed,
            Amqp::Connect | Amqp::Resolve => ErrorKind::Connect,
            Amqp::Config | Amqp::InvalidUrl => ErrorKind::InvalidArgument,
            Amqp::LinkRefused => ErrorKind::NotAllowed,
            Amqp::MessageTooLarge => ErrorKind::MessageTooLarge,
            Amqp::Codec | Amqp::NoOutcome | Amqp::Protocol => ErrorKind::Protocol,
            Amqp::Rejected => ErrorKind::Rejected,
            Amqp::CreditRevoked | Amqp::Modified | Amqp::Released => ErrorKind::Released,
            Amqp::Timeout => ErrorKind::Timeout,
            Amqp::Tls => ErrorKind::Tls,
            Amqp::ClosedByPeer
            | Amqp::IdleTimeout
            | Amqp::LinkDetached
            | Amqp::SessionEnded
            | Amqp::TransportLost
            | Amqp::WriteTimeout => ErrorKind::ConnectionLost,
            _ => ErrorKind::Internal,
        }
    }
}

pub(super) fn sentence(kind: ErrorKind, why: &str) -> String {
    let what = match kind {
        ErrorKind::AlreadyExists => "it exists already",
        ErrorKind::Closed => "the client is closed",
        ErrorKind::Connect => "the hub cannot be reached",
        ErrorKind::ConnectionLost => "the connection to the hub was lost",
        ErrorKind::DeviceNotFound => "the hub does not know the device",
        ErrorKind::DeviceNotOnline => "the device is not online",
        ErrorKind::InvalidArgument => "what was asked for makes no sense",
        ErrorKind::InvalidConnectionString => "the connection string cannot be used",
        ErrorKind::Internal => "something broke in this program",
        ErrorKind::MessageLockLost => "the lock on the message had run out",
        ErrorKind::MessageTooLarge => "the message is too large",
        ErrorKind::ModuleNotFound => "the device has no such module",
        ErrorKind::NotAllowed => "the hub does not permit this",
        ErrorKind::NotFound => "there is nothing at this address",
        ErrorKind::PreconditionFailed => "it has changed meanwhile",
        ErrorKind::Protocol => "the hub did not keep to the protocol",
        ErrorKind::QuotaExceeded => "a quota of the hub is used up",
        ErrorKind::Redirect => "the hub redirects to somewhere else",
        ErrorKind::Rejected => "the hub rejected the message",
        ErrorKind::Released => "the hub gave the message back",
        ErrorKind::ServiceUnavailable => "the hub is out of order",
        ErrorKind::Store => "the store of checkpoints did not work",
        ErrorKind::Superseded => "another client has taken over",
        ErrorKind::Throttled => "the hub asks for fewer requests",
        ErrorKind::Timeout => "the hub did not answer in time",
        ErrorKind::Tls => "no secure connection to the hub could be made",
        ErrorKind::TokenExpired => "the token has expired",
        ErrorKind::Unauthorized => "the hub refused the credentials",
    };
    format!("{what}: {why}")
}

/// A text of the hub on one line, escaped, and not endless.
pub(super) fn printable(text: &str) -> String {
    let line = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    let line = line.trim_end_matches('.');
    match line.char_indices().nth(MAX_DESCRIPTION) {
        Some((end, _)) => format!("{}…", Bounded(line.get(..end).unwrap_or_default())),
        None => Bounded(line).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1::Symbol;

    fn stated(condition: &str, description: &str) -> AmqpError {
        let condition = ErrorCondition::new(Symbol::new(condition).expect("ASCII"));
        AmqpError::new(condition, description)
    }

    fn rejected(subject: Subject, condition: &str) -> Error {
        subject.stated(&stated(condition, "as the hub says"), amqp1::ErrorKind::Rejected)
    }

    #[test]
    fn conditions_of_the_hub_have_kinds_that_callers_act_on() {
        for (condition, kind, retriable) in [
            ("amqp:not-found", ErrorKind::DeviceNotFound, false),
            ("amqp:unauthorized-access", ErrorKind::Unauthorized, false),
            ("amqp:internal-error", ErrorKind::ServiceUnavailable, true),
            ("amqp:resource-limit-exceeded", ErrorKind::QuotaExceeded, false),
            ("com.microsoft:quota-exceeded", ErrorKind::QuotaExceeded, false),
            ("amqp:link:message-size-exceeded", ErrorKind::MessageTooLarge, false),
            ("amqp:link:detach-forced", ErrorKind::ConnectionLost, true),
            ("amqp:connection:forced", ErrorKind::ConnectionLost, true),
            ("amqp:link:stolen", ErrorKind::Superseded, false),
            ("com.microsoft:link-creation-conflict", ErrorKind::Superseded, true),
            ("com.microsoft:timeout", ErrorKind::Timeout, true),
            ("com.microsoft:device-container-throttled", ErrorKind::Throttled, true),
            ("com.microsoft:iot-hub-suspended", ErrorKind::ServiceUnavailable, false),
            ("com.microsoft:message-lock-lost", ErrorKind::MessageLockLost, true),
            ("com.microsoft:argument-error", ErrorKind::InvalidArgument, false),
            ("com.microsoft:argument-out-of-range", ErrorKind::InvalidArgument, false),
            ("amqp:invalid-field", ErrorKind::InvalidArgument, false),
            ("amqp:precondition-failed", ErrorKind::PreconditionFailed, false),
            ("com.microsoft:precondition-failed", ErrorKind::PreconditionFailed, false),
            ("com.microsoft:device-already-exists", ErrorKind::AlreadyExists, false),
            ("vendor:unheard-of", ErrorKind::Rejected, false),
        ] {
            let error = rejected(Subject::Service, condition);
            assert_eq!((error.kind(), error.is_retriable()), (kind, retriable), "{condition}");
            assert!(error.to_string().ends_with(": as the hub says"), "{error}");
        }
    }

    #[test]
    fn what_the_hub_settles_without_an_outcome_may_be_delivered_or_not() {
        let error = amqp1::Outcome::SettledWithoutState.into_result().expect_err("nothing was said");
        let error = Subject::Device.error(error);
        assert_eq!((error.kind(), error.delivered()), (ErrorKind::Protocol, amqp1::Delivered::Unknown));
    }

    #[test]
    fn a_module_that_is_not_there_is_told_from_a_device_by_the_services_code() {
        for text in ["404010 ErrorCode:ModuleNotFound; x", r#"{"errorCode":404010,"message":"ModuleNotFound"}"#] {
            let error = Subject::Service.stated(&stated("amqp:not-found", text), amqp1::ErrorKind::Rejected);
            assert_eq!(error.kind(), ErrorKind::ModuleNotFound);
        }
    }

    #[test]
    fn not_found_is_about_what_was_worked_with() {
        assert_eq!(rejected(Subject::Device, "amqp:not-found").kind(), ErrorKind::DeviceNotFound);
        assert_eq!(rejected(Subject::Events, "amqp:not-found").kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_reader_that_is_refused_for_its_owner_level_is_told_what_to_do() {
        let error = rejected(Subject::Events, "amqp:link:stolen");
        assert_eq!(error.kind(), ErrorKind::Superseded);
        let text = error.to_string();
        assert!(
            text.contains("higher owner level")
                && text.contains("read with another consumer group")
                && text.contains("--consumer-group NAME"),
            "{text}"
        );
        assert!(text.ends_with(": as the hub says"), "{text}");
        let other = rejected(Subject::Device, "amqp:link:stolen").to_string();
        assert!(!other.contains("consumer group"), "{other}");
    }

    #[test]
    fn throttling_says_how_long_to_wait() {
        let throttled = rejected(Subject::Service, "com.microsoft:device-container-throttled");
        assert_eq!(throttled.retry_after(), Some(Duration::from_secs(10)));
        assert_eq!(rejected(Subject::Events, "com.microsoft:server-busy").retry_after(), Some(BUSY));
        assert_eq!(rejected(Subject::Events, "amqp:not-found").retry_after(), None);
    }

    #[test]
    fn status_codes_have_kinds_too() {
        for (code, kind) in [
            (400, ErrorKind::InvalidArgument),
            (401, ErrorKind::Unauthorized),
            (404, ErrorKind::NotFound),
            (429, ErrorKind::Throttled),
            (500, ErrorKind::ServiceUnavailable),
        ] {
            assert_eq!(Subject::Events.status(code, None).kind(), kind, "{code}");
        }
        let error = Subject::Device.status(401, Some("The token has an invalid signature."));
        assert_eq!(
            error.to_string(),
            "the hub refused the credentials: The token has an invalid signature (status 401)"
        );
    }

    #[test]
    fn what_the_hub_says_stays_on_one_line_and_ends() {
        let error = Subject::Device
            .stated(&stated("amqp:not-found", "gone\r\n\u{1b}[31mred  text"), amqp1::ErrorKind::LinkRefused);
        assert_eq!(error.to_string(), "the hub does not know the device: gone [31mred text");
        let long = "x".repeat(5000);
        assert!(Subject::Device.status(500, Some(&long)).to_string().len() < 400);
    }
}
