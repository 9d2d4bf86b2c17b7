//! Judges a refusal, and its absence.

use crate::{
    verdict::{Outcome, Stop, Verdict},
    wire::Connection,
};
use amqp1_codec::{definitions::ErrorCondition, performative::Flow};
use amqp1_script::{AmqpFrame, Got, Refusal, Scope, Session, Unexpected, frames};
use std::time::Duration;

/// The refusal that a rule wants.
///
/// ```ignore
/// Refused::by(Scope::Session).with(&[ErrorCondition::WINDOW_VIOLATION]).judge(&mut connection, trial.is_strict())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    scope: Scope,
    conditions: &'static [ErrorCondition],
    passes_over: &'static [&'static str],
    may_drop: bool,
    is_any_scope: bool,
    has_closed: bool,
}

impl Refused {
    /// The narrowest scope at which the peer may refuse.
    pub const fn by(scope: Scope) -> Self {
        Self { scope, conditions: &[], passes_over: &[], may_drop: true, is_any_scope: false, has_closed: false }
    }

    /// At any scope, where the text names none: a refusal of the link, the session or the connection passes alike.
    pub const fn at_any_scope() -> Self {
        Self { is_any_scope: true, ..Self::by(Scope::Link) }
    }

    /// The conditions that the text names. Another one fails at `--level strict`, and is a remark otherwise.
    pub const fn with(self, conditions: &'static [ErrorCondition]) -> Self {
        Self { conditions, ..self }
    }

    /// The text does not name the scope: every wider one is as good.
    pub const fn or_wider(self) -> Self {
        Self { is_any_scope: true, ..self }
    }

    /// Frames that may come before the refusal, by name (`"attach"`), besides empty frames, flows and dispositions.
    pub const fn after(self, names: &'static [&'static str]) -> Self {
        Self { passes_over: names, ..self }
    }

    /// The tool has closed the connection behind what is to be refused: a close without an error answers that, and fails.
    pub const fn after_close(self) -> Self {
        Self { has_closed: true, ..self }
    }

    /// The peer must say why: a connection that is dropped without `close` fails.
    pub const fn in_words(self) -> Self {
        Self { may_drop: false, ..self }
    }

    /// Waits for the refusal and judges it.
    pub fn judge(&self, connection: &mut Connection, is_strict: bool) -> Outcome {
        let deadline = connection.now().saturating_add(connection.patience());
        self.judge_until(deadline, None, connection, is_strict)
    }

    /// The same on a session. The peer is asked for a flow by `echo`: once one comes, it has read what it should refuse,
    /// and a refusal is waited for no longer than a fifth of the patience.
    pub fn judge_on(&self, session: &Session, connection: &mut Connection, is_strict: bool) -> Outcome {
        let flow = Flow { next_incoming_id: Some(session.begin.next_outgoing_id), echo: true, ..frames::flow() };
        connection.send(session.channel, flow);
        let deadline = connection.now().saturating_add(connection.patience());
        self.judge_until(deadline, Some(connection.patience() / 5), connection, is_strict)
    }

    fn judge_until(
        &self,
        mut deadline: Duration,
        after_flow: Option<Duration>,
        connection: &mut Connection,
        is_strict: bool,
    ) -> Outcome {
        let mut is_accepted = false;
        loop {
            let got = connection.next_within(deadline.saturating_sub(connection.now()));
            if let Some(outcome) = self.judge_one(&got, is_strict) {
                return outcome;
            }
            if matches!(got, Got::Timeout { unfinished: 0, .. }) && width(self.scope) < width(Scope::Connection) {
                return self.judge_ignorance(&got, connection, is_strict);
            }
            let name = got.name();
            is_accepted |= name == "disposition";
            // Who closes the connection does not go on, but does not say why either. Who has accepted something before has
            // taken no offence.
            if name == "close" && !is_accepted {
                return self.judge_silent_close(is_strict);
            }
            let is_passed_over = matches!(name, "empty" | "flow" | "disposition") || self.passes_over.contains(&name);
            if let (Some(grace), "flow") = (after_flow, name) {
                deadline = deadline.min(connection.now().saturating_add(grace));
            }
            if !is_passed_over {
                let wanted = if self.is_any_scope { "detach, end or close" } else { closing_frame(self.scope) };
                return Outcome::fail(format!("expected {wanted} with an error, got {got}"));
            }
        }
    }

    /// Nothing has come in time. The peer may only be slow, so it is told that the connection is closed: a refusal that
    /// still comes counts, and one that closes in peace has refused nothing.
    fn judge_ignorance(&self, nothing: &Got, connection: &mut Connection, is_strict: bool) -> Outcome {
        let wanted = if self.is_any_scope { "detach, end or close" } else { closing_frame(self.scope) };
        connection.send(0, frames::close());
        let deadline = connection.now().saturating_add(connection.patience());
        loop {
            let got = connection.next_within(deadline.saturating_sub(connection.now()));
            if let Some(refusal) = Refusal::of(&got) {
                return self.judge_refusal(&refusal, is_strict);
            }
            if got.name() == "close" {
                return Outcome::fail(format!("expected {wanted} with an error, but the connection closes in peace"));
            }
            if got.is_end() || matches!(got, Got::Timeout { .. }) {
                return Outcome::fail(format!("expected {wanted} with an error, got {nothing}"));
            }
        }
    }

    /// Judges what came, if it is a refusal or the end of the connection.
    pub fn judge_one(&self, got: &Got, is_strict: bool) -> Option<Outcome> {
        match Refusal::of(got) {
            Some(refusal) => Some(self.judge_refusal(&refusal, is_strict)),
            None => got.is_end().then(|| self.judge_drop()),
        }
    }

    fn judge_refusal(&self, refusal: &Refusal, is_strict: bool) -> Outcome {
        let condition = &refusal.error.condition;
        let frame = closing_frame(refusal.scope);
        if width(refusal.scope) < width(self.scope) {
            return Outcome::fail(format!(
                "{frame} with {condition}, where the text wants {}",
                closing_frame(self.scope)
            ));
        }
        let is_wanted = self.conditions.is_empty() || self.conditions.contains(condition);
        let remark = if is_wanted {
            format!("{frame} with {condition}")
        } else {
            let wanted: Vec<String> = self.conditions.iter().map(ToString::to_string).collect();
            format!("{frame} with {condition}, where the text names {}", wanted.join(" or "))
        };
        if !is_wanted && is_strict {
            Outcome::fail(remark)
        } else if refusal.scope == self.scope || self.is_any_scope {
            Outcome::pass_with(remark)
        } else {
            Outcome::new(Verdict::PassWider, remark)
        }
    }

    /// Judges a close without an error.
    pub(crate) fn judge_silent_close(&self, is_strict: bool) -> Outcome {
        let reason = "close without an error";
        if self.may_drop && !is_strict && !self.has_closed {
            Outcome::new(Verdict::PassWider, reason)
        } else {
            Outcome::fail(reason)
        }
    }

    fn judge_drop(&self) -> Outcome {
        let reason = "the connection was dropped without close";
        if self.may_drop && self.is_any_scope {
            Outcome::pass_with(reason)
        } else if self.may_drop {
            Outcome::new(Verdict::PassWider, reason)
        } else {
            Outcome::fail(reason)
        }
    }
}

