//! Azure IoT Hub over AMQP 1.0: devices, services and telemetry readers
#![forbid(unsafe_code)]
