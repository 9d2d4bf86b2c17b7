//! The transport breaks at an octet of a delivery.

use super::{Fault, Scale, Side, run::Run, stream::Spec};
use crate::{Pair, frames, ledger::Ledger};
use amqp1_codec::{definitions::ReceiverSettleMode, performative::Performative};

pub(super) const FAULT: Fault = Fault {
    name: "F1",
    title: "The connection breaks at any octet of a delivery",
    made: "A delivery of three frames is on its way, in either direction, on a link of either receiver-settle-mode. The \
           transport breaks after each octet in turn that the delivery and its settlement take, in one direction and \
           then in the other. Then there is a new connection, on which the link is resumed, or attached anew and the \
           message sent again if it was reported lost.",
    seen: "The send ends with `accepted`, or is reported as lost and whether any of it had left; with resumption it ends \
           with `accepted` on the next connection, and in mode *second* nothing is received twice.",
    run,
};

/// Three frames of 512 octets hold it, two do not.
const LENGTH: usize = 1300;

fn run(_: Scale) -> Ledger {
    let mut all = Ledger::default();
    for from in Side::BOTH {
        for mode in [ReceiverSettleMode::First, ReceiverSettleMode::Second] {
            for resumable in [false, true] {
                for broken in Side::BOTH {
                    every_cut(&mut all, Case { from, mode, resumable, broken });
                }
            }
        }
    }
    all
}

#[derive(Clone, Copy, Debug)]
struct Case {
    from: Side,
    mode: ReceiverSettleMode,
    resumable: bool,
    /// The end whose octets do not arrive.
    broken: Side,
}

/// Cuts further and further back, until the delivery gets by.
fn every_cut(all: &mut Ledger, case: Case) {
    for cut in 1.. {
        let (ledger, was_cut) = one(case, cut);
        if !was_cut {
            break;
        }
        all.add(&format!("{case:?}, cut {cut}"), ledger);
    }
}

fn one(case: Case, cut: usize) -> (Ledger, bool) {
    let (mut client, mut server) = Pair::configs();
    (client.max_frame_size, server.max_frame_size) = (512, 512);
    let mut run = Run::with(client, server);
    run.resumable = case.resumable;
    run.converse([Spec { mode: case.mode, ..Spec::new("l", case.from) }]);
    run.pipe_from(case.broken).cut_after = Some(cut);
    run.write(0, LENGTH);
    run.quiet();
    let was_cut = run.pipe_from(case.broken).is_cut();
    let transfers = frames(&run.end(case.from).written);
    let transfers = transfers.iter().filter(|(_, body, _)| matches!(body, Some(Performative::Transfer(_)))).count();
    run.ledger.expect(transfers == 3, || format!("a delivery of {transfers} frames"));
    if was_cut {
        run.await_end();
        run.reconnect();
        if let Some(session) = run.begin() {
            run.attach(0, session);
        }
        run.quiet();
        let twice = case.resumable && case.mode == ReceiverSettleMode::Second && run.ledger.duplicates > 0;
        run.ledger.expect(!twice, || "mode second, and received twice".to_owned());
    }
    (run.done(), was_cut)
}
