//! Error conditions of Azure's services, which the specification of AMQP does not have.

use amqp1_codec::definitions::ErrorCondition;

/// The token is wrong, or does not allow this.
pub const AUTH_FAILED: ErrorCondition = ErrorCondition::from_static("com.microsoft:auth-failed");
/// The addressed entity is disabled.
pub const ENTITY_DISABLED: ErrorCondition = ErrorCondition::from_static("com.microsoft:entity-disabled");
/// The quota of the day or of the entity is used up.
pub const QUOTA_EXCEEDED: ErrorCondition = ErrorCondition::from_static("com.microsoft:quota-exceeded");
/// The same identity has connected again.
pub const LINK_CREATION_CONFLICT: ErrorCondition = ErrorCondition::from_static("com.microsoft:link-creation-conflict");
/// The service did not answer in time.
pub const TIMEOUT: ErrorCondition = ErrorCondition::from_static("com.microsoft:timeout");
/// The service takes no more at this rate.
pub const DEVICE_CONTAINER_THROTTLED: ErrorCondition =
    ErrorCondition::from_static("com.microsoft:device-container-throttled");
/// The service is busy: try again later.
pub const SERVER_BUSY: ErrorCondition = ErrorCondition::from_static("com.microsoft:server-busy");
/// The service gave the operation up.
pub const OPERATION_CANCELLED: ErrorCondition = ErrorCondition::from_static("com.microsoft:operation-cancelled");
/// The service closes the container, to be found elsewhere soon.
pub const CONTAINER_CLOSE: ErrorCondition = ErrorCondition::from_static("com.microsoft:container-close");
/// The hub is suspended.
pub const IOT_HUB_SUSPENDED: ErrorCondition = ErrorCondition::from_static("com.microsoft:iot-hub-suspended");
/// There is no such hub.
pub const IOT_HUB_NOT_FOUND_ERROR: ErrorCondition =
    ErrorCondition::from_static("com.microsoft:iot-hub-not-found-error");
/// The message was locked, and is not any more.
pub const MESSAGE_LOCK_LOST: ErrorCondition = ErrorCondition::from_static("com.microsoft:message-lock-lost");
/// A precondition was not met.
pub const PRECONDITION_FAILED: ErrorCondition = ErrorCondition::from_static("com.microsoft:precondition-failed");
/// There is a device of this name.
pub const DEVICE_ALREADY_EXISTS: ErrorCondition = ErrorCondition::from_static("com.microsoft:device-already-exists");
/// An argument makes no sense.
pub const ARGUMENT_ERROR: ErrorCondition = ErrorCondition::from_static("com.microsoft:argument-error");
/// An argument is out of its range.
pub const ARGUMENT_OUT_OF_RANGE: ErrorCondition = ErrorCondition::from_static("com.microsoft:argument-out-of-range");
