//! A peer whose errors are malformed in part is understood, and the first such frame is a warning.

use crate::support::{self, soon, warnings::Warnings};
use amqp1::{Client, ErrorKind, codec::frame::ProtocolHeader, error::ErrorCondition};
use tokio::io::AsyncWriteExt;

/// An open, a begin on channel 0 with properties that are a list, and a close: not-found, with a description in Latin-1.
const FRAMES: [&[u8]; 3] = [
    b"\0\0\0\x11\x02\0\0\0\0\x53\x10\xc0\x04\x01\xa1\x01p",
    b"\0\0\0\x18\x02\0\0\0\0\x53\x11\xc0\x0b\x08\x40\x43\x52\x64\x52\x64\x40\x40\x40\x45",
    b"\0\0\0\x2a\x02\0\0\0\0\x53\x18\xc0\x1d\x01\0\x53\x1d\xc0\x17\x02\xa3\x0eamqp:not-found\xa1\x04pr\xfcf",
];

#[tokio::test(start_paused = true)]
async fn what_is_odd_in_a_peers_frames_is_one_warning_and_the_close_says_why() {
    let warnings = Warnings::listen();
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    far.write_all(&ProtocolHeader::AMQP.encode()).await.expect("written");
    far.write_all(FRAMES[0]).await.expect("written");
    let client = Client::builder("amqp://server.test").no_sasl().connect_with(support::checked::Checked::new(near));
    let connection = soon(client).await.expect("a connection");
    assert!(warnings.logged().is_empty());
    far.write_all(FRAMES[1]).await.expect("written");
    far.write_all(FRAMES[2]).await.expect("written");
    soon(connection.closed()).await;
    let error = connection.closed_error().expect("closed");
    assert_eq!((error.kind(), error.condition()), (ErrorKind::ClosedByPeer, Some(&ErrorCondition::NOT_FOUND)));
    assert!(error.to_string().contains("pr\u{fffd}f"), "{error}");
    let logged = warnings.logged();
    let [warning] = &logged[..] else { panic!("{logged:?}") };
    assert!(warning.contains("the peer's begin is malformed"), "{warning}");
    assert!(warning.contains("odd_advisory_data"), "{warning}");
}