/// The frame that ends something at this scope.
const fn closing_frame(scope: Scope) -> &'static str {
    match scope {
        Scope::Link => "detach",
        Scope::Session => "end",
        Scope::Connection => "close",
    }
}

const fn width(scope: Scope) -> u8 {
    match scope {
        Scope::Link => 0,
        Scope::Session => 1,
        Scope::Connection => 2,
    }
}

/// Closes the connection, and passes if the peer answers in good order: it has taken no offence at what went before.
///
/// Frames other than a refusal are passed over until its close comes. After that, only the end of the stream may come
/// (§2.4.3).
pub fn closes_in_peace(connection: &mut Connection) -> Outcome {
    connection.send(0, frames::close());
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        if let Some(refusal) = Refusal::of(&got) {
            return Outcome::fail(format!("{} with {}", closing_frame(refusal.scope), refusal.error.condition));
        }
        match &got {
            Got::Frame(AmqpFrame { body: Some(body), .. }) if body.name() == "close" => return Outcome::pass(),
            Got::Frame(_) => {}
            _ => return Outcome::fail(format!("expected close, got {got}")),
        }
    }
}

/// The same for a client, which may drop the connection: that is for the rules of closing to judge.
pub fn closes_or_drops(connection: &mut Connection) -> Outcome {
    connection.send(0, frames::close());
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        if let Some(refusal) = Refusal::of(&got) {
            return Outcome::fail(format!("{} with {}", closing_frame(refusal.scope), refusal.error.condition));
        }
        match &got {
            Got::Frame(AmqpFrame { body: Some(body), .. }) if body.name() == "close" => return Outcome::pass(),
            Got::Frame(_) => {}
            _ if got.is_end() => return Outcome::pass(),
            _ => return Outcome::fail(format!("expected close, got {got}")),
        }
    }
}

/// The judgement of what the text forbids one end, without saying what the other does about it. A peer that tolerates it
/// fails at `--level strict` alone.
pub fn tolerable(outcome: Outcome, is_strict: bool) -> Outcome {
    match outcome.verdict {
        Verdict::Fail if !is_strict => Outcome::info(format!("{}; the text does not say what follows", outcome.reason)),
        _ => outcome,
    }
}

/// The judgement of a peer that falls silent where a rule forbids it something: it passes. That it does not answer is the
/// matter of other rules.
///
/// # Errors
///
/// If something came that was not expected.
pub fn nothing_more(unexpected: Unexpected) -> Result<Outcome, Stop> {
    match *unexpected.got {
        Got::Timeout { .. } => Ok(Outcome::pass_with("the peer does nothing more")),
        _ => Err(unexpected.into()),
    }
}

/// Passes if `check` does, for a SHOULD: a failure becomes a warning.
pub fn should(check: Result<Outcome, Stop>) -> Result<Outcome, Stop> {
    let softened = |outcome: Outcome| match outcome.verdict {
        Verdict::Fail => Outcome::warn(outcome.reason),
        _ => outcome,
    };
    match check {
        Ok(outcome) => Ok(softened(outcome)),
        Err(Stop::Known(outcome)) => Err(Stop::Known(softened(outcome))),
        Err(stop) => Err(stop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_text_does_not_say_fails_at_strict_alone() {
        assert_eq!(tolerable(Outcome::fail("accepted"), true).verdict, Verdict::Fail);
        let info = tolerable(Outcome::fail("accepted"), false);
        assert_eq!(
            (info.verdict, info.reason.as_str()),
            (Verdict::Info, "accepted; the text does not say what follows")
        );
        assert_eq!(tolerable(Outcome::pass(), false).verdict, Verdict::Pass);
    }
}
