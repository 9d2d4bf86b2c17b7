//! A program without std around the four crates that promise to need none: it has its own panic handler and its own
//! allocator. A dependency that brings std brings a second panic handler, and the build fails.
#![no_std]

#[cfg(feature = "std-on-purpose")]
extern crate std;

use amqp1_auth::UnixSeconds;
use amqp1_auth::sas::{PercentEncoding, SasKey, SasToken};
use amqp1_broker::terminus::{HeldMessage, Selector};
use amqp1_codec::{Message, message::Body};
use amqp1_engine::{Connection, ConnectionConfig, Event, Instant, ServerSasl, TransmitQueue};
use bytes::{Bytes, BytesMut};
use linked_list_allocator::LockedHeap;

#[global_allocator]
static HEAP: LockedHeap = LockedHeap::empty();

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Gives the allocator its memory. To be called once, before anything else.
///
/// # Safety
///
/// `start` points to `len` writable octets that nobody else uses from now on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn amqp1_give_memory(start: *mut u8, len: usize) {
    // SAFETY: the caller's promise, passed on.
    unsafe { HEAP.lock().init(start, len) };
}

/// Runs a piece of each crate; the answer is 0, or the number of the piece that went wrong.
#[unsafe(no_mangle)]
pub extern "C" fn amqp1_exercise() -> u32 {
    if codec().is_none() {
        return 1;
    }
    if auth().is_none() {
        return 2;
    }
    if engine().is_none() {
        return 3;
    }
    if broker().is_none() {
        return 4;
    }
    0
}

fn codec() -> Option<()> {
    let encoded = Message::builder().application_property("n", 7_u32).data(Bytes::from_static(b"body")).build();
    let decoded = Message::from_chunks(encoded.into_parts()).ok()?;
    let property = decoded.application_property("n").ok()?.is_some();
    (property && decoded.data()? == b"body"[..] && serde()?).then_some(())
}

/// The codec's feature of this name.
fn serde() -> Option<bool> {
    let sent = Message::builder().serialized(&("text", [1_u8, 2])).ok()?.build();
    let received = Message::from_chunks(sent.into_parts()).ok()?;
    let Body::Value(body) = received.body() else { return None };
    Some(body.deserialize::<(&str, [u8; 2])>().ok()? == ("text", [1, 2]))
}

fn auth() -> Option<()> {
    let key = SasKey::from_base64("YSBrZXkgdGhhdCBvbmx5IHRoaXMgdGVzdCBrbm93cw==").ok()?;
    let token = key.sign("hub.example", PercentEncoding::Component, UnixSeconds::new(1_800_000_000), Some("service"));
    let token = SasToken::parse(token.as_str()).ok()?;
    token.verify(&key, UnixSeconds::new(1_799_999_999)).ok()?;
    token.verify(&key, UnixSeconds::new(1_900_000_000)).err()?;
    Some(())
}

fn engine() -> Option<()> {
    let now = Instant::default();
    let mut client = Connection::client(ConnectionConfig::new("client"), None, now);
    let mut server = Connection::server(ConnectionConfig::new("server"), ServerSasl::None, now);
    for _ in 0..4 {
        carry(&mut client, &mut server, now);
        carry(&mut server, &mut client, now);
    }
    matches!(client.poll_event()?, Event::Opened).then_some(())
}

fn broker() -> Option<()> {
    let sent = Message::builder().application_property("n", 7_u32).data(Bytes::from_static(b"body")).build();
    let mut held = HeldMessage::new(Message::from_chunks(sent.into_parts()).ok()?, Instant::default()).ok()?;
    let passes = Selector::parse("n * 2 = 14").ok()?.matches(&held);
    (passes && held.acquire(1, Instant::default()).is_some()).then_some(())
}

/// What one end has to say, given to the other.
fn carry(from: &mut Connection, to: &mut Connection, now: Instant) {
    let mut wire = TransmitQueue::default();
    from.transmit(now, usize::MAX, &mut wire);
    to.handle_input(now, &mut BytesMut::from(wire.to_vec().as_slice()));
}
