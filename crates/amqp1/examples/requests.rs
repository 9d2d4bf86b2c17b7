//! A service that answers, and a client that asks: `cargo run -p amqp1 --example requests`.
use amqp1::{
    Acceptor, Client, Error, Message,
    error::{AmqpError, ErrorCondition},
    request::{IncomingRequest, Pairing, Responder},
};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    for answer in run().await? {
        println!("{answer}");
    }
    Ok(())
}

/// What was answered.
pub(crate) async fn run() -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    eprintln!("listening on {address}");
    let url = format!("amqp://{address}");
    let acceptor = Acceptor::builder().build();
    let server = tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // As a rule too many files are open, until some connections end.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let serving = serve(acceptor.clone(), stream);
            tokio::spawn(async move { serving.await.inspect_err(|error| eprintln!("{error}")) });
        }
    });

    let connection = Client::builder(url).connect().await?;
    let session = connection.begin().await?;
    let prices = session.requester("prices").attach().await?;
    let mut answers = Vec::new();
    for item in ["tea", "milk", "gold"] {
        // Each ends: with the answer, an error, or after the operation time-out.
        answers.push(match prices.request(Message::builder().data(item)).await {
            Ok(answer) => format!("{item}: {}", text(&answer)),
            Err(error) => format!("{item}: {error}"),
        });
    }
    prices.close().await?;
    connection.close().await?;
    server.abort();
    Ok(answers)
}

async fn serve(acceptor: Acceptor, stream: TcpStream) -> Result<(), Error> {
    let mut connection = acceptor.accept(stream).await?.accept().await?;
    // A client that asks attaches two links, one for its requests and one for the answers.
    let mut pairing = Pairing::new();
    while let Some(link) = connection.next_link().await {
        // The link for answers may have no address: it is for a node that is to be made for them.
        if !matches!(link.address(), Some("prices") | None) {
            link.reject(AmqpError::new(ErrorCondition::NOT_FOUND, "here are prices only"));
            continue;
        }
        if let Some(responder) = pairing.accept(link)? {
            tokio::spawn(async move { answer(responder).await.inspect_err(|error| eprintln!("{error}")) });
        }
    }
    Ok(())
}

async fn answer(mut responder: Responder) -> Result<(), Error> {
    while let Some(request) = responder.next().await? {
        let price = match text(request.message()).as_str() {
            "tea" => "4.50",
            "milk" => "1.20",
            _ => {
                refuse(request)?;
                continue;
            }
        };
        request.answer(Message::builder().data(price)).await?;
    }
    Ok(())
}

fn refuse(request: IncomingRequest) -> Result<(), Error> {
    request.reject(AmqpError::new(ErrorCondition::NOT_FOUND, "no such item"))
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(&message.data().unwrap_or_default()).into_owned()
}
