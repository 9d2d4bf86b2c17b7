//! Frames that the peer takes (§2.7.1). What would need a larger one is an error of the call that asks for it; what
//! only explains an error is cut.

use super::Connection;
use crate::{
    config::{ConnectionConfig, SessionConfig},
    error::{ApiMisuse, ConnectionError},
    link::Link,
    store::LinkId,
};
use alloc::string::String;
use amqp1_codec::{
    Encode, EncodeStyle, SequenceNo,
    definitions::{AmqpError, ErrorCondition, Fields, Role},
    frame::MIN_MAX_FRAME_SIZE,
    messaging::DeliveryState,
    performative::{Attach, Begin, Disposition, Flow, Open, Performative},
};

/// Octets of a frame's header (§2.3.1).
const HEADER: usize = 8;

/// Octets of the longest condition that stays whatever the frame.
const SHORT_CONDITION: usize = 128;

/// The octets that numbers of an attach that were not known when it was measured may add, and an empty map of unsettled
/// deliveries.
const ATTACH_MARGIN: usize = 16;

impl ConnectionConfig {
    /// The open that says this.
    pub(super) fn open(&self, idle_time_out: Option<u32>) -> Open {
        Open {
            container_id: self.container_id.clone(),
            hostname: self.hostname.clone(),
            max_frame_size: self.max_frame_size,
            channel_max: self.channel_max,
            idle_time_out,
            offered_capabilities: self.offered_capabilities.clone().into(),
            desired_capabilities: self.desired_capabilities.clone().into(),
            properties: (!self.properties.is_empty()).then(|| self.properties.clone()),
            ..Open::default()
        }
    }

    /// Whether a client can open a connection with this: its open is written before it knows what the peer takes, and
    /// has 512 octets at most (§2.4.1).
    ///
    /// # Errors
    ///
    /// [`ConnectionError::OpenTooLarge`].
    pub fn check_open(&self) -> Result<(), ConnectionError> {
        let open = self.open(self.idle_timeout.map(|_| u32::MAX));
        let max = usize::try_from(MIN_MAX_FRAME_SIZE).unwrap_or(usize::MAX);
        let size = frame_len(&open, self.style);
        if size > max { Err(ConnectionError::OpenTooLarge { size, max }) } else { Ok(()) }
    }
}

impl Connection {
    /// Fails if the peer does not take this in a frame.
    pub(super) fn check_frame<T: Encode>(&self, body: &T) -> Result<(), ApiMisuse> {
        self.check_size(frame_len(body, self.config.style))
    }

    fn check_size(&self, size: usize) -> Result<(), ApiMisuse> {
        let max = self.remote_max_frame_size();
        if size > max { Err(ApiMisuse::FrameTooLarge { size, max }) } else { Ok(()) }
    }

    /// Fails if the peer does not take our begin.
    pub(super) fn check_begin(&self, config: &SessionConfig, remote_channel: Option<u16>) -> Result<(), ApiMisuse> {
        self.check_frame(&Begin {
            remote_channel,
            next_outgoing_id: config.next_outgoing_id,
            incoming_window: config.incoming_window,
            outgoing_window: config.outgoing_window,
            handle_max: config.handle_max,
            properties: (!config.properties.is_empty()).then(|| config.properties.clone()),
            ..Begin::default()
        })
    }

    /// Fails if the peer does not take our attach. Unsettled deliveries do not count: as many are named as there is
    /// room for.
    pub(super) fn check_attach(&self, attach: &Attach) -> Result<(), ApiMisuse> {
        self.check_size(frame_len(attach, self.config.style).saturating_add(ATTACH_MARGIN))
    }

    /// Fails if the peer does not take our flows of a link with these properties.
    pub(super) fn check_flow(&self, properties: Fields) -> Result<(), ApiMisuse> {
        const MOST: SequenceNo = SequenceNo(u32::MAX);
        self.check_frame(&Flow {
            next_incoming_id: Some(MOST),
            incoming_window: u32::MAX,
            next_outgoing_id: MOST,
            outgoing_window: u32::MAX,
            handle: Some(u32::MAX),
            delivery_count: Some(MOST),
            link_credit: Some(u32::MAX),
            available: Some(u32::MAX),
            drain: true,
            properties: Some(properties),
            ..Flow::default()
        })
    }

    /// Fails if the peer does not take a disposition with this state, shortened where that takes only the explanation
    /// of an error.
    #[inline]
    pub(super) fn check_state(&self, state: &DeliveryState) -> Result<(), ApiMisuse> {
        if is_short(state) { Ok(()) } else { self.check_long_state(state) }
    }

