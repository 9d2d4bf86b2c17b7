//! The service's error codes, as they appear over HTTPS and in the texts of AMQP errors.

use core::fmt;

use thiserror::Error;

macro_rules! codes {
    ($( $(#[$doc:meta])* $name:ident = $number:literal / $status:literal, )*) => {
        /// The code of a service error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $( $(#[$doc])* $name, )*
        }

        impl ErrorCode {
            /// The number, as in `errorCode`.
            #[must_use]
            pub const fn number(self) -> u32 {
                match self { $( Self::$name => $number, )* }
            }

            /// The code of this number.
            #[must_use]
            pub fn from_number(number: u32) -> Option<Self> {
                match number { $( $number => Some(Self::$name), )* _ => None }
            }

            /// The status of the HTTP response.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $( Self::$name => $status, )* }
            }

            /// The name, as in the header `iothub-errorcode`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$name => stringify!($name), )* }
            }
        }
    };
}

codes! {
    /// The request has no API version.
    InvalidProtocolVersion = 400_001 / 400,
    /// The operation is not possible on this entity.
    InvalidOperation = 400_003 / 400,
    /// An argument is out of range or malformed.
    ArgumentInvalid = 400_004 / 400,
    /// An argument is missing.
    ArgumentNull = 400_005 / 400,
    /// The body cannot be read.
    IotHubFormatError = 400_006 / 400,
    /// A bulk request names a device twice.
    DeviceDefinedMultipleTimes = 400_011 / 400,
    /// Some entries of a bulk request failed.
    BulkRegistryOperationFailure = 400_013 / 400,
    /// No file upload of the device is in progress under this correlation id.
    InvalidFileUploadCorrelationId = 400_015 / 400,
    /// A file upload cannot be completed like this.
    InvalidFileUploadCompletionStatus = 400_019 / 400,
    /// The hub does not exist.
    IotHubNotFound = 401_001 / 401,
    /// The rule or token does not allow the request.
    IotHubUnauthorizedAccess = 401_002 / 401,
    /// The token is missing, malformed or expired.
    IotHubUnauthorized = 401_003 / 401,
    /// A system module cannot be changed.
    SystemModuleModifyUnauthorizedAccess = 401_100 / 401,
    /// The daily quota is used up.
    IotHubQuotaExceeded = 403_002 / 403,
    /// A device's queue is full.
    DeviceMaximumQueueDepthExceeded = 403_004 / 403,
    /// Too many file uploads of one device.
    DeviceMaximumActiveFileUploadLimitExceeded = 403_006 / 403,
    /// The device is disabled.
    DeviceDisabled = 403_012 / 403,
    /// Too many direct methods of one device are in flight.
    DeviceMaximumInflightMethodExceeded = 403_800 / 403,
    /// The hub has nothing at this path.
    ResourceNotFound = 404_000 / 404,
    /// The device is not registered, or is disabled.
    DeviceNotFound = 404_001 / 404,
    /// The job does not exist.
    JobNotFound = 404_002 / 404,
    /// The module is not registered.
    ModuleNotFound = 404_010 / 404,
    /// The device has no link for direct methods.
    DeviceNotOnline = 404_103 / 404,
    /// The device disconnected while its answer was awaited.
    DeviceConnectionClosedRemotely = 404_104 / 404,
    /// The method is not supported by the resource.
    MethodNotAllowed = 405_000 / 405,
    /// The device id is taken.
    DeviceAlreadyExists = 409_001 / 409,
    /// The identity connected again.
    LinkCreationConflict = 409_002 / 409,
    /// The module id is taken.
    ModuleAlreadyExistsOnDevice = 409_301 / 409,
    /// The entity tag does not match.
    PreconditionFailed = 412_001 / 412,
    /// The lock of a cloud-to-device message is gone.
    DeviceMessageLockLost = 412_002 / 412,
    /// The message is too large.
    MessageTooLarge = 413_001 / 413,
    /// More than 100 entries in a bulk request.
    TooManyDevices = 413_002 / 413,
    /// The device has as many modules as it may have.
    TooManyModulesOnDevice = 413_003 / 413,
    /// The request is throttled.
    ThrottlingException = 429_001 / 429,
    /// A failure of the hub itself.
    ServerError = 500_001 / 500,
    /// The hub does not have this feature.
    FeatureNotSupported = 404_013 / 501,
    /// The device's answer to a direct method is not JSON.
    BadDeviceResponse = 502_001 / 502,
    /// The hub is not available.
    ServiceUnavailable = 503_001 / 503,
    /// The device did not answer in time.
    GatewayTimeout = 504_101 / 504,
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An error of the service: a code, and a text that says what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{} ErrorCode:{code};{text}", code.number())]
pub struct ServiceError {
    code: ErrorCode,
    text: String,
}

impl ServiceError {
    /// An error with this code and text.
    #[must_use]
    pub fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// From the text of another error of the hub, which begins with its number: `404001 ErrorCode:DeviceNotFound; …`. One
    /// without a number that is known becomes *ServerError*.
    pub(crate) fn from_text(error: &impl fmt::Display) -> Self {
        let error = error.to_string();
        let code = error.split_once(' ').and_then(|(number, _)| ErrorCode::from_number(number.parse().ok()?));
        match (code, error.split_once("; ")) {
            (Some(code), Some((_, text))) => Self::new(code, text),
            _ => Self::new(ErrorCode::ServerError, error),
        }
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// What is wrong, without the code.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_its_number_its_name_and_its_text() {
        let error = ServiceError::new(ErrorCode::DeviceNotFound, "dev1");
        assert_eq!(error.to_string(), "404001 ErrorCode:DeviceNotFound;dev1");
        assert_eq!(error.code().http_status(), 404);
    }

    #[test]
    fn the_errors_of_messages_become_service_errors() {
        let error = ServiceError::from_text(&"413001 ErrorCode:MessageTooLarge; the message has 9 octets");
        assert_eq!(error, ServiceError::new(ErrorCode::MessageTooLarge, "the message has 9 octets"));
        assert_eq!(ServiceError::from_text(&"what; else").code(), ErrorCode::ServerError);
    }
}
