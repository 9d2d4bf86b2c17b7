//! Prints what it is sent: `cargo run -p amqp1 --example listener [ADDR:PORT]`.
use amqp1::{AcceptedLink, Acceptor, Error};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5672".to_owned());
    let listener = TcpListener::bind(address).await?;
    let acceptor = Acceptor::builder().build();
    loop {
        let (stream, peer) = listener.accept().await?;
        let serving = serve(acceptor.clone(), stream);
        tokio::spawn(async move { serving.await.inspect_err(|error| eprintln!("{peer}: {error}")) });
    }
}

async fn serve(acceptor: Acceptor, stream: TcpStream) -> Result<(), Error> {
    let mut connection = acceptor.accept(stream).await?.accept().await?;
    while let Some(link) = connection.next_link().await {
        // A sender that is dropped detaches its link.
        if let AcceptedLink::Receiver(mut receiver) = link.accept_default()? {
            tokio::spawn(async move {
                while let Some(delivery) = receiver.recv().await? {
                    println!("{:?}", delivery.message().data());
                    delivery.accept()?;
                }
                Ok::<_, Error>(())
            });
        }
    }
    Ok(())
}
