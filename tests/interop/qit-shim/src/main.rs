//! The shim of [Apache Qpid Interop Test](https://github.com/apache/qpid-interop-test) on amqp1: `send` and `receive` as
//! its `docs/SHIM_HOWTO.md` defines them. Each prints one JSON object.

#![forbid(unsafe_code)]

mod arguments;
mod failure;
mod large;
mod message;
mod peer;
mod values;

use arguments::{Arguments, Command, Receive, Send};
use clap::Parser;
use failure::Failure;
use serde_json::{Value as Json, json};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(arguments.command)),
        Err(error) => Err(Failure::new(format!("the runtime does not start: {error}"))),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("qit-shim: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Send(send) => {
            println!("{}", self::send(send).await?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Receive(receive) => {
            let (report, complete) = self::receive(receive).await?;
            println!("{report}");
            Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

async fn send(options: Send) -> Result<Json, Failure> {
    if let Some(content) = &options.content {
        let message = large::message(content, options.jms_mode)?;
        peer::send(&options.peer, vec![message]).await?;
        return Ok(large::sent(content));
    }
    let data = options.data.as_ref().and_then(Json::as_array).ok_or("--data is not an array")?;
    let messages = data.iter().map(|message| message::build(message, &options)).collect::<Result<Vec<_>, _>>()?;
    let sent = messages.len();
    peer::send(&options.peer, messages).await?;
    Ok(json!({ "messages": data, "stats": { "sent": sent } }))
}

/// The report, and whether it is what was asked for.
async fn receive(options: Receive) -> Result<(Json, bool), Failure> {
    let Some(content) = &options.content else {
        let received = peer::receive(&options.peer, options.count, options.timeout()).await?;
        let messages = received
            .iter()
            .enumerate()
            .map(|(place, message)| message::read(place, message))
            .collect::<Result<Vec<_>, _>>()?;
        let complete = u32::try_from(messages.len()) == Ok(options.count);
        let stats = json!({ "received": messages.len() });
        return Ok((json!({ "messages": messages, "stats": stats }), complete));
    };
    let received = peer::receive(&options.peer, 1, options.timeout()).await?;
    let Some(message) = received.first() else {
        return Ok((json!({ "match": false, "error": "no message received" }), false));
    };
    let report = large::compare(content, &message::body(message)?)?;
    let same = report["match"] == true;
    Ok((report, same))
}
