//! Errors of transactions, as errors of this crate.

use crate::types::error::{Delivered, Error, ErrorKind};
use amqp1_codec::definitions::{AmqpError, ErrorCondition};
use amqp1_engine::transaction::ControllerError;

/// This end has asked for what must not be.
pub(crate) fn of_rules(error: ControllerError) -> Error {
    let kind = match error {
        ControllerError::UnknownTransaction => ErrorKind::RolledBack,
        _ => ErrorKind::Config,
    };
    Error::new(kind, error.to_string())
}

/// The coordinator has refused to declare a transaction, or has not answered.
pub(crate) fn not_declared(refusal: Option<AmqpError>, failure: Option<Error>) -> Error {
    match (refusal, failure) {
        (None, Some(failure)) => failure,
        (refusal, _) => Error::new(ErrorKind::Rejected, "the coordinator declared no transaction").with_amqp(refusal),
    }
}

/// The coordinator has rolled the transaction back rather than commit it.
pub(crate) fn refused(error: Option<AmqpError>) -> Error {
    Error::new(ErrorKind::RolledBack, "the coordinator has rolled the transaction back").with_amqp(error)
}

/// The control link is gone, and with it the transaction (§4.2); or it could not be asked for the commit, which will not
/// come then.
pub(crate) fn lost(failure: Error) -> Error {
    let text = match failure.kind() {
        ErrorKind::Timeout => "the coordinator could not be asked to commit the transaction, which is not committed",
        _ => "the control link is gone, and the transaction is rolled back",
    };
    rolled_back(text, failure)
}

/// At the end that keeps transactions: there is no such one, or not any more.
pub(crate) fn undeclared() -> Error {
    Error::new(ErrorKind::RolledBack, "the transaction is over, or was never declared")
}

/// A delivery that was acquired within a transaction is not this end's any more.
pub(crate) fn taken_back() -> Error {
    let text = "the transaction within which the message was acquired was rolled back: the source has it again";
    Error::new(ErrorKind::RolledBack, text)
}

/// At the end that keeps transactions: the controller is not told what became of its commit.
pub(crate) fn unanswerable(failure: Error, committed: bool) -> Error {
    let text = match committed {
        true => "the transaction is committed, and its control link is gone, so that the controller is not told",
        false => "the transaction is rolled back, and its control link is gone",
    };
    let kind = failure.kind();
    Error::new(kind, text).with_amqp(failure.amqp_error().cloned()).with_source(failure)
}

/// It was rolled back at this end, because a part of it had failed.
pub(crate) fn spoilt(failure: Error) -> Error {
    rolled_back("a message of the transaction was not posted, so that it was rolled back", failure)
}

/// It was rolled back at this end, because more could have been acquired outside of it.
pub(crate) fn undrained(failure: Error) -> Error {
    rolled_back("the credit of a link that acquired within the transaction could not be taken back", failure)
}

fn rolled_back(text: &'static str, failure: Error) -> Error {
    let error = Error::new(ErrorKind::RolledBack, text).with_amqp(failure.amqp_error().cloned());
    error.with_retry(failure.retry()).with_source(failure)
}

/// The commit was asked for, and there was no answer. The coordinator may yet have said what became of it, when it
/// detached the control link (§4.3): of this one, if it was `alone`.
pub(crate) fn unanswered(failure: Error, alone: bool) -> Error {
    let undone = [ErrorCondition::TRANSACTION_ROLLBACK, ErrorCondition::TRANSACTION_UNKNOWN_ID];
    if alone && failure.condition().is_some_and(|condition| undone.contains(condition)) {
        return refused(failure.amqp_error().cloned());
    }
    let text = format!("the commit was not answered ({failure}): whether the transaction was committed is not known");
    Error::new(ErrorKind::InDoubt, text).with_source(failure).with_delivered(Delivered::Unknown)
}

/// The commit was settled, and not with what answers it (§4.3).
pub(crate) fn unclear() -> Error {
    let text = "the coordinator settled the commit without saying whether the transaction was committed";
    Error::new(ErrorKind::InDoubt, text).with_delivered(Delivered::Unknown)
}
