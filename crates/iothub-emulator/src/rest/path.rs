//! Paths, as clients write them and as the router knows them.
//!
//! The hub compares path names without case, while ids have one. So the names are lower-cased here, and the router sees
//! each id as one segment with only harmless characters.

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;

use super::Rest;
use super::errors::Failure;
use crate::hub::{DeviceId, ErrorCode, IdError, IdentityId, LockToken, ModuleId, decode};

/// Paths that begin with one of these are the hub's. All others are left as they are.
const ROOTS: [&str; 8] =
    ["configurations", "devices", "digitaltwins", "jobs", "messages", "statistics", "twins", "$iothub"];

/// The longest path that is looked at, in octets. An id of 128 characters takes 384 of them.
const MAX_PATH: usize = 4096;

/// The segments of a path: names in lower case, everything percent-decoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segments(Vec<String>);

impl Segments {
    /// Splits a path. Empty segments do not count: some clients end a path with a slash, one writes two before `messages`.
    /// `None` if it is too long.
    pub(super) fn parse(path: &str) -> Option<Self> {
        if path.len() > MAX_PATH {
            return None;
        }
        let written = path.split('/').filter(|segment| !segment.is_empty());
        let mut segments: Vec<String> = written.map(|segment| decode(segment).into_owned()).collect();
        let is_hub = ROOTS.iter().any(|root| segments.first().is_some_and(|first| first.eq_ignore_ascii_case(root)));
        if is_hub {
            let of_device =
                ["devices", "twins", "digitaltwins"].iter().any(|root| segments[0].eq_ignore_ascii_case(root));
            let of_module = of_device && segments.get(2).is_some_and(|word| word.eq_ignore_ascii_case("modules"));
            for (at, segment) in segments.iter_mut().enumerate() {
                let is_id = of_device && at == 1 || of_module && at == 3;
                if !is_id {
                    segment.make_ascii_lowercase();
                }
            }
        }
        Some(Self(segments))
    }

    /// The segments.
    pub(super) fn as_strs(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }

    /// One segment.
    pub(super) fn get(&self, at: usize) -> Option<&str> {
        self.0.get(at).map(String::as_str)
    }

    /// The path for the router: an id is one segment, whatever characters it has.
    pub(super) fn to_path(&self) -> String {
        let mut path = String::new();
        for segment in &self.0 {
            path.push('/');
            for octet in segment.bytes() {
                match octet {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'$' | b':' => {
                        path.push(char::from(octet));
                    }
                    other => path.push_str(&format!("%{other:02X}")),
                }
            }
        }
        if path.is_empty() { "/".into() } else { path }
    }

    /// The same URI with this path.
    pub(super) fn apply(&self, uri: &Uri) -> Option<Uri> {
        let path = self.to_path();
        let text = match uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        Uri::try_from(text).ok()
    }
}

fn bad_id(what: &str, error: IdError) -> Failure {
    Failure::new(ErrorCode::ArgumentInvalid, format!("{what}: {error}"))
}

/// The identity of `/devices/{d}[/modules/{m}]…` and `/twins/{d}[/modules/{m}]…`.
pub(super) struct Subject(pub(super) IdentityId);

impl FromRequestParts<Rest> for Subject {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Rest) -> Result<Self, Failure> {
        let segments = parts.extensions.get::<Segments>();
        let at = |place| segments.and_then(|segments| segments.get(place));
        let device = DeviceId::new(at(1).unwrap_or_default()).map_err(|error| bad_id("device id", error))?;
        let module = match (at(2), at(3)) {
            (Some("modules"), Some(id)) => Some(ModuleId::new(id).map_err(|error| bad_id("module id", error))?),
            _ => None,
        };
        Ok(Self(IdentityId { device, module }))
    }
}

/// The lock token of a path: the last segment that can be one, since the id of a device may look alike.
pub(super) struct Lock(pub(super) LockToken);

impl FromRequestParts<Rest> for Lock {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Rest) -> Result<Self, Failure> {
        let segments = parts.extensions.get::<Segments>().map(|segments| segments.0.as_slice()).unwrap_or_default();
        let segments = segments.get(2..).unwrap_or_default().iter();
        segments.rev().find_map(|segment| segment.parse().ok()).map(Self).ok_or_else(|| {
            Failure::new(ErrorCode::DeviceMessageLockLost, "the path has no lock token that the hub gave")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> String {
        Segments::parse(text).unwrap().to_path()
    }

    #[test]
    fn names_are_compared_without_case_and_ids_with_it() {
        assert_eq!(path("/Twins/DevA/Modules/ModB/Methods"), "/twins/DevA/modules/ModB/methods");
        assert_eq!(path("/DEVICES/Modules/MODULES/Devices"), "/devices/Modules/modules/Devices");
        assert_eq!(path("/devices/"), "/devices");
        assert_eq!(path("/"), "/");
        assert_eq!(path("/Uploads/A.txt"), "/Uploads/A.txt");
    }

    #[test]
    fn ids_are_decoded_once_and_stay_one_segment() {
        let segments = Segments::parse("/devices/a%23b%2Fc%25").unwrap();
        assert_eq!(segments.as_strs(), ["devices", "a#b/c%"]);
        assert_eq!(segments.to_path(), "/devices/a%23b%2Fc%25");
        // One client writes ids as they are.
        assert_eq!(Segments::parse("/devices/a=b@c").unwrap().as_strs(), ["devices", "a=b@c"]);
    }

    #[test]
    fn empty_segments_do_not_count_and_a_path_has_an_end() {
        assert_eq!(path("/devices/a/modules/m//messages/events/"), "/devices/a/modules/m/messages/events");
        assert_eq!(Segments::parse(&"/a".repeat(4000)), None);
    }
}
