//! The log of frames.

use amqp1_codec::{
    Decode, Reader,
    definitions::Role,
    frame::{Direction, FrameLine},
    performative::{Attach, Performative, Transfer},
};
use bytes::Bytes;
use std::{collections::HashMap, io::Write, sync::OnceLock};

/// The target of the frames' events.
pub(super) const TARGET: &str = "amqp1::frames";

/// Links whose payloads may be shown, at most: of others they are not.
const LINKS: usize = 4096;

/// The node to which tokens are put.
const CBS: &str = "$cbs";

/// The settings of the environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Environment {
    /// Frames are printed to standard error.
    pub(super) prints: bool,
    /// Octets of payloads that are shown.
    pub(super) body: usize,
}

impl Environment {
    /// The settings, read once.
    pub(super) fn get() -> Self {
        static ONCE: OnceLock<Environment> = OnceLock::new();
        *ONCE.get_or_init(|| Self::read(|name| std::env::var(name).ok()))
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let is_yes = |value: String| matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on");
        Self {
            prints: variable("AMQP1_TRACE_FRM").is_some_and(is_yes),
            body: variable("AMQP1_TRACE_FRM_BODY").and_then(|octets| octets.parse().ok()).unwrap_or(0),
        }
    }
}

/// Prints the frames of one connection, one line each.
#[derive(Debug)]
pub(super) struct FrameLog {
    connection: u64,
    body: usize,
    prints: bool,
    /// The links whose attaches were seen.
    links: HashMap<(Direction, u16, u32), Payloads>,
}

/// The state of the payloads on a link.
#[derive(Clone, Copy, Debug)]
struct Payloads {
    /// Whether they may be shown.
    shown: bool,
    /// Whether more of a message follows.
    continued: bool,
}

impl FrameLog {
    pub(super) fn new(connection: u64, environment: Environment) -> Self {
        Self { connection, body: environment.body, prints: environment.prints, links: HashMap::new() }
    }

