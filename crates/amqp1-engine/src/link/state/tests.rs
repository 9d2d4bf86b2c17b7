//! Every state of a link with every input.

use super::*;

const UNTIL: Instant = Instant::from_nanos(0);

/// The inputs that change the state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    SendAttach,
    ReceiveAttach,
    ReceiveRefusal,
    SendDetach,
    ReceiveDetach,
    CloseAgain,
    AwaitHandle,
    TakeAwaited,
    DetachWhenSent,
    Stop,
}
use Input::*;

const INPUTS: [Input; 10] = [
    SendAttach,
    ReceiveAttach,
    ReceiveRefusal,
    SendDetach,
    ReceiveDetach,
    CloseAgain,
    AwaitHandle,
    TakeAwaited,
    DetachWhenSent,
    Stop,
];

fn take(state: &mut LinkState, input: Input) -> Result<(), NoTransition> {
    match input {
        SendAttach => state.send_attach(1),
        ReceiveAttach => state.receive_attach(2, true),
        ReceiveRefusal => state.receive_attach(2, false),
        SendDetach => state.send_detach(true, None).map(|handle| assert_eq!(handle, 1)),
        ReceiveDetach => state.receive_detach().map(drop),
        CloseAgain => state.close_again().map(|handle| assert_eq!(handle, 1)),
        AwaitHandle => state.await_handle(UNTIL, Answer::Accept).map(drop),
        TakeAwaited => state.take_awaited().map(drop),
        DetachWhenSent => state.detach_when_sent(true),
        Stop => state.stop(UNTIL, UNTIL, false),
    }
}

/// Every state, by the inputs that lead to it.
fn every_state() -> [(Phase, LinkState); 10] {
    let after = |mut state: LinkState, inputs: &[Input]| {
        for input in inputs {
            take(&mut state, *input).unwrap_or_else(|error| panic!("{input:?}: {error:?}"));
        }
        state
    };
    let offered = || LinkState::offered(2);
    [
        (Phase::Unattached, LinkState::new()),
        (Phase::AttachSent, after(LinkState::new(), &[SendAttach])),
        (Phase::AttachReceived, offered()),
        (Phase::Attached, after(offered(), &[SendAttach])),
        (Phase::Refused, after(LinkState::new(), &[SendAttach, ReceiveRefusal])),
        (Phase::Withdrawn, after(offered(), &[ReceiveDetach])),
        (Phase::AttachDetachPipe, after(LinkState::new(), &[SendAttach, SendDetach])),
        (Phase::DetachSent, after(offered(), &[SendAttach, SendDetach])),
        (Phase::DetachReceived, after(offered(), &[SendAttach, ReceiveDetach])),
        (Phase::Detached, after(offered(), &[SendAttach, ReceiveDetach, SendDetach])),
    ]
}

/// The table: what each input leads to; the others are no transitions.
fn next(phase: Phase, input: Input) -> Option<Phase> {
    Some(match (phase, input) {
        (Phase::Unattached, SendAttach) => Phase::AttachSent,
        (Phase::AttachReceived, SendAttach) => Phase::Attached,
        (Phase::Withdrawn, SendAttach) => Phase::DetachReceived,
        (Phase::AttachSent, ReceiveAttach) => Phase::Attached,
        (Phase::AttachSent, ReceiveRefusal) => Phase::Refused,
        (Phase::AttachDetachPipe, ReceiveAttach | ReceiveRefusal) => Phase::DetachSent,
        (Phase::AttachSent, SendDetach) => Phase::AttachDetachPipe,
        (Phase::Attached | Phase::Refused, SendDetach) => Phase::DetachSent,
        (Phase::DetachReceived, SendDetach) => Phase::Detached,
        (Phase::AttachReceived, ReceiveDetach) => Phase::Withdrawn,
        (Phase::Attached | Phase::Refused, ReceiveDetach) => Phase::DetachReceived,
        (Phase::DetachSent, ReceiveDetach) => Phase::Detached,
        (Phase::Detached, CloseAgain) => Phase::AttachDetachPipe,
        // These change what a half waits for, and not what is attached.
        (Phase::AttachReceived | Phase::Withdrawn, AwaitHandle) => phase,
        (Phase::AttachSent | Phase::Attached | Phase::Refused | Phase::DetachReceived, DetachWhenSent) => phase,
        _ => return None,
    })
}

