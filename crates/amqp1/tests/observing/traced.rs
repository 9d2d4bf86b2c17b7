//! Messages carry the trace context that there is when they are sent.

use crate::{pair, soon};
use amqp1::{AcceptedLink, Message, observe::TraceContext};
use std::sync::{Arc, Mutex};

#[tokio::test]
async fn messages_of_a_link_carry_the_current_context_and_keep_their_own() {
    let (client, mut server) = pair(|builder| builder, |builder| builder).await;
    let session = client.begin().await.expect("a session");
    let current = Arc::new(Mutex::new(None::<TraceContext>));
    let source = current.clone();
    let source = move || source.lock().expect("no panic under the lock").clone();
    let (sender, receiver) = tokio::join!(session.sender("queue").trace_context(source).attach(), async {
        server.next_link().await.expect("a link").accept_default().expect("accepted")
    });
    let (sender, AcceptedLink::Receiver(mut receiver)) = (sender.expect("a sender"), receiver) else {
        panic!("the client sends")
    };
    let context = |id: u8| TraceContext::new([id; 16], [id; 8], true).expect("not zero");
    let message = || Message::builder().application_property("a", 1_u32).data("hello");
    let mut received = async || {
        let delivery = soon(receiver.recv()).await.expect("the link is there").expect("a delivery");
        assert_eq!(delivery.message().data().as_deref(), Some(&b"hello"[..]));
        let context = TraceContext::of(delivery.message());
        delivery.accept().expect("settled");
        context
    };
    for now in [None, Some(context(1)), Some(context(2).with_state("vendor=x"))] {
        current.lock().expect("no panic under the lock").clone_from(&now);
        // By each way to send.
        let (sent, got) = tokio::join!(sender.send(message()), received());
        sent.expect("sent").into_result().expect("accepted");
        assert_eq!(got, now);
        let permit = soon(sender.reserve()).await.expect("credit");
        let receipt = permit.send(message()).expect("queued");
        assert_eq!(received().await, now);
        soon(receipt).await.expect("an outcome").into_result().expect("accepted");
        // A message that has a context is passed on with it.
        let own = context(9).carried_by(message());
        let (sent, got) = tokio::join!(sender.send(own), received());
        sent.expect("sent").into_result().expect("accepted");
        assert_eq!(got, Some(context(9)));
    }
    soon(client.close()).await.expect("closed");
}
