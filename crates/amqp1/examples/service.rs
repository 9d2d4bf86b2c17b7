//! A service behind a broker, which answers the requests of a queue:
//! `cargo run -p amqp1 --example service -- amqp://localhost prices`. The example `caller` asks it, and `broker` is a broker.
//! For a service that clients connect to without a broker, see the example `requests`.
//!
//! A request's body is the name of an item. An answer's body is its price, or a text that says why there is none; then the
//! application property `error` has a word for programs.

mod tool;

use amqp1::{
    Error, Message, MessageBuilder,
    error::{AmqpError, ErrorCondition},
    request::{IncomingRequest, Responder},
};
use clap::Parser;
use std::{pin::pin, process::ExitCode};
use tokio::{
    signal::ctrl_c,
    task::{JoinError, JoinSet},
};
use tool::{Failure, Peer};

/// Answers requests for prices that come to a queue, until Ctrl-C.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    peer: Peer,
    /// The address of the queue of requests.
    queue: String,
    /// How many requests are worked on at a time.
    #[arg(long, default_value_t = 16)]
    at_once: u32,
}

fn main() -> ExitCode {
    tool::main("service", run)
}

async fn run(options: Options) -> Result<(), Failure> {
    let connection = options.peer.connect().await?;
    let session = connection.begin().await?;
    let requests = session.receiver(options.queue).max_unsettled(options.at_once).attach().await?;
    // Each answer goes where its request says, by its `to`: no link for each caller.
    let answers = session.anonymous_sender().attach().await?;
    let mut responder = Responder::new(requests, answers);
    println!("ready");

    let mut answering = JoinSet::new();
    let ended = serve(&mut responder, &mut answering).await;
    // Requests that were not taken go back to the queue. Those that were are answered.
    drop(responder);
    while let Some(done) = answering.join_next().await {
        report(done);
    }
    let closed = connection.close().await;
    ended?;
    Ok(closed?)
}

/// Takes requests until Ctrl-C or the end of the link.
async fn serve(responder: &mut Responder, answering: &mut JoinSet<Result<(), Error>>) -> Result<(), Error> {
    let mut interrupted = pin!(ctrl_c());
    loop {
        tokio::select! {
            biased;
            _ = &mut interrupted => return Ok(()),
            Some(done) = answering.join_next() => report(done),
            request = responder.next() => match request? {
                Some(request) => drop(answering.spawn(answer(request))),
                None => return Ok(()),
            },
        }
    }
}

async fn answer(request: IncomingRequest) -> Result<(), Error> {
    if request.reply_to().is_none() {
        return request.reject(AmqpError::new(ErrorCondition::INVALID_FIELD, "a request says where its answer goes"));
    }
    // A broker has taken the request, so the caller hears of no rejection: errors are answers too.
    let answer = price(request.message());
    request.answer(answer).await
}

fn price(request: &Message) -> MessageBuilder {
    let error = |word: &str, text: &str| Message::builder().application_property("error", word).data(text.to_owned());
    match request.text() {
        Ok(Some(item)) => match item.as_str() {
            "tea" => Message::builder().data("4.50"),
            "milk" => Message::builder().data("1.20"),
            _ => error("not-found", "no such item"),
        },
        _ => error("invalid", "a request is the name of an item"),
    }
}

/// A caller that does not wait any more is no reason to end.
fn report(done: Result<Result<(), Error>, JoinError>) {
    match done {
        Ok(Ok(())) => {}
        Ok(Err(error)) => eprintln!("service: a request was not answered: {error}"),
        Err(error) => eprintln!("service: {error}"),
    }
}
