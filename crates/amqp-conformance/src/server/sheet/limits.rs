//! Finds out the limits of a server's sessions and links, and the modes to which it agrees.

use super::Sheet;
use crate::server::{Begun, ServerTrial};
use amqp1_codec::{
    definitions::{ReceiverSettleMode, SenderSettleMode},
    messaging::{Source, TerminusDurability, TerminusExpiryPolicy},
    performative::Attach,
};
use amqp1_script::frames;

const SENDER_MODES: [(SenderSettleMode, &str); 3] = [
    (SenderSettleMode::Unsettled, "unsettled"),
    (SenderSettleMode::Settled, "settled"),
    (SenderSettleMode::Mixed, "mixed"),
];
const RECEIVER_MODES: [(ReceiverSettleMode, &str); 2] =
    [(ReceiverSettleMode::First, "first"), (ReceiverSettleMode::Second, "second")];

pub(super) fn add(trial: &mut ServerTrial<'_>, sheet: &mut Sheet) {
    if let Ok(Begun { session, .. }) = trial.begun() {
        sheet.handle_max = Some(session.begin.handle_max);
    }
    let node = trial.node();
    for (mode, name) in SENDER_MODES {
        let attach = Attach { snd_settle_mode: mode, ..frames::attach_sender("detect-mode", 0, node) };
        if let Some(reply) = answer(trial, attach) {
            sheet.max_message_size = reply.max_message_size.filter(|octets| *octets > 0);
            if reply.snd_settle_mode == mode {
                sheet.sender_settle_modes.push(String::from(name));
            }
        }
    }
    for (mode, name) in RECEIVER_MODES {
        let attach = Attach { rcv_settle_mode: mode, ..frames::attach_sender("detect-mode", 0, node) };
        if answer(trial, attach).is_some_and(|reply| reply.rcv_settle_mode == mode) {
            sheet.receiver_settle_modes.push(String::from(name));
        }
    }
    let source = Source {
        durable: TerminusDurability::UnsettledState,
        expiry_policy: TerminusExpiryPolicy::Never,
        ..Source::at(node)
    };
    let attach = Attach { source: Some(Box::new(source)), ..frames::attach_receiver("detect-durability", 0, node) };
    let granted = answer(trial, attach).and_then(|reply| reply.source).map(|source| source.durable);
    sheet.durability = granted.map(|durability| {
        String::from(match durability {
            TerminusDurability::None => "none",
            TerminusDurability::Configuration => "configuration",
            TerminusDurability::UnsettledState => "unsettled-state",
        })
    });
}

/// The server's answer to an attach; the link is closed after it, so that nothing is kept.
fn answer(trial: &mut ServerTrial<'_>, attach: Attach) -> Option<Attach> {
    let mut attached = trial.attached(attach).ok()?;
    let reply = attached.link.attach.clone();
    attached.connection.detached(&attached.link).ok()?;
    Some(reply)
}
