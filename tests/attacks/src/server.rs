//! What is attacked beside the emulator: an acceptor and a client, as programs would write them.

use amqp1::{AcceptedLink, Acceptor, Client, IncomingLink, Message, Sender, ServerConnection};
use std::process::ExitCode;

/// Deliveries that the client has in flight.
pub(crate) const IN_FLIGHT: usize = 2_000;

/// One thread: what stalls it stalls everybody.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Accepts everything. Nodes are named for what they do: `live-N` sends so many messages, `endless` sends as many as it may,
/// `large` messages of 80 KB.
pub(crate) fn serve() -> ExitCode {
    runtime().block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", serde_json::json!({ "amqp": listener.local_addr().expect("an address").to_string() }));
        let acceptor = Acceptor::builder().build();
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(incoming) = acceptor.accept(stream).await
                    && let Ok(server) = incoming.accept().await
                {
                    links(server).await;
                }
            });
        }
    });
    ExitCode::SUCCESS
}

async fn links(mut server: ServerConnection) {
    while let Some(link) = server.next_link().await {
        tokio::spawn(serve_link(link));
    }
}

async fn serve_link(link: IncomingLink) {
    let node = link.address().unwrap_or_default().to_owned();
    match link.accept_default() {
        Ok(AcceptedLink::Receiver(mut receiver)) => {
            while let Ok(Some(delivery)) = receiver.recv().await {
                drop(delivery.accept());
            }
        }
        Ok(AcceptedLink::Sender(sender)) => send(&sender, &node).await,
        Err(_) => {}
    }
}

async fn send(sender: &Sender, node: &str) {
    if let Some(count) = node.strip_prefix("live-").and_then(|count| count.parse::<usize>().ok()) {
        let mut receipts = Vec::with_capacity(count);
        for _ in 0..count {
            let Ok(permit) = sender.reserve().await else { return };
            receipts.extend(permit.send("x"));
        }
        for receipt in receipts {
            drop(receipt.await);
        }
        sender.detached().await;
        return;
    }
    while let Ok(permit) = sender.reserve().await {
        // Made when there is room for it.
        let large = || Message::builder().data(vec![7; 80 * 1024]).build();
        let sent = if node == "large" { permit.send(large()) } else { permit.send("x") };
        if sent.is_err() {
            return;
        }
    }
}

/// Connects to a server, and sends messages whose outcomes it waits for.
pub(crate) fn client(port: &str) -> ExitCode {
    println!("{}", serde_json::json!({}));
    runtime().block_on(async {
        let connection =
            Client::builder(format!("amqp://127.0.0.1:{port}")).no_sasl().connect().await.expect("a server");
        let session = connection.begin().await.expect("a session");
        let sender = session.sender("q").attach().await.expect("a link");
        let mut receipts = Vec::with_capacity(IN_FLIGHT);
        for _ in 0..IN_FLIGHT {
            receipts.push(sender.reserve().await.expect("credit").send("x").expect("queued"));
        }
        let mut outcomes = Vec::with_capacity(IN_FLIGHT);
        for receipt in receipts {
            outcomes.push(receipt.await.expect("an outcome"));
        }
        // All of them are here at once.
        assert_eq!(outcomes.len(), IN_FLIGHT);
        session.receiver("done").attach().await.expect("a link");
        connection.closed().await;
    });
    ExitCode::SUCCESS
}
