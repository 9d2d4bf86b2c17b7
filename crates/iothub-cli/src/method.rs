//! `iothub method` and `iothub query`.

use crate::{
    cli::{InvokeOptions, QueryOptions},
    failure::Failure,
    output::Output,
    rest::{client, document, identity, json},
};
use iothub::registry::DirectMethod;
use serde_json::{Value, json};
use std::{process::ExitCode, time::Duration};

pub(crate) async fn invoke(options: InvokeOptions) -> Result<ExitCode, Failure> {
    let method = DirectMethod::new(&options.name)
        .payload(json(&options.payload, "payload")?)
        .response_timeout(Duration::from_secs(options.timeout))
        .connect_timeout(Duration::from_secs(options.connect_timeout));
    let response = client(&options.hub)?.invoke_method(identity(&options.identity), &method).await?;
    let shown = json!({"event": "response", "status": response.status, "payload": response.payload});
    document(&Output::new(options.hub.json), &shown);
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn query(options: QueryOptions) -> Result<ExitCode, Failure> {
    let output = Output::new(options.hub.json);
    let mut rows = client(&options.hub)?.query::<Value>(&options.text);
    if let Some(rows_a_page) = options.page_size {
        rows = rows.page_size(rows_a_page);
    }
    let mut seen = 0;
    while options.count.is_none_or(|count| seen < count) {
        let Some(row) = rows.next().await? else { break };
        document(&output, &row);
        seen += 1;
    }
    Ok(ExitCode::SUCCESS)
}
