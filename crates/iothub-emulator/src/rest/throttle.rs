//! What of a tier a request uses.

use axum::http::Method;

use crate::hub::Operation;

/// The operation that a request is, if its kind is bounded by tiers. Calls of methods are counted where they are made. Telemetry
/// counts against the day's quota where its body has been read.
pub(super) fn operation_of(method: &Method, path: &[&str]) -> Option<Operation> {
    let path: Vec<String> = path.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["twins", _] | ["twins", _, "modules", _] if method == Method::GET => Some(Operation::TwinRead),
        ["twins", _] | ["twins", _, "modules", _] => Some(Operation::TwinUpdate),
        ["devices", "query"] => Some(Operation::Query),
        ["devices", _, "messages", "events"] | ["devices", _, "modules", _, "messages", "events"] => {
            Some(Operation::DeviceToCloud)
        }
        ["devices", _, "files", ..] => Some(Operation::FileUpload),
        ["devices"] | ["devices", _] | ["devices", _, "modules", ..] => Some(Operation::Registry),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_known_by_method_and_path() {
        let of = |method: Method, path: &str| operation_of(&method, &path.split('/').collect::<Vec<_>>());
        assert_eq!(of(Method::GET, "Twins/a"), Some(Operation::TwinRead));
        assert_eq!(of(Method::PATCH, "twins/a/modules/m"), Some(Operation::TwinUpdate));
        assert_eq!(of(Method::POST, "devices/query"), Some(Operation::Query));
        assert_eq!(of(Method::POST, "devices/a/messages/events"), Some(Operation::DeviceToCloud));
        assert_eq!(of(Method::PUT, "devices/a/modules/m"), Some(Operation::Registry));
        assert_eq!(of(Method::POST, "twins/a/methods"), None);
    }
}