    /// Prints a frame, of which these octets were kept.
    pub(super) fn print(&mut self, direction: Direction, frame: &Bytes, size: usize) {
        let line = self.line(direction, frame, size);
        tracing::trace!(target: TARGET, "{line}");
        if self.prints {
            // Where standard error is closed, the connection goes on without its log.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    fn line(&mut self, direction: Direction, frame: &Bytes, size: usize) -> String {
        let mut line = FrameLine::new(direction, frame).frame_len(size);
        if self.body > 0 && self.shows_payload(direction, frame) {
            line = line.body(self.body);
        }
        format!("[{:#x}]: {line}", self.connection)
    }

    /// Whether the payload of this frame may be shown. That of a link to `$cbs` is a token; what a link is whose attach was
    /// not seen is not known. Of a message in several frames only the first is shown: a secret may be cut anywhere, and
    /// its rest is not seen to be one.
    fn shows_payload(&mut self, direction: Direction, frame: &Bytes) -> bool {
        let Some(&[_, _, _, _, doff, 0, c0, c1]) = frame.first_chunk::<8>() else { return false };
        let start = usize::from(doff).saturating_mul(4);
        if start > frame.len() {
            return false;
        }
        let channel = u16::from_be_bytes([c0, c1]);
        match Performative::decode(&mut Reader::new(&frame.slice(start..))) {
            Ok(Performative::Attach(attach)) => {
                let key = (direction, channel, attach.handle);
                if attach.role == Role::Sender && (self.links.len() < LINKS || self.links.contains_key(&key)) {
                    self.links.insert(key, Payloads { shown: !is_for_tokens(&attach), continued: false });
                }
                false
            }
            Ok(Performative::Transfer(Transfer { handle, more, aborted, .. })) => {
                let Some(payloads) = self.links.get_mut(&(direction, channel, handle)) else { return false };
                let continues = std::mem::replace(&mut payloads.continued, more && !aborted);
                payloads.shown && !continues
            }
            _ => false,
        }
    }
}

fn is_for_tokens(attach: &Attach) -> bool {
    let target = attach.target.as_ref().and_then(|target| target.as_target());
    let target = target.and_then(|target| target.address.as_deref());
    let source = attach.source.as_ref().and_then(|source| source.address.as_deref());
    [target, source].into_iter().flatten().any(|address| address.trim_start_matches('/').eq_ignore_ascii_case(CBS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_codec::{
        EncodeStyle,
        frame::write_frame,
        messaging::Target,
        performative::{Flow, TargetArchetype},
    };
    use bytes::BytesMut;

    fn attach(handle: u32, address: &str) -> Bytes {
        let target = Target { address: Some(address.into()), ..Target::default() };
        let attach =
            Attach { name: "l".into(), handle, target: Some(TargetArchetype::from(target)), ..Attach::default() };
        let mut frame = BytesMut::new();
        write_frame(3, Some(&attach), EncodeStyle::Compact, &mut frame);
        frame.freeze()
    }

    fn transfer(handle: u32) -> Bytes {
        part(handle, false)
    }

    fn part(handle: u32, more: bool) -> Bytes {
        let mut frame = BytesMut::new();
        write_frame(3, Some(&Transfer { handle, more, ..Transfer::default() }), EncodeStyle::Compact, &mut frame);
        frame.extend_from_slice(b"payload");
        let size = u32::try_from(frame.len()).expect("it is short");
        frame[..4].copy_from_slice(&size.to_be_bytes());
        frame.freeze()
    }

    fn shown(log: &mut FrameLog, direction: Direction, frame: &Bytes) -> bool {
        log.line(direction, frame, frame.len()).contains("payload")
    }

    #[test]
    fn payloads_are_shown_if_asked_for_and_never_those_of_tokens() {
        let (out, incoming) = (Direction::Outgoing, Direction::Incoming);
        let mut log = FrameLog::new(1, Environment { prints: false, body: 100 });
        // Its attach was not seen.
        assert!(!shown(&mut log, out, &transfer(0)));
        for (handle, address) in [(0, "queue"), (1, "$cbs"), (2, "/$CBS")] {
            log.line(out, &attach(handle, address), 100);
        }
        assert!(shown(&mut log, out, &transfer(0)));
        assert!(!shown(&mut log, out, &transfer(1)));
        assert!(!shown(&mut log, out, &transfer(2)));
        assert!(!shown(&mut log, incoming, &transfer(0)), "another link");
        // The handle is used again.
        log.line(out, &attach(0, "$cbs"), 100);
        assert!(!shown(&mut log, out, &transfer(0)));

        let mut log = FrameLog::new(1, Environment::default());
        log.line(out, &attach(0, "queue"), 100);
        assert_eq!(log.line(out, &transfer(0), 100), "[0x1]: AMQP:FRAME:3 -> @transfer(20) [handle=0x0] (85)");
    }

    #[test]
    fn a_payload_that_goes_on_from_another_frame_is_not_shown() {
        let out = Direction::Outgoing;
        let mut log = FrameLog::new(1, Environment { prints: false, body: 100 });
        log.line(out, &attach(0, "queue"), 100);
        let parts = [part(0, true), part(0, true), part(0, false), part(0, false)];
        assert_eq!(parts.map(|part| shown(&mut log, out, &part)), [true, false, false, true]);
    }

    #[test]
    fn a_line_says_which_connection_it_is_of() {
        let mut frame = BytesMut::new();
        write_frame(1, Some(&Flow::default()), EncodeStyle::Compact, &mut frame);
        let line = FrameLog::new(26, Environment::default()).line(Direction::Incoming, &frame.freeze(), 20);
        assert!(line.starts_with("[0x1a]: AMQP:FRAME:1 <- @flow(19) ["), "{line}");
    }

    #[test]
    fn the_environment_says_what_is_printed() {
        let with = |frames: &'static str, body: &'static str| {
            Environment::read(|name| match name {
                "AMQP1_TRACE_FRM" => Some(frames.to_owned()),
                "AMQP1_TRACE_FRM_BODY" => Some(body.to_owned()),
                _ => None,
            })
        };
        assert_eq!(with("1", "64"), Environment { prints: true, body: 64 });
        assert_eq!(with("TRUE", "no"), Environment { prints: true, body: 0 });
        assert_eq!(with("0", ""), Environment::default());
        assert_eq!(Environment::read(|_| None), Environment::default());
    }
}
