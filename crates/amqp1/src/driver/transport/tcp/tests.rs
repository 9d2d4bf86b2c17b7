use super::*;
use std::{cell::RefCell, future::pending};

fn address(text: &str) -> SocketAddr {
    format!("{text}:5672").parse().expect("an address")
}

fn addresses(list: &[&str]) -> Vec<SocketAddr> {
    list.iter().map(|text| address(text)).collect()
}

/// What an address does: answer or refuse after a while, or neither.
#[derive(Clone, Copy)]
enum Does {
    Answer(u64),
    Refuse(u64),
    Nothing,
}

/// What came of it, after how many milliseconds, and when which attempt began.
async fn race_of(list: &[(&str, Does)]) -> (Result<SocketAddr, String>, u64, Vec<(String, u64)>) {
    let start = Instant::now();
    let millis = || u64::try_from(start.elapsed().as_millis()).expect("short");
    let begun = RefCell::new(Vec::new());
    let names: Vec<_> = list.iter().map(|(name, _)| *name).collect();
    let connect = |to: SocketAddr| {
        let (name, does) = *list.iter().find(|(name, _)| address(name) == to).expect("one of the list");
        begun.borrow_mut().push((name.to_owned(), millis()));
        async move {
            match does {
                Does::Answer(after) => {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    Ok(to)
                }
                Does::Refuse(after) => {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    Err(io::ErrorKind::ConnectionRefused.into())
                }
                Does::Nothing => pending().await,
            }
        }
    };
    let outcome = race(interleaved(addresses(&names)), start + Duration::from_secs(30), connect).await;
    let outcome = outcome.map_err(|failures| failures.to_string());
    let took = millis();
    (outcome, took, begun.into_inner())
}

fn began(list: &[(&str, u64)]) -> Vec<(String, u64)> {
    list.iter().map(|(name, at)| ((*name).to_owned(), *at)).collect()
}

#[test]
fn families_take_turns_and_the_resolvers_order_is_kept_otherwise() {
    let ordered = interleaved(addresses(&["[::1]", "[::2]", "[::3]", "1.1.1.1", "2.2.2.2"]));
    assert_eq!(ordered, addresses(&["[::1]", "1.1.1.1", "[::2]", "2.2.2.2", "[::3]"]));
    let ordered = interleaved(addresses(&["1.1.1.1", "2.2.2.2", "[::1]"]));
    assert_eq!(ordered, addresses(&["1.1.1.1", "[::1]", "2.2.2.2"]));
    assert_eq!(interleaved([]), []);
}

#[tokio::test(start_paused = true)]
async fn a_first_address_that_drops_packets_does_not_hide_the_second() {
    let (outcome, took, begun) = race_of(&[("[::1]", Does::Nothing), ("1.1.1.1", Does::Answer(20))]).await;
    assert_eq!(outcome, Ok(address("1.1.1.1")));
    assert_eq!(begun, began(&[("[::1]", 0), ("1.1.1.1", 250)]));
    assert_eq!(took, 270);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_refuses_makes_room_at_once() {
    let list = [("[::1]", Does::Refuse(5)), ("1.1.1.1", Does::Refuse(10)), ("[::2]", Does::Answer(1))];
    let (outcome, took, begun) = race_of(&list).await;
    assert_eq!(outcome, Ok(address("[::2]")));
    assert_eq!(begun, began(&[("[::1]", 0), ("1.1.1.1", 5), ("[::2]", 15)]));
    assert_eq!(took, 16);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_refuses_makes_room_beside_one_that_is_silent() {
    let list = [("[::1]", Does::Nothing), ("1.1.1.1", Does::Refuse(10)), ("[::2]", Does::Answer(1))];
    let (outcome, took, begun) = race_of(&list).await;
    assert_eq!(outcome, Ok(address("[::2]")));
    assert_eq!(begun, began(&[("[::1]", 0), ("1.1.1.1", 250), ("[::2]", 260)]));
    assert_eq!(took, 261);
}

#[tokio::test(start_paused = true)]
async fn a_slow_first_address_wins_if_it_answers_first() {
    let list = [("[::1]", Does::Answer(400)), ("1.1.1.1", Does::Answer(300)), ("2.2.2.2", Does::Nothing)];
    let (outcome, took, begun) = race_of(&list).await;
    assert_eq!((outcome, took), (Ok(address("[::1]")), 400));
    assert_eq!(begun, began(&[("[::1]", 0), ("1.1.1.1", 250)]), "the third had no turn yet");
}

#[tokio::test(start_paused = true)]
async fn the_errors_of_all_addresses_are_told() {
    let (outcome, took, _) = race_of(&[("[::1]", Does::Refuse(5)), ("1.1.1.1", Does::Refuse(300))]).await;
    assert_eq!(outcome, Err("nothing listens on [::1]:5672; nothing listens on 1.1.1.1:5672".to_owned()));
    assert_eq!(took, 305);
}

#[tokio::test(start_paused = true)]
async fn when_the_time_is_up_each_address_is_told_with_what_it_did() {
    let (outcome, took, _) = race_of(&[("[::1]", Does::Nothing), ("1.1.1.1", Does::Refuse(9))]).await;
    assert_eq!(outcome, Err("nothing listens on 1.1.1.1:5672; [::1]:5672 does not answer".to_owned()));
    assert_eq!(took, 30_000);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_addresses_do_not_make_an_endless_error() {
    let names: Vec<_> = (0..1000).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect();
    let list: Vec<_> = names.iter().map(|name| (name.as_str(), Does::Refuse(1))).collect();
    let text = race_of(&list).await.0.expect_err("nothing listens");
    assert!(text.ends_with("; and 992 more addresses") && text.len() < 500, "{text}");
}
