//! What an observer counts is what the test has done.

use crate::{pair, soon};
use amqp1::{
    AcceptedLink, Credit, IncomingLink, Message, Outcome, Receiver, Sender,
    codec::messaging::Modified,
    link::{OnDrop, SendOptions},
    message::EncodedMessage,
    observe::{ConnectionInfo, DropReason, LinkInfo, Observer, OutcomeKind},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// What is counted of one link.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Account {
    address: Option<String>,
    pub(crate) attached: u32,
    pub(crate) detached: u32,
    pub(crate) messages: u64,
    octets: u64,
    settled_at_once: u64,
    outcomes: BTreeMap<&'static str, u64>,
    latency: Duration,
    pub(crate) dropped: BTreeMap<&'static str, u64>,
    credit: u32,
    most_credit: u32,
    pub(crate) unsettled: usize,
    most_unsettled: usize,
}

/// One end's links by their names, and its connection.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Book>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    pub(crate) links: BTreeMap<String, Account>,
    opened: u32,
    pub(crate) closed: u32,
    octets_received: usize,
    octets_sent: usize,
    remote: Option<String>,
}

impl Ledger {
    pub(crate) fn book(&self) -> Book {
        self.0.lock().expect("no panic under the lock").clone()
    }

    fn link(&self, link: &LinkInfo, count: impl FnOnce(&mut Account)) {
        let mut book = self.0.lock().expect("no panic under the lock");
        let account = book.links.entry(format!("{}{}", if link.sends { ">" } else { "<" }, link.name)).or_default();
        account.address = link.address.as_ref().map(ToString::to_string);
        count(account);
    }

    fn connection(&self, count: impl FnOnce(&mut Book)) {
        count(&mut self.0.lock().expect("no panic under the lock"));
    }
}

impl Observer for Ledger {
    fn opened(&self, connection: &ConnectionInfo) {
        self.connection(|book| {
            book.opened += 1;
            book.remote = connection.remote_container_id.as_ref().map(ToString::to_string);
        });
    }

    fn closed(&self, _: &ConnectionInfo) {
        self.connection(|book| book.closed += 1);
    }

    fn octets_received(&self, _: &ConnectionInfo, octets: usize) {
        self.connection(|book| book.octets_received += octets);
    }

    fn octets_sent(&self, _: &ConnectionInfo, octets: usize) {
        self.connection(|book| book.octets_sent += octets);
    }

    fn attached(&self, link: &LinkInfo) {
        self.link(link, |account| account.attached += 1);
    }

    fn detached(&self, link: &LinkInfo) {
        self.link(link, |account| account.detached += 1);
    }

    fn transferred(&self, link: &LinkInfo, octets: u64, settled: bool) {
        self.link(link, |account| {
            account.messages += 1;
            account.octets += octets;
            account.settled_at_once += u64::from(settled);
        });
    }

    fn settled(&self, link: &LinkInfo, outcome: OutcomeKind, latency: Duration) {
        self.link(link, |account| {
            *account.outcomes.entry(outcome.as_str()).or_default() += 1;
            account.latency += latency;
        });
    }

    fn dropped(&self, link: &LinkInfo, reason: DropReason, count: u64) {
        self.link(link, |account| *account.dropped.entry(reason.as_str()).or_default() += count);
    }

    fn credit(&self, link: &LinkInfo, before: u32, now: u32) {
        self.link(link, |account| {
            assert_eq!(account.credit, before);
            account.credit = now;
            account.most_credit = account.most_credit.max(now);
        });
    }

    fn unsettled(&self, link: &LinkInfo, before: usize, now: usize) {
        self.link(link, |account| {
            assert_eq!(account.unsettled, before);
            account.unsettled = now;
            account.most_unsettled = account.most_unsettled.max(now);
        });
    }
}

fn message(octets: usize) -> EncodedMessage {
    Message::builder().data(vec![b'x'; octets]).build()
}

async fn next(receiver: &mut Receiver) -> amqp1::Delivery {
    soon(receiver.recv()).await.expect("the link is there").expect("a delivery")
}

async fn sent(sender: &Sender, message: EncodedMessage) -> amqp1::Receipt {
    soon(sender.reserve()).await.expect("credit").send(message).expect("queued")
}

