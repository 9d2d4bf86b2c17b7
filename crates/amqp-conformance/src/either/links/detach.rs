//! Detaching and closing (§2.6.4, §2.6.6, §2.7.7).

use super::{AnyLink, Checked, LinkTrial, transfer};
use crate::{
    case::Severity,
    either::cases,
    judge::should,
    verdict::{Outcome, Verdict},
};
use amqp1_codec::performative::{Detach, Performative};
use amqp1_script::{AmqpFrame, Got, frames};

cases! {
    "T-2.6.4-1/answer" as Receive like TRANSFER => detach_is_answered():
        "A detach frees the handle, and is answered by a detach (§2.6.4).",
        "detach with closed=false",
        "detach without an error";
    "T-2.6.6-1" as Receive like TRANSFER => close_is_answered_by_close():
        "A detach with closed=true is answered by one with closed=true (§2.6.6).",
        "detach with closed=true of a link on which the peer receives",
        "detach with closed=true";
    "T-2.6.6-1/sends" => close_of_sender_is_answered_by_close():
        "A detach with closed=true is answered by one with closed=true (§2.6.6).",
        "detach with closed=true of a link on which the peer sends, and has no credit",
        "detach with closed=true";
    "T-2.7.7-1/empty" as Receive like TRANSFER => empty_is_refused():
        "A detach has a handle (§2.7.7).",
        "a detach without fields",
        "a refusal with amqp:decode-error or amqp:invalid-field";
    "T-2.7.7-1/unattached" as Receive like TRANSFER => unattached_is_refused():
        "A detach on a handle to which no link is attached ends the session with unattached-handle (§2.7.7, §2.8.16).",
        "a detach of handle 42",
        "end with amqp:session:unattached-handle";
    "T-2.7.7-2/normal" as Receive like TRANSFER => no_error():
        "A detach without an error has no error field (§2.7.7).",
        "detach with closed=true",
        "detach without an error",
        severity: Severity::Should;
}

/// Detaches the link, and returns the peer's detach of it. A peer that ends more with it gives an outcome.
fn detached(link: &mut impl AnyLink, closed: bool) -> Result<Result<Detach, Outcome>, crate::Stop> {
    let handle = link.link().handle;
    link.send(Detach { closed, ..frames::detach(handle) });
    let (channel, peers) = (link.session().remote_channel, link.link().attach.handle);
    let connection = link.connection();
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        match &got {
            Got::Frame(AmqpFrame { channel: on, body: Some(Performative::Detach(detach)), .. })
                if *on == channel && detach.handle == peers =>
            {
                return Ok(Ok(Detach::clone(detach)));
            }
            Got::Frame(AmqpFrame { body: Some(Performative::End(_) | Performative::Close(_)), .. }) => {
                return Ok(Err(Outcome::new(Verdict::PassWider, format!("{}, without a detach", got.name()))));
            }
            _ if got.is_end() => return Ok(Err(Outcome::new(Verdict::PassWider, "the connection was dropped"))),
            _ if matches!(got.name(), "empty" | "flow" | "disposition") => {}
            _ => return Err(connection.unexpected("detach", got).into()),
        }
    }
}

fn detach_is_answered<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.sending(1)?;
    Ok(match detached(&mut link, false)? {
        Err(outcome) => outcome,
        Ok(Detach { error: Some(error), .. }) => {
            Outcome::fail(format!("a detach without an error is answered by one with {}", error.condition))
        }
        Ok(detach) => Outcome::pass_with(format!("closed={}", detach.closed)),
    })
}

fn closes(link: &mut impl AnyLink) -> Checked {
    Ok(match detached(link, true)? {
        Err(outcome) => outcome,
        Ok(detach) if !detach.closed => Outcome::fail("the answer has closed=false"),
        Ok(_) => link.closes_in_peace(),
    })
}

fn close_is_answered_by_close<T: LinkTrial>(trial: &mut T) -> Checked {
    closes(&mut trial.sending(1)?)
}

fn close_of_sender_is_answered_by_close<T: LinkTrial>(trial: &mut T) -> Checked {
    closes(&mut trial.receiving(1)?)
}

fn empty_is_refused<T: LinkTrial>(trial: &mut T) -> Checked {
    transfer::refuses_frame(trial, &[0, 0x53, 0x16, 0x45], transfer::undecodable())
}

fn unattached_is_refused<T: LinkTrial>(trial: &mut T) -> Checked {
    transfer::refuses_frame(trial, &[0, 0x53, 0x16, 0xc0, 3, 1, 0x52, 0x2a], transfer::unattached())
}

fn no_error<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.sending(1)?;
    should(Ok(match detached(&mut link, true)? {
        Err(outcome) => outcome,
        Ok(Detach { error: Some(error), .. }) => {
            Outcome::fail(format!("a detach without an error is answered by one with {}", error.condition))
        }
        Ok(_) => Outcome::pass(),
    }))
}
