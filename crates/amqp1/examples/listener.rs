//! Prints what it is sent: `cargo run -p amqp1 --example listener [ADDR:PORT]`.
use amqp1::{Acceptor, Error, IncomingLink, Receiver};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5672".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    let acceptor = Acceptor::builder().build();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // As a rule too many files are open, until some connections end.
            Err(error) => {
                eprintln!("{error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let serving = serve(acceptor.clone(), stream);
        // The error names the client. The others are served on.
        tokio::spawn(async move { serving.await.inspect_err(|error| eprintln!("{error}")) });
    }
}

async fn serve(acceptor: Acceptor, stream: TcpStream) -> Result<(), Error> {
    let mut connection = acceptor.accept(stream).await?.accept().await?;
    while let Some(link) = connection.next_link().await {
        // A task for each link, so that none waits for another. Dropped, a request for another one is refused.
        if let IncomingLink::Receiver(request) = link {
            // A link that has ended meanwhile is no reason to end the connection.
            tokio::spawn(async move { print(request.accept()?).await });
        }
    }
    Ok(())
}

async fn print(mut receiver: Receiver) -> Result<(), Error> {
    while let Some(delivery) = receiver.recv().await? {
        println!("{:?}", delivery.message().data());
        delivery.accept()?;
    }
    Ok(())
}