/// Sizes from one octet to several frames; every outcome; at most once; one that is never settled.
#[tokio::test(start_paused = true)]
async fn both_ends_count_what_was_sent_settled_and_dropped() {
    const PAUSE: Duration = Duration::from_secs(5);
    let (near, far) = (Arc::new(Ledger::default()), Arc::new(Ledger::default()));
    let (client, mut server) = pair(
        |builder| builder.observer(near.clone()),
        |builder| builder.observer(far.clone()).config(|config| config.max_frame_size = 1024),
    )
    .await;
    let session = client.begin().await.expect("a session");
    let (sender, receiver) = tokio::join!(session.sender("queue").name("out").attach(), async {
        let link = server.next_link().await.expect("a link");
        let IncomingLink::Receiver(request) = link else { panic!("the client sends") };
        request.credit(Credit::Manual(20)).accept().expect("accepted")
    });
    let (sender, mut receiver) = (sender.expect("a sender"), receiver);
    receiver.set_on_drop(OnDrop::LeaveUnsettled);

    let mut octets = 0;
    let mut receipts = Vec::new();
    for size in [1, 100, 5000, 300, 20_000] {
        let message = message(size);
        octets += u64::try_from(message.len()).expect("it fits");
        receipts.push(sent(&sender, message).await);
    }
    let at_once = message(7);
    octets += u64::try_from(at_once.len()).expect("it fits");
    let permit = soon(sender.reserve()).await.expect("credit");
    let receipt = permit.send_with(at_once, SendOptions { settled: true, ..SendOptions::default() }).expect("queued");
    assert_eq!(soon(receipt).await.expect("sent"), Outcome::SentSettled);

    let mut deliveries = Vec::new();
    for _ in 0..6 {
        deliveries.push(next(&mut receiver).await);
    }
    tokio::time::sleep(PAUSE).await;
    let kept = deliveries.remove(4);
    let mut deliveries = deliveries.into_iter();
    let mut delivery = || deliveries.next().expect("a delivery");
    delivery().accept().expect("settled");
    delivery().reject(None).expect("settled");
    delivery().release().expect("settled");
    delivery().modify(Modified::default()).expect("settled");
    assert!(delivery().is_settled());
    let last = receipts.pop().expect("a receipt");
    let outcomes =
        [Outcome::Accepted, Outcome::Rejected(None), Outcome::Released, Outcome::Modified(Modified::default())];
    for (receipt, outcome) in receipts.into_iter().zip(outcomes) {
        assert_eq!(soon(receipt).await.expect("an outcome"), outcome);
    }

    let mut expected = Account {
        address: Some("queue".to_owned()),
        attached: 1,
        messages: 6,
        octets,
        settled_at_once: 1,
        outcomes: ["accepted", "modified", "rejected", "released"].map(|outcome| (outcome, 1)).into(),
        latency: PAUSE * 4,
        credit: 14,
        most_credit: 20,
        unsettled: 1,
        most_unsettled: 5,
        ..Account::default()
    };
    let (near_book, far_book) = (near.book(), far.book());
    assert_eq!(near_book.links[">out"], expected);
    assert_eq!(far_book.links["<out"], expected);
    assert_eq!(near_book.remote.as_deref(), Some("server-container"));
    assert_eq!(far_book.remote.as_deref(), Some("client-container"));

    drop((kept, last));
    soon(client.close()).await.expect("closed");
    drop(server);
    // Each end's task ends by itself.
    while near.book().closed + far.book().closed < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    expected.detached = 1;
    expected.dropped = [("unsettled", 1)].into();
    (expected.credit, expected.unsettled) = (0, 0);
    let (near_book, far_book) = (near.book(), far.book());
    assert_eq!(near_book.links, BTreeMap::from([(">out".to_owned(), expected.clone())]));
    assert_eq!(far_book.links, BTreeMap::from([("<out".to_owned(), expected)]));
    assert_eq!((near_book.opened, far_book.opened), (1, 1));
    assert_eq!(near_book.octets_sent, far_book.octets_received);
    assert_eq!(near_book.octets_received, far_book.octets_sent);
    assert!(near_book.octets_sent > 25_000, "{}", near_book.octets_sent);
}

/// Credit that is given, used, taken back and drained, on a link on which the client receives.
#[tokio::test(start_paused = true)]
async fn credit_is_followed_at_both_ends() {
    let (near, far) = (Arc::new(Ledger::default()), Arc::new(Ledger::default()));
    let (client, mut server) =
        pair(|builder| builder.observer(near.clone()), |builder| builder.observer(far.clone())).await;
    let session = client.begin().await.expect("a session");
    let (receiver, sender) =
        tokio::join!(session.receiver("node").name("in").credit(Credit::Manual(3)).attach(), async {
            server.next_link().await.expect("a link").accept_default().expect("accepted")
        });
    let (mut receiver, AcceptedLink::Sender(sender)) = (receiver.expect("a receiver"), sender) else {
        panic!("the client receives")
    };
    let credits = || (near.book().links["<in"].credit, far.book().links[">in"].credit);
    let receipt = sent(&sender, message(1)).await;
    next(&mut receiver).await.accept().expect("settled");
    soon(receipt).await.expect("an outcome").into_result().expect("accepted");
    assert_eq!(credits(), (2, 2));
    receiver.set_credit(Credit::Manual(10)).expect("set");
    let receipt = sent(&sender, message(1)).await;
    next(&mut receiver).await.accept().expect("settled");
    soon(receipt).await.expect("an outcome").into_result().expect("accepted");
    assert_eq!(credits(), (9, 9));
    soon(receiver.drain()).await.expect("drained");
    assert_eq!(credits(), (0, 0));
    let (near, far) = (near.book(), far.book());
    assert_eq!((near.links["<in"].most_credit, far.links[">in"].most_credit), (10, 10));
    assert_eq!(near.links["<in"].address.as_deref(), Some("node"));
    assert_eq!(far.links[">in"].address.as_deref(), Some("node"));
    soon(client.close()).await.expect("closed");
}
