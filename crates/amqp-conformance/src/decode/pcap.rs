//! Captures of packets.

use super::{DecodeOptions, frame, streams::Stream};
use amqp1_script::Got;
use etherparse::{LaxNetSlice, LaxSlicedPacket, SlicedPacket, TransportSlice};
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError as ReadError, create_reader};
use std::{
    collections::HashMap,
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// A capture that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PcapError {
    /// It is damaged.
    #[error("the capture cannot be read: {0}")]
    Damaged(String),
    /// Its packets are of a network that is not known here.
    #[error("packets of link type {0} cannot be read: capture on Ethernet, `any` or the loopback interface")]
    LinkType(i32),
}

/// The largest packet or block that is read, in octets.
const MAX_BLOCK: usize = 4 * 1024 * 1024;
/// The connections of which streams are kept.
const MAX_STREAMS: usize = 65_536;

/// Returns `true` if this begins as a capture.
pub(super) fn is_pcap(input: &[u8]) -> bool {
    let beginnings: [&[u8]; 5] =
        [b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1", b"\x0a\x0d\x0d\x0a"];
    beginnings.iter().any(|beginning| input.starts_with(beginning))
}

/// One packet, as it was captured.
struct Packet<'a> {
    /// The time since the epoch.
    at: Duration,
    link: Linktype,
    octets: &'a [u8],
}

struct Segment<'a> {
    from: SocketAddr,
    to: SocketAddr,
    sequence: u32,
    is_syn: bool,
    payload: &'a [u8],
}

/// The frames of every AMQP connection, in the order of the packets.
pub(super) fn decode(input: &[u8], options: &DecodeOptions) -> Result<String, PcapError> {
    let mut decoder =
        Decoder { options: *options, first: None, streams: HashMap::new(), text: String::new(), unknown: None };
    read(input, |packet| decoder.packet(&packet))?;
    match decoder.unknown {
        Some(link) if decoder.text.is_empty() => Err(PcapError::LinkType(link)),
        _ => Ok(decoder.finish()),
    }
}

struct Decoder {
    options: DecodeOptions,
    first: Option<Duration>,
    streams: HashMap<(SocketAddr, SocketAddr), Stream>,
    text: String,
    /// A link type that cannot be read.
    unknown: Option<i32>,
}

impl Decoder {
    fn packet(&mut self, packet: &Packet<'_>) {
        let segment = match segment(packet) {
            Ok(Some(segment)) => segment,
            Ok(None) => return,
            Err(Linktype(link)) => {
                self.unknown = Some(link);
                return;
            }
        };
        let (from, to) = (segment.from, segment.to);
        let is_named = self.options.port.is_some_and(|port| from.port() == port || to.port() == port);
        if self.streams.len() >= MAX_STREAMS && !self.streams.contains_key(&(from, to)) {
            return;
        }
        let stream = self.streams.entry((from, to)).or_insert_with(|| Stream::new(is_named));
        if segment.is_syn && stream.begin(segment.sequence) {
            *stream = Stream::new(is_named);
            stream.begin(segment.sequence);
        }
        let got = stream.segment(segment.sequence.wrapping_add(u32::from(segment.is_syn)), segment.payload);
        let at = packet.at.saturating_sub(*self.first.get_or_insert(packet.at));
        let prefix = format!("{:>5}.{:06} {from} -> {to} ", at.as_secs(), at.subsec_micros());
        for got in got {
            match got {
                // Where a capture begins, or has lost a packet, these octets may be the middle of a secret.
                Got::Undecodable { octets, .. } if !self.options.shows_secrets && !stream.has_beginning() => {
                    let count = octets.len();
                    writeln!(self.text, "{prefix}{count} octets that begin no frame").unwrap_or_default();
                }
                got => frame(&mut self.text, &prefix, &got, self.options.shows_secrets),
            }
        }
    }

    fn finish(mut self) -> String {
        let mut left: Vec<_> = self.streams.iter().filter(|(_, stream)| stream.is_amqp()).collect();
        left.sort_by_key(|(ends, _)| **ends);
        for ((from, to), stream) in left {
            // Writing to a `String` does not fail.
            if stream.after_gap() > 0 {
                let octets = stream.after_gap();
                writeln!(self.text, "{from} -> {to}: {octets} octets follow a packet that was not captured")
                    .unwrap_or_default();
            }
            if stream.unfinished() > 0 {
                let octets = stream.unfinished();
                writeln!(self.text, "{from} -> {to}: {octets} octets of a frame that was not finished")
                    .unwrap_or_default();
            }
        }
        self.text
    }
}

