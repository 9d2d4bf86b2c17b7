//! A file of any size in a few mebibytes of memory, from one end to the other: `cargo run -p amqp1 --example streams`.
use amqp1::{Acceptor, Client, IncomingLink, Message, Session};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// What is sent: more than either end keeps.
const LENGTH: u64 = 64 * 1024 * 1024;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{} octets arrived", run().await?);
    Ok(())
}

/// How many octets arrived.
pub(crate) async fn run() -> Result<u64, Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("amqp://{}", listener.local_addr()?);
    let (arrived, sent) = tokio::join!(receive(listener), async {
        let connection = Client::builder(url).connect().await?;
        send(&connection.begin().await?).await?;
        connection.close().await.map_err(Into::into)
    });
    sent.and(arrived)
}

async fn send(session: &Session) -> Result<(), Box<dyn std::error::Error>> {
    let sender = session.sender("backups").attach().await?;
    let mut stream = sender.stream(Message::builder().subject("disk")).await?;
    // Or a file.
    let mut source = tokio::io::repeat(7).take(LENGTH);
    let mut piece = vec![0; 64 * 1024];
    loop {
        let length = source.read(&mut piece).await?;
        if length == 0 {
            break;
        }
        // It waits while the other end has no room.
        stream.write(piece[..length].to_vec()).await?;
    }
    stream.finish()?.await?.into_result()?;
    Ok(())
}

async fn receive(listener: TcpListener) -> Result<u64, Box<dyn std::error::Error>> {
    let (stream, _) = listener.accept().await?;
    let mut connection = Acceptor::builder().build().accept(stream).await?.accept().await?;
    let mut arrived = 0;
    while let Some(link) = connection.next_link().await {
        let IncomingLink::Receiver(request) = link else { continue };
        // Its messages are to come piece by piece.
        let mut receiver = request.streamed().accept()?;
        while let Some(mut incoming) = receiver.recv_stream().await? {
            let head = incoming.head().await?;
            println!("subject: {:?}", head.properties()?.and_then(|properties| properties.subject));
            // Or a file.
            let mut sink = tokio::io::sink();
            while let Some(data) = incoming.data().await? {
                arrived += u64::try_from(data.len())?;
                sink.write_all(&data).await?;
            }
            sink.flush().await?;
            incoming.accept()?;
        }
    }
    Ok(arrived)
}
