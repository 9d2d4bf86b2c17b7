//! `$cbs`: tokens put on a connection.

use std::sync::Arc;

use amqp1::auth::cbs::{PutToken, Reply, Request};
use amqp1::{Delivery, Error, Receiver, Session};

use super::connection::Context;
use super::requests::Node;
use super::sasl::KNOWN_BY_CERTIFICATE;
use crate::messages::STYLE;
use crate::token::{Presented, claim, verify};

/// Answers requests until the link ends.
pub(super) async fn serve(context: Arc<Context>, session: Session, mut receiver: Receiver) {
    loop {
        let delivery = match receiver.recv().await {
            Ok(Some(delivery)) => delivery,
            Ok(None) => return,
            Err(error) => return tracing::debug!(%error, "a $cbs link ended"),
        };
        // On the heap: a link is quiet most of the time.
        if Box::pin(answer(&context, &session, &receiver, delivery)).await.is_err() {
            return;
        }
    }
}

/// Answers one request. An error if the link is gone.
async fn answer(context: &Context, session: &Session, requests: &Receiver, delivery: Delivery) -> Result<(), Error> {
    let request = Request::parse(delivery.message());
    let reply = match &request.operation {
        Ok(put) => {
            let reply = put_token(context, put);
            context.count_tokens();
            reply
        }
        Err(error) => Reply::from(*error),
    };
    if reply.status_code != 200 {
        let name = request.operation.as_ref().map(PutToken::name).unwrap_or_default();
        let why = reply.status_description.as_deref().unwrap_or_default();
        let claim = request.operation.as_ref().ok().and_then(|put| claim(put.token()));
        context.refused_claim("token", claim, name, why);
    }
    // The request first, as the real hub does: some clients look at its outcome before they look for an answer.
    delivery.accept()?;
    let reply_to = request.reply_to.as_ref().map(|address| address.as_str());
    let answer = reply.encode(&request, STYLE);
    context.replies.send((&Node::Cbs, session), requests, reply_to, answer).await;
    Ok(())
}

fn put_token(context: &Context, put: &PutToken) -> Reply {
    if !put.token_type().is_sas() || !put.token().starts_with("SharedAccessSignature ") {
        return Reply::new(400, "400004 ArgumentInvalid; this hub takes shared access signatures only");
    }
    if context.shared.hub(|hub, _| context.grants.takes_no_tokens(hub)) {
        return Reply::new(401, format!("401002 IotHubUnauthorizedAccess; {KNOWN_BY_CERTIFICATE}"));
    }
    let result = context.shared.hub(|hub, now| {
        let verified = verify(hub, now, Presented::Cbs, put.token());
        verified.map(|verified| (now, verified))
    });
    match result {
        Ok((now, verified)) => match context.grants.put(now, verified) {
            Ok(()) => Reply::accepted(),
            Err(error) => Reply::new(403, error.to_string()),
        },
        Err(error) => Reply::new(error.cbs_status(), error.to_string()),
    }
}
