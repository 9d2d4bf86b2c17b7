//! A type of one's own as the body of a message, there and back.
//!
//! ```sh
//! cargo run -p amqp1-codec --features serde --example serde
//! ```

use amqp1_codec::{Message, Timestamp, message::Body};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Report<'a> {
    device: &'a str,
    at: Timestamp,
    readings: Vec<Reading>,
    /// Nothing if the device has no battery.
    battery: Option<u8>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Reading {
    Celsius(f64),
    Position { latitude: f64, longitude: f64 },
    Failed,
}

fn main() -> Result<(), amqp1_codec::serde::Error> {
    let report = Report {
        device: "buoy-7",
        at: Timestamp(1_700_000_000_000),
        readings: vec![Reading::Celsius(11.5), Reading::Position { latitude: 54.2, longitude: 7.9 }, Reading::Failed],
        battery: Some(83),
    };
    let message = Message::builder().serialized(&report)?.build();
    println!("{} octets", message.len());

    let received = Message::from_chunks(message.into_parts())?;
    if let Body::Value(body) = received.body() {
        println!("as AMQP: {:?}", body.to_value()?);
        // `device` is borrowed from the message.
        let again: Report<'_> = body.deserialize()?;
        println!("as Rust: {again:?}");
        assert_eq!(again, report);
    }
    Ok(())
}