/// The TCP segment of a packet; `None` for other packets.
fn segment<'a>(packet: &Packet<'a>) -> Result<Option<Segment<'a>>, Linktype> {
    let ip = |skipped: usize| packet.octets.get(skipped..).and_then(|octets| LaxSlicedPacket::from_ip(octets).ok());
    let sliced = match packet.link {
        Linktype::ETHERNET => LaxSlicedPacket::from_ethernet(packet.octets).ok(),
        // The family, in the order of the machine that captured.
        Linktype::NULL | Linktype::LOOP => ip(4),
        Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 | Linktype(12 | 14) => ip(0),
        Linktype::LINUX_SLL => {
            // The header has 16 octets; it must be one of IP for that.
            SlicedPacket::from_linux_sll(packet.octets).ok().and_then(|_| ip(16))
        }
        Linktype::LINUX_SLL2 => ip(20),
        other => return Err(other),
    };
    Ok(sliced.and_then(|sliced| tcp(&sliced)))
}

fn tcp<'a>(packet: &LaxSlicedPacket<'a>) -> Option<Segment<'a>> {
    let (from, to): (IpAddr, IpAddr) = match packet.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        LaxNetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        LaxNetSlice::Arp(_) => return None,
    };
    let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { return None };
    Some(Segment {
        from: SocketAddr::new(from, tcp.source_port()),
        to: SocketAddr::new(to, tcp.destination_port()),
        sequence: tcp.sequence_number(),
        is_syn: tcp.syn(),
        payload: tcp.payload(),
    })
}

/// An interface of a capture: its link type, and its units of time.
#[derive(Clone, Copy)]
struct Interface {
    link: Linktype,
    offset: u64,
    resolution: u64,
}

/// Reads every packet.
fn read(input: &[u8], mut each: impl FnMut(Packet<'_>)) -> Result<(), PcapError> {
    let damaged = |error: &dyn std::fmt::Debug| PcapError::Damaged(format!("{error:?}").chars().take(80).collect());
    let mut reader =
        create_reader(MAX_BLOCK.min(input.len().max(1024)), input).map_err(|error| damaged(&kind(&error)))?;
    let mut interfaces: Vec<Interface> = Vec::new();
    let (mut link, mut is_nano) = (Linktype::ETHERNET, false);
    let mut is_refilled = false;
    loop {
        let offset = match reader.next() {
            Ok((offset, block)) => {
                match block {
                    PcapBlockOwned::LegacyHeader(header) => {
                        (link, is_nano) = (header.network, header.is_nanosecond_precision());
                    }
                    PcapBlockOwned::Legacy(packet) => {
                        let nanos = if is_nano { packet.ts_usec } else { packet.ts_usec.saturating_mul(1000) };
                        let at = Duration::from_secs(packet.ts_sec.into())
                            .saturating_add(Duration::from_nanos(nanos.into()));
                        each(Packet { at, link, octets: captured(packet.data, packet.caplen) });
                    }
                    PcapBlockOwned::NG(Block::SectionHeader(_)) => interfaces.clear(),
                    PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => interfaces.push(Interface {
                        link: interface.linktype,
                        offset: u64::try_from(interface.ts_offset()).unwrap_or_default(),
                        resolution: interface.ts_resolution().unwrap_or(1_000_000),
                    }),
                    PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                        let index = usize::try_from(packet.if_id).unwrap_or(usize::MAX);
                        if let Some(interface) = interfaces.get(index) {
                            let at = packet.decode_ts_f64(interface.offset, interface.resolution);
                            let at = Duration::try_from_secs_f64(at).unwrap_or_default();
                            each(Packet { at, link: interface.link, octets: captured(packet.data, packet.caplen) });
                        }
                    }
                    PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                        if let Some(interface) = interfaces.first() {
                            let octets = captured(packet.data, packet.origlen);
                            each(Packet { at: Duration::ZERO, link: interface.link, octets });
                        }
                    }
                    PcapBlockOwned::NG(_) => {}
                }
                offset
            }
            // A capture that was cut off gives what it has.
            Err(ReadError::Eof | ReadError::UnexpectedEof) => return Ok(()),
            Err(ReadError::Incomplete(_)) if !is_refilled => {
                is_refilled = true;
                reader.refill().map_err(|error| damaged(&kind(&error)))?;
                continue;
            }
            Err(ReadError::Incomplete(_)) => return Ok(()),
            Err(error) => return Err(damaged(&kind(&error))),
        };
        is_refilled = false;
        reader.consume(offset);
    }
}

/// The error without the octets at which it occurred.
fn kind(error: &ReadError<&[u8]>) -> &'static str {
    match error {
        ReadError::HeaderNotRecognized => "the header is not that of a capture",
        ReadError::BufferTooSmall => "a packet is too large",
        ReadError::ReadError => "it cannot be read",
        _ => "a block of it is damaged",
    }
}

/// The packet without the padding that may follow it.
fn captured(data: &[u8], length: u32) -> &[u8] {
    usize::try_from(length).ok().and_then(|length| data.get(..length)).unwrap_or(data)
}