#[test]
fn every_state_takes_the_inputs_of_the_table_and_no_others() {
    for input in INPUTS {
        for (phase, mut state) in every_state() {
            assert_eq!(state.phase(), phase);
            match next(phase, input) {
                Some(then) => {
                    assert_eq!(take(&mut state, input), Ok(()), "{input:?} in {phase:?}");
                    assert_eq!(state.phase(), then, "{input:?} in {phase:?}");
                }
                None => {
                    assert_eq!(take(&mut state, input), Err(NoTransition { from: phase }), "{input:?}");
                    assert_eq!(state.phase(), phase, "{input:?} changes nothing");
                }
            }
        }
    }
}

#[test]
fn a_link_that_awaits_a_handle_is_attached_when_its_answer_is_taken() {
    for (phase, mut state) in every_state() {
        if state.await_handle(UNTIL, Answer::Accept) != Ok(true) {
            continue;
        }
        let waiting: &[Input] = &[SendAttach, ReceiveAttach, SendDetach, CloseAgain, DetachWhenSent, Stop];
        for input in waiting {
            assert_eq!(take(&mut state, *input), Err(NoTransition { from: phase }), "{input:?}");
            assert!(state.awaited_handle().is_some() && state.is_answered());
        }
        let refusal = Answer::Refuse { closed: true, error: None };
        assert_eq!(state.await_handle(UNTIL, refusal), Ok(false), "the other answer takes its place");
        assert!(matches!(state.take_awaited(), Ok(AwaitedHandle { answer: Answer::Refuse { .. }, .. })));
        assert_eq!(take(&mut state, SendAttach), Ok(()));
    }
}

#[test]
fn only_a_link_that_is_attached_and_to_be_detached_stops_its_sender() {
    for (phase, mut state) in every_state() {
        let attached = phase == Phase::Attached;
        let leaves = state.detach_when_sent(false).is_ok();
        assert_eq!(state.is_detaching(), leaves);
        assert_eq!(state.detaches_when_sent(), leaves.then_some(false));
        assert_eq!(state.stop(UNTIL, UNTIL, true).is_ok(), attached, "{phase:?}");
        assert_eq!(state.stopping().is_some(), attached);
        if attached {
            assert_eq!(state.detaches_when_sent(), None, "it waits for the sender");
            assert_eq!(state.detach_when_sent(true), Ok(()), "and may be closed instead");
            assert_eq!(state.stop(UNTIL, UNTIL, true), Err(NoTransition { from: phase }));
            assert_eq!(state.end_stopping(), Some(UNTIL));
            assert_eq!(state.detaches_when_sent(), Some(true));
        }
        assert_eq!(state.end_stopping(), None);
    }
}

#[test]
fn handles_are_there_from_attach_to_detach() {
    for (phase, state) in every_state() {
        let ours = !matches!(phase, Phase::Unattached | Phase::AttachReceived | Phase::Withdrawn);
        let theirs = matches!(phase, Phase::AttachReceived | Phase::Attached | Phase::Refused | Phase::DetachSent);
        let detached = matches!(phase, Phase::AttachDetachPipe | Phase::DetachSent | Phase::Detached);
        assert_eq!(state.handle(), ours.then_some(1), "{phase:?}");
        assert_eq!(state.attached_handle(), (ours && !detached).then_some(1), "{phase:?}");
        assert_eq!(state.remote_handle(), theirs.then_some(2), "{phase:?}");
        assert_eq!(state.has_detached(), detached, "{phase:?}");
        assert_eq!(state.is_attached(), phase == Phase::Attached);
        assert_eq!(state.is_refused(), phase == Phase::Refused);
        assert_eq!(state.is_deaf(), detached || phase == Phase::Refused, "{phase:?}");
    }
}

#[test]
fn the_error_of_our_detach_is_handed_out_once() {
    let error = AmqpError::new(amqp1_codec::definitions::ErrorCondition::INTERNAL_ERROR, "x");
    let mut state = LinkState::offered(2);
    state.send_attach(1).expect("it is offered");
    state.send_detach(false, Some(error.clone())).expect("it is attached");
    assert!(state.has_failed());
    assert_eq!(state.receive_detach(), Ok(Some((false, Some(error)))));
    assert!(!state.has_failed() && state.has_detached());
}

#[test]
fn a_link_is_over_once_and_is_not_offered_after() {
    let mut state = LinkState::offered(2);
    state.hold_offer(UNTIL);
    assert!(state.is_offer_held());
    assert_eq!(state.end(), KnownBefore::Held(UNTIL));
    assert_eq!(state.end(), KnownBefore::Over);
    state.hold_offer(UNTIL);
    assert!(state.is_over() && state.take_held_offer().is_none());
    let mut state = LinkState::offered(2);
    state.hold_offer(UNTIL);
    assert_eq!(state.take_held_offer(), Some(UNTIL));
    assert_eq!(state.end(), KnownBefore::Live);
}
