//! From what the hub says over HTTPS to what it means.

/// The hub's answer to a request over HTTPS that it has refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpAnswer {
    /// The HTTP status, such as 404.
    pub status: u16,
    /// The hub's own code, such as 404103, if it stated one in numbers.
    pub code: Option<u32>,
    /// The name of the hub's own code, such as `DeviceNotOnline`, if it stated one in words.
    pub code_name: Option<String>,
    /// What the hub's operators find the request by.
    pub tracking_id: Option<String>,
}

#[cfg(feature = "rest")]
pub(crate) use reading::Refusal;

#[cfg(feature = "rest")]
mod reading {
    use super::HttpAnswer;
    use crate::error::{
        Error, ErrorKind,
        mapping::{printable, sentence},
    };
    use amqp1::Delivered;
    use serde::Deserialize;
    use std::time::Duration;

    /// What an answer holds that is not a success.
    #[derive(Debug)]
    pub(crate) struct Refusal<'a> {
        pub(crate) status: u16,
        /// The header `iothub-errorcode`.
        pub(crate) code: Option<&'a str>,
        /// The header `retry-after`.
        pub(crate) retry_after: Option<Duration>,
        pub(crate) body: &'a [u8],
    }

    /// The shape of every error; older answers have lower case.
    #[derive(Default, Deserialize)]
    struct Outer {
        #[serde(rename = "Message", alias = "message", default)]
        message: Option<String>,
        #[serde(rename = "ExceptionMessage", alias = "exceptionMessage", default)]
        exception: Option<String>,
    }

    /// What `Message` holds, as text, in answers of direct methods.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Inner {
        #[serde(default)]
        error_code: Option<u32>,
        #[serde(default)]
        tracking_id: Option<String>,
        #[serde(default)]
        message: Option<String>,
    }

    impl Refusal<'_> {
        pub(crate) fn error(&self) -> Error {
            let outer: Outer = serde_json::from_slice(self.body).unwrap_or_default();
            let message = outer.message.unwrap_or_default();
            let mut answer = HttpAnswer {
                status: self.status,
                code: None,
                code_name: None,
                tracking_id: outer.exception.as_deref().and_then(tracking_id),
            };
            self.state_code(&mut answer, self.code.unwrap_or_default());
            let description = if let Ok(inner) = serde_json::from_str::<Inner>(&message) {
                answer.code = inner.error_code.or(answer.code);
                answer.tracking_id = inner.tracking_id.or(answer.tracking_id);
                inner.message.unwrap_or_default()
            } else if let Some(rest) = message.strip_prefix("ErrorCode:") {
                let (name, text) = rest.split_once(';').unwrap_or((rest, ""));
                if answer.code_name.is_none() {
                    self.state_code(&mut answer, name);
                }
                text.trim().to_owned()
            } else {
                message
            };
            let meaning = Meaning::of(&answer);
            let stated = answer.code_name.clone().or_else(|| answer.code.map(|code| code.to_string()));
            let status = match stated {
                Some(code) => format!("status {}, {}", self.status, printable(&code)),
                None => format!("status {}", self.status),
            };
            let description = match description.as_str() {
                "" => status,
                text => format!("{} ({status})", printable(text)),
            };
            let error = Error::new(meaning.kind, sentence(meaning.kind, &description));
            let after = self.retry_after.or_else(|| error.retry_after());
            let retriable = meaning.retriable.unwrap_or_else(|| error.is_retriable());
            let after = if retriable { after } else { None };
            error.with_retry(retriable, after).with_delivered(meaning.delivered).with_http(answer)
        }

        fn state_code(&self, answer: &mut HttpAnswer, text: &str) {
            match text.trim().parse() {
                Ok(code) => answer.code = Some(code),
                Err(_) if text.trim().is_empty() => {}
                Err(_) => answer.code_name = Some(text.trim().to_owned()),
            }
        }
    }

    /// `Tracking ID:…-TimeStamp:…`: the id alone.
    fn tracking_id(text: &str) -> Option<String> {
        let id = text.strip_prefix("Tracking ID:")?;
        let id = id.split("-TimeStamp:").next().unwrap_or(id).trim();
        (!id.is_empty()).then(|| printable(id))
    }

    struct Meaning {
        kind: ErrorKind,
        /// Whether to try again, where it differs from what is usual for the kind.
        retriable: Option<bool>,
        delivered: Delivered,
    }

    impl Meaning {
        fn of(answer: &HttpAnswer) -> Self {
            let stated = answer.code_name.as_deref().and_then(Self::named);
            let stated = stated.or_else(|| answer.code.and_then(Self::numbered));
            stated.unwrap_or_else(|| Self::status(answer.status))
        }

        const fn no(kind: ErrorKind) -> Self {
            Self { kind, retriable: None, delivered: Delivered::No }
        }

        const fn unknown(kind: ErrorKind) -> Self {
            Self { kind, retriable: None, delivered: Delivered::Unknown }
        }

        fn numbered(code: u32) -> Option<Self> {
            use ErrorKind as Kind;
            Some(match code {
                401_001 => Self::no(Kind::NotFound),
                403_001 => Self { kind: Kind::ServiceUnavailable, retriable: Some(false), delivered: Delivered::No },
                403_002 | 403_004..=403_007 | 413_002 | 413_003 => Self::no(Kind::QuotaExceeded),
                403_012 | 404_001 => Self::no(Kind::DeviceNotFound),
                // Others may end soon.
                403_800 => Self { kind: Kind::QuotaExceeded, retriable: Some(true), delivered: Delivered::No },
                404_010 => Self::no(Kind::ModuleNotFound),
                404_013 => Self::no(Kind::NotAllowed),
                404_103 => Self::no(Kind::DeviceNotOnline),
                // It may have had the request.
                404_104 => Self::unknown(Kind::DeviceNotOnline),
                409_001 | 409_104 | 409_301 | 409_401 => Self::no(Kind::AlreadyExists),
                412_001 => Self::no(Kind::PreconditionFailed),
                412_002 => Self::no(Kind::MessageLockLost),
                413_001 => Self::no(Kind::MessageTooLarge),
                504_101 => Self::unknown(Kind::Timeout),
                _ => return None,
            })
        }

        fn named(name: &str) -> Option<Self> {
            const NUMBERS: [(&str, u32); 23] = [
                ("IotHubNotFound", 401_001),
                ("IotHubSuspended", 403_001),
                ("IotHubQuotaExceeded", 403_002),
                ("DeviceMaximumQueueDepthExceeded", 403_004),
                ("IotHubMaxCbsTokenExceeded", 403_005),
                ("DeviceMaximumQueueSizeExceeded", 403_007),
                ("DeviceDisabled", 403_012),
                ("DeviceMaximumInflightMethodExceeded", 403_800),
                ("DeviceNotFound", 404_001),
                ("ModuleNotFound", 404_010),
                ("FeatureNotSupported", 404_013),
                ("DeviceNotOnline", 404_103),
                ("DeviceConnectionClosedRemotely", 404_104),
                ("DeviceAlreadyExists", 409_001),
                ("JobAlreadyExists", 409_104),
                ("ModuleAlreadyExistsOnDevice", 409_301),
                ("ConfigurationAlreadyExists", 409_401),
                ("PreconditionFailed", 412_001),
                ("DeviceMessageLockLost", 412_002),
                ("MessageTooLarge", 413_001),
                ("TooManyDevices", 413_002),
                ("TooManyModulesOnDevice", 413_003),
                ("GatewayTimeout", 504_101),
            ];
            let (_, code) = NUMBERS.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
            Self::numbered(code)
        }

        fn status(status: u16) -> Self {
            use ErrorKind as Kind;
            match status {
                400 => Self::no(Kind::InvalidArgument),
                401 => Self::no(Kind::Unauthorized),
                403 => Self::no(Kind::NotAllowed),
                404 => Self::no(Kind::NotFound),
                405 | 501 => Self::no(Kind::NotAllowed),
                409 => Self::no(Kind::AlreadyExists),
                412 => Self::no(Kind::PreconditionFailed),
                413 => Self::no(Kind::MessageTooLarge),
                429 => Self::no(Kind::Throttled),
                503 => Self::no(Kind::ServiceUnavailable),
                // A gateway has given up, or something broke half way.
                408 | 504 => Self::unknown(Kind::Timeout),
                500..=599 => Self::unknown(Kind::ServiceUnavailable),
                300..=399 => Self::no(Kind::Redirect),
                _ => Self::no(Kind::Protocol),
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn error(status: u16, code: Option<&str>, body: &str) -> Error {
            Refusal { status, code, retry_after: None, body: body.as_bytes() }.error()
        }

        #[test]
        fn the_registrys_shape_is_read() {
            let body = r#"{"Message":"ErrorCode:DeviceNotFound;d1","ExceptionMessage":"Tracking ID:0123abcd-G:7-TimeStamp:11/28/2026 10:00:00"}"#;
            for code in [Some("DeviceNotFound"), Some("404001"), None] {
                let error = error(404, code, body);
                assert_eq!((error.kind(), error.is_retriable()), (ErrorKind::DeviceNotFound, false));
                let answer = error.http().expect("an answer");
                assert_eq!((answer.status, answer.tracking_id.as_deref()), (404, Some("0123abcd-G:7")));
                assert!(error.to_string().starts_with("the hub does not know the device: d1 (status 404, "), "{error}");
            }
        }

        #[test]
        fn the_shape_of_methods_is_read() {
            let body = r#"{"Message":"{\"errorCode\":404103,\"trackingId\":\"T1\",\"message\":\"Timed out waiting for device to connect.\",\"info\":{\"timeout\":\"00:00:00\"},\"timestampUtc\":\"2026-11-28T10:00:00Z\"}","ExceptionMessage":""}"#;
            let error = error(404, Some("DeviceNotOnline"), body);
            assert_eq!((error.kind(), error.delivered()), (ErrorKind::DeviceNotOnline, Delivered::No));
            let answer = error.http().expect("an answer");
            assert_eq!((answer.code, answer.tracking_id.as_deref()), (Some(404_103), Some("T1")));
            assert!(error.to_string().contains("Timed out waiting for device to connect"), "{error}");
        }

        #[test]
        fn statuses_and_codes_have_kinds_that_callers_act_on() {
            for (status, code, kind, retriable, delivered) in [
                (400, "ArgumentInvalid", ErrorKind::InvalidArgument, false, Delivered::No),
                (401, "IotHubUnauthorizedAccess", ErrorKind::Unauthorized, false, Delivered::No),
                (401, "IotHubNotFound", ErrorKind::NotFound, false, Delivered::No),
                (403, "IotHubQuotaExceeded", ErrorKind::QuotaExceeded, false, Delivered::No),
                (403, "DeviceMaximumInflightMethodExceeded", ErrorKind::QuotaExceeded, true, Delivered::No),
                (404, "ModuleNotFound", ErrorKind::ModuleNotFound, false, Delivered::No),
                (404, "DeviceConnectionClosedRemotely", ErrorKind::DeviceNotOnline, true, Delivered::Unknown),
                (409, "DeviceAlreadyExists", ErrorKind::AlreadyExists, false, Delivered::No),
                (412, "PreconditionFailed", ErrorKind::PreconditionFailed, false, Delivered::No),
                (413, "TooManyModulesOnDevice", ErrorKind::QuotaExceeded, false, Delivered::No),
                (429, "ThrottlingException", ErrorKind::Throttled, true, Delivered::No),
                (500, "ServerError", ErrorKind::ServiceUnavailable, true, Delivered::Unknown),
                (501, "FeatureNotSupported", ErrorKind::NotAllowed, false, Delivered::No),
                (503, "", ErrorKind::ServiceUnavailable, true, Delivered::No),
                (504, "GatewayTimeout", ErrorKind::Timeout, true, Delivered::Unknown),
                (307, "", ErrorKind::Redirect, false, Delivered::No),
            ] {
                let error = error(status, Some(code), "");
                let found = (error.kind(), error.is_retriable(), error.delivered());
                assert_eq!(found, (kind, retriable, delivered), "{status} {code}");
            }
        }

        #[test]
        fn what_is_not_json_is_still_an_error_of_its_status_and_stays_on_one_line() {
            let refused = error(502, None, "<html>\r\n\u{1b}[31m</html>");
            assert_eq!(refused.kind(), ErrorKind::ServiceUnavailable);
            assert_eq!(refused.to_string().lines().count(), 1);
            let hostile = format!(r#"{{"Message":"ErrorCode:X\nY;{}"}}"#, "z".repeat(9000));
            let error = error(400, Some("\u{202e}evil"), &hostile);
            assert!(error.to_string().len() < 1000 && !error.to_string().contains(['\n', '\u{202e}']), "{error}");
        }

        #[test]
        fn the_hub_may_say_how_long_to_wait() {
            let after = Some(Duration::from_secs(3));
            let refusal = |status| Refusal { status, code: None, retry_after: after, body: b"" }.error();
            assert_eq!((refusal(429).retry_after(), refusal(503).retry_after()), (after, after));
            assert_eq!(refusal(404).retry_after(), None);
        }
    }
}