    #[cold]
    fn check_long_state(&self, state: &DeliveryState) -> Result<(), ApiMisuse> {
        const MOST: SequenceNo = SequenceNo(u32::MAX);
        let (max, style) = (self.remote_max_frame_size(), self.config.style);
        let mut state = state.clone();
        loop {
            let disposition = Disposition {
                role: Role::Sender,
                first: MOST,
                last: Some(MOST),
                settled: true,
                state: Some(state.clone()),
                ..Disposition::default()
            };
            let size = frame_len(&disposition, style);
            let Some(excess) = size.checked_sub(max).filter(|excess| *excess > 0) else { return Ok(()) };
            let error = rejection(&mut state);
            if !error.is_some_and(|error| shorten_error(error, excess)) {
                return Err(ApiMisuse::FrameTooLarge { size, max });
            }
        }
    }

    /// A link whose attach is known to be too large ends for its application; a frame of it was never written.
    pub(super) fn attach_too_large(&self, id: LinkId) -> bool {
        let own = |link: &&Link| link.remote.is_none();
        self.links.get(id).filter(own).is_some_and(|link| self.check_attach(&link.local).is_err())
    }
}

/// The error for a frame that does not fit, for the peer or the application.
pub(super) fn too_large() -> AmqpError {
    let text = "the frame is larger than the peer's max-frame-size";
    AmqpError::new(ErrorCondition::FRAME_SIZE_TOO_SMALL, text)
}

fn frame_len<T: Encode>(body: &T, style: EncodeStyle) -> usize {
    body.encoded_len(style).saturating_add(HEADER)
}

/// Whether a disposition with this state fits the smallest frame.
#[inline]
fn is_short(state: &DeliveryState) -> bool {
    /// Octets of a transaction's id.
    const ID: usize = 255;
    match state {
        DeliveryState::Accepted
        | DeliveryState::Released
        | DeliveryState::Received(_)
        | DeliveryState::Rejected(None) => true,
        DeliveryState::Modified(state) => state.message_annotations.is_none(),
        DeliveryState::Declared(state) => state.txn_id.len() <= ID,
        DeliveryState::Transactional(state) => {
            state.txn_id.len() <= ID
                && !matches!(
                    state.outcome.as_deref(),
                    Some(DeliveryState::Rejected(Some(_)) | DeliveryState::Extension(_) | DeliveryState::Modified(_))
                )
        }
        DeliveryState::Rejected(Some(_)) | DeliveryState::Extension(_) => false,
    }
}

/// The error that a state explains itself with.
fn rejection(state: &mut DeliveryState) -> Option<&mut AmqpError> {
    match state {
        DeliveryState::Rejected(error) => error.as_deref_mut(),
        DeliveryState::Transactional(state) => match state.outcome.as_deref_mut() {
            Some(DeliveryState::Rejected(error)) => error.as_deref_mut(),
            _ => None,
        },
        _ => None,
    }
}

/// Leaves out of a frame's error what makes it too large by this much, its explanation first; whether there was
/// something.
pub(super) fn shorten(body: &mut Performative, excess: usize) -> bool {
    let error = match body {
        Performative::Disposition(body) => {
            return body.state.as_mut().and_then(rejection).is_some_and(|error| shorten_error(error, excess));
        }
        Performative::Detach(body) => body.error.as_mut(),
        Performative::End(body) => body.error.as_mut(),
        Performative::Close(body) => body.error.as_mut(),
        _ => None,
    };
    let Some(error) = error else { return false };
    if shorten_error(error, excess) {
        return true;
    }
    // An end is worth more than its reason.
    let long = error.condition.as_str().len() > SHORT_CONDITION;
    if long {
        *error =
            AmqpError::new(ErrorCondition::INTERNAL_ERROR, "the condition is larger than the peer's max-frame-size");
    }
    long
}

/// Leaves out the info of an error, or cuts its description; whether there was something to leave out.
fn shorten_error(error: &mut AmqpError, excess: usize) -> bool {
    /// The mark of a text that was cut.
    const DOTS: &str = "...";
    if error.info.take().is_some() {
        return true;
    }
    let Some(description) = error.description.take() else { return false };
    let left = description.len().saturating_sub(excess).saturating_sub(DOTS.len());
    let kept = cut(description.as_str(), left);
    if !kept.is_empty() {
        let mut text = String::from(kept);
        text.push_str(DOTS);
        error.description = Some(text.into());
    }
    true
}

/// The beginning of a text, in whole characters.
pub(super) fn cut(text: &str, octets: usize) -> &str {
    let mut end = octets.min(text.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}
