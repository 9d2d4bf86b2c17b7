use crate::error::Error;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{ops::RangeInclusive, time::Duration};

/// How long a device may take, in seconds.
const RESPONSE: RangeInclusive<u64> = 5..=300;

/// How long the hub waits for a device at most, in seconds.
const MAX_CONNECT: u64 = 300;

/// What the hub and the network may add to the times of a method.
const MARGIN: Duration = Duration::from_secs(30);

/// A direct method to be invoked.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectMethod {
    name: String,
    payload: Value,
    response_timeout: Duration,
    connect_timeout: Duration,
}

impl DirectMethod {
    /// The method of this name, without a payload.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            payload: Value::Null,
            response_timeout: Duration::from_secs(30),
            connect_timeout: Duration::ZERO,
        }
    }

    /// Sets the payload, up to 128 KB of JSON; `null` unless set.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Value>) -> Self {
        self.payload = payload.into();
        self
    }

    /// Sets how long the device may take to answer: 5 s to 300 s, in whole seconds; 30 s unless set.
    #[must_use]
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// Sets how long the hub waits for a device that is not online: up to 300 s, in whole seconds; not at all unless
    /// set.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long the answer may take: the hub waits for the device first, and then for its answer.
    pub(super) fn limit(&self) -> Duration {
        self.response_timeout + self.connect_timeout + MARGIN
    }

    pub(super) fn to_body(&self) -> Result<impl Serialize + use<'_>, Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            method_name: &'a str,
            payload: &'a Value,
            response_timeout_in_seconds: u64,
            connect_timeout_in_seconds: u64,
        }
        if self.name.is_empty() {
            return Err(Error::invalid("a direct method needs a name"));
        }
        let (response, connect) = (self.response_timeout.as_secs(), self.connect_timeout.as_secs());
        if !RESPONSE.contains(&response) || connect > MAX_CONNECT {
            return Err(Error::invalid("a device has 5 s to 300 s to answer, and up to 300 s to connect"));
        }
        Ok(Body {
            method_name: &self.name,
            payload: &self.payload,
            response_timeout_in_seconds: response,
            connect_timeout_in_seconds: connect,
        })
    }
}

/// A device's answer to a direct method.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct MethodResponse {
    /// The device's own status; its meaning is up to the device.
    pub status: i32,
    /// What the device answered; `null` if it was nothing.
    #[serde(default)]
    pub payload: Value,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_times_are_always_stated() {
        let method = DirectMethod::new("reboot").payload(json!({"delay": 1}));
        assert_eq!(
            serde_json::to_value(method.to_body().expect("a method")).expect("JSON"),
            json!({"methodName": "reboot", "payload": {"delay": 1}, "responseTimeoutInSeconds": 30,
                   "connectTimeoutInSeconds": 0})
        );
        assert_eq!(method.limit(), Duration::from_secs(60));
    }

    #[test]
    fn times_that_the_hub_does_not_take_are_refused_before_they_are_sent() {
        let method = || DirectMethod::new("m");
        for wrong in [
            method().response_timeout(Duration::from_secs(4)),
            method().response_timeout(Duration::from_secs(301)),
            method().connect_timeout(Duration::from_secs(301)),
            DirectMethod::new(""),
        ] {
            assert!(wrong.to_body().is_err(), "{wrong:?}");
        }
    }
}
