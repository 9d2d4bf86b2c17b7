//! Helpers that the cases of links share.

use crate::{
    client::{Attaching, ClientTrial, receives_from_node, sends_to_node},
    either::links::{
        attach::{AttachTrial, Fields, UNREADABLE},
        octets::{FALSE, NULL, TRUE, ZERO, frame, list, uint},
    },
    judge::Refused,
    verdict::{Outcome, Stop},
};
use amqp1_codec::definitions::Role;

pub(super) type Checked = Result<Outcome, Stop>;

/// The encoded fields of a right answer to a client that has this role.
pub(super) fn answer_fields(name: &str, address: &str, handle: u32, clients: Role) -> Fields {
    let terminus = |code: u8| {
        let address = string(address);
        let size = u8::try_from(address.len().saturating_add(1)).unwrap_or(u8::MAX);
        [&[0, 0x53, code, 0xc0, size, 1][..], &address].concat()
    };
    let (source, target) = match clients {
        Role::Sender => (b"\0\x53\x28\x45".to_vec(), terminus(0x29)),
        Role::Receiver => (terminus(0x28), b"\0\x53\x29\x45".to_vec()),
    };
    let role = if clients == Role::Sender { TRUE } else { FALSE };
    let count = if clients == Role::Sender { NULL } else { ZERO };
    let start = [&string(name)[..], &uint(handle), role, NULL, NULL];
    start.into_iter().chain([&source[..], &target, NULL, NULL, count]).map(<[u8]>::to_vec).collect()
}

fn string(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    [&[0xb1][..], &length.to_be_bytes(), text.as_bytes()].concat()
}

/// Answers the attach of a client that has this role with this flaw, which has to be refused.
pub(super) fn flawed(trial: &mut ClientTrial<'_>, role: Role, flaw: fn(&mut Fields)) -> Checked {
    let Attaching { mut connection, session, attach, answer, .. } = trial.link_where(|attach| match role {
        Role::Sender => sends_to_node(attach),
        Role::Receiver => receives_from_node(attach),
    })?;
    let target = attach.target.as_ref().and_then(|target| target.as_target());
    let address = match role {
        Role::Sender => target.and_then(|target| target.address.as_deref()),
        Role::Receiver => attach.source.as_ref().and_then(|source| source.address.as_deref()),
    };
    let mut fields = answer_fields(&attach.name, address.unwrap_or_default(), answer.handle, role);
    flaw(&mut fields);
    let body = list(0x12, &fields.iter().map(Vec::as_slice).collect::<Vec<_>>());
    connection.raw(frame(session.channel, &body));
    Ok(Refused::at_any_scope().with(&UNREADABLE).judge_on(&session, &mut connection, trial.is_strict()))
}

impl AttachTrial for ClientTrial<'_> {
    fn refuses_flawed(&mut self, flaw: fn(&mut Fields)) -> Checked {
        flawed(self, Role::Sender, flaw)
    }
}
