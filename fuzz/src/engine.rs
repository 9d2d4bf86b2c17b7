//! What each target of the engine does with its octets.

use amqp1_codec::{Symbol, sasl::SaslCode};
use amqp1_engine::{Connection, ConnectionConfig, Event, Instant, ServerSasl, TransmitQueue};
use bytes::BytesMut;

/// Octets of a client that has not authenticated yet, to a server that demands SASL. The first octet says what the
/// server answers and how the octets are cut. No panic, and the answers stay in proportion to what was sent.
pub fn sasl_server(octets: &[u8]) {
    /// A header and a list of mechanisms, and what may be said to close.
    const GREETING: usize = 1_024;
    let Some((choice, octets)) = octets.split_first() else { return };
    let now = Instant::default();
    let mechanisms = ["PLAIN", "ANONYMOUS", "EXTERNAL"].map(Symbol::from_static).to_vec();
    let sasl = if choice & 1 == 0 { ServerSasl::Required(mechanisms) } else { ServerSasl::Allowed(mechanisms) };
    let mut server = Connection::server(ConnectionConfig::new("server"), sasl, now);
    let (mut sent, mut challenges) = (0, 0);
    for piece in octets.chunks(usize::from(choice >> 2) + 1) {
        let mut input = BytesMut::from(piece);
        server.handle_input(now, &mut input);
        while let Some(event) = server.poll_event() {
            assert!(!format!("{event:?}").is_empty());
            match event {
                Event::SaslInit { .. } if choice & 2 == 0 => {
                    challenges += 1;
                    server.sasl_challenge(vec![challenges; 16].into());
                }
                Event::SaslInit { .. } => server.sasl_outcome(SaslCode::Ok, None),
                Event::SaslResponse(_) if challenges < 3 => {
                    challenges += 1;
                    server.sasl_challenge(vec![challenges; 16].into());
                }
                Event::SaslResponse(_) => server.sasl_outcome(SaslCode::Auth, None),
                _ => {}
            }
        }
        let mut out = TransmitQueue::default();
        server.transmit(now, usize::MAX, &mut out);
        sent += out.remaining();
    }
    assert!(sent <= GREETING + 16 * octets.len(), "{sent} octets for {}", octets.len());
}
