//! Our acceptor, judged by the library of `amqp-conformance`, as a test suite would include it.
#![allow(missing_docs)]

use amqp_conformance::{
    Verdict,
    run::{self, Level, Selection},
    server::ServerTarget,
};
use amqp1::{Acceptor, connection::Tolerances, engine::ErrantLinks};
use amqp1_tests::broker::Broker;

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_acceptor_keeps_the_rules_of_headers_opens_and_sessions() {
    let acceptor = Acceptor::builder().config(|config| {
        config.tolerances = Tolerances::STRICT;
        config.errant_links = ErrantLinks::EndSession;
    });
    let broker = Broker::start(acceptor.build()).await;
    let only = ["T-2.2", "T-2.3", "T-2.4.1", "T-2.4.3", "T-2.5.2", "T-2.7.2", "Y-1.3.4"];
    let only = only.map(|selector| selector.parse().expect("a selector")).to_vec();
    let selection = Selection { level: Level::Strict, only, ..Selection::default() };
    let options = run::Options { selection, purge: true, ..run::Options::default() };
    let target = ServerTarget::new(broker.address(), "conformance");
    let report = tokio::task::spawn_blocking(move || run::run(target, &options)).await.expect("no panic");
    let report = report.expect("the acceptor is reached");
    for verdict in [Verdict::Warn, Verdict::Fail, Verdict::Hung, Verdict::Crashed] {
        assert_eq!(report.count(verdict), 0, "{report}");
    }
    assert!(report.count(Verdict::Pass) > 50, "{report}");
}
