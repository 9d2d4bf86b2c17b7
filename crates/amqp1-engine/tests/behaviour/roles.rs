//! What holds for the engine of a client holds for that of a server, and on a connection that is busy otherwise.

use amqp1_codec::performative::{Performative, Transfer};
use amqp1_testkit::{CROWDED, Pair, TURNED, frames, message, unsettled};
use std::{env, process::Command};

/// Tests of what only the end does that takes the connection.
const OF_SERVERS: [&str; 1] = ["an_open_that_is_held_is_answered_when_the_application_says_so"];

/// Tests that do not run crowded, by what they depend on.
const UNCROWDED: [(&str, &[&str]); 3] = [
    (
        "limits that leave no room for other sessions and links",
        &[
            "bad_attach::t_2_7_2_2_handles_stay_below_the_peers_handle_max",
            "channels::t_2_7_1_8_channels_stay_below_the_peers_channel_max",
            "states::t_2_4_1_4_every_frame_after_the_opens_is_within_the_peers_limits",
        ],
    ),
    (
        "the numbers that are the lowest free ones",
        &["states::t_2_5_1_4_the_lowest_free_channel_is_taken", "transfer::t_2_6_14_3_links_take_turns_frame_by_frame"],
    ),
    (
        "fields that only compact encodings leave out",
        &[
            "corners::t_2_7_5_5_the_first_transfer_of_each_delivery_that_is_sent_has_its_id_tag_and_format",
            "streams::t_2_6_14_1_every_transfer_but_the_last_says_more",
        ],
    ),
];

/// Runs all tests here again in a variant.
fn run_again(variant: &str, arguments: Vec<&str>) {
    if [TURNED, CROWDED].iter().any(|variable| env::var_os(variable).is_some()) {
        return;
    }
    let run = Command::new(env::current_exe().unwrap()).args(arguments).env(variant, "yes").output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
}

/// All tests here once more, with a client's engine where a server's was, and the other way round: requirements that
/// apply to both peers are shown of both.
#[test]
fn every_rule_is_kept_by_the_other_engine_too() {
    run_again(TURNED, OF_SERVERS.iter().flat_map(|test| ["--skip", test]).collect());
}

/// All tests here once more, with other sessions and links on the connection, numbers that wrap, and full encodings: no
/// rule may depend on channel 0, handle 0 or ids that count from 0.
#[test]
fn every_rule_is_kept_in_a_crowd_too() {
    let skipped = UNCROWDED.iter().flat_map(|(_, tests)| tests.iter()).flat_map(|test| ["--skip", *test]);
    run_again(CROWDED, ["--exact"].into_iter().chain(skipped).collect());
}

/// The crowd does not go unnoticed: without it, the run above would show nothing more.
#[test]
fn a_crowd_moves_channels_handles_and_ids() {
    let transfers = |written: &[u8]| -> Vec<(u16, Transfer)> {
        let transfers = frames(written).into_iter().filter_map(|(channel, body, _)| match body {
            Some(Performative::Transfer(transfer)) => Some((channel, transfer)),
            _ => None,
        });
        transfers.collect()
    };
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (tx, _) = pair.sender(session, "l");
    for token in 0..3 {
        pair.client.send(tx, message(1, 1), unsettled(token)).unwrap();
    }
    pair.drive();
    let sent = transfers(&pair.client.written);
    let ids: Vec<_> = sent.iter().map(|(_, transfer)| transfer.delivery_id.unwrap().0).collect();
    let (channel, handle) = (sent[0].0, sent[0].1.handle);
    if env::var_os(CROWDED).is_some() {
        assert_eq!((channel, handle, ids), (2, 3, vec![0xffff_fffe, 0xffff_ffff, 0]));
        assert_eq!(pair.client.offered_links().len() + pair.client.offered_sessions().len(), 0);
    } else {
        assert_eq!((channel, handle, ids), (0, 0, vec![0, 1, 2]));
    }
}
