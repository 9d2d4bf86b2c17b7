//! AMQP 1.0 connections, sessions and links as a state machine without IO
#![forbid(unsafe_code)]
