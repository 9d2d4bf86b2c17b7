//! AMQP 1.0 client and acceptor for tokio
#![forbid(unsafe_code)]
