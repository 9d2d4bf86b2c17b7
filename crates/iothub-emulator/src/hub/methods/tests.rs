use super::*;
use crate::hub::{DeviceId, IdentitySpec, ModuleId, Policies, Settings};
use serde_json::json;

const T0: UnixMillis = UnixMillis(1_000_000);

fn hub() -> (Hub, IdentityId, IdentityId) {
    let mut hub = Hub::new(Settings::default(), Policies::new()).unwrap();
    hub.add_device("d1=c2VjcmV0".parse().unwrap()).unwrap();
    let device = DeviceId::new("d1").unwrap();
    let module = IdentityId::of_module(device.clone(), ModuleId::new("m").unwrap());
    hub.create_identity(T0, IdentitySpec::new(module.clone())).unwrap();
    hub.take_wakes();
    (hub, device.into(), module)
}

fn seconds(after: u64) -> UnixMillis {
    T0.after(Duration::from_secs(after))
}

fn call(id: &IdentityId, connect: u64, response: u64) -> MethodInvocation {
    MethodInvocation {
        response_timeout: Duration::from_secs(response),
        connect_timeout: Duration::from_secs(connect),
        ..MethodInvocation::new(id, "reboot", json!({ "in": 5 }))
    }
}

fn code(outcome: Option<Result<MethodAnswer, ServiceError>>) -> ErrorCode {
    outcome.expect("an outcome").unwrap_err().code()
}

#[test]
fn a_call_reaches_its_device_or_module_and_the_answer_its_caller() {
    let (mut hub, device, module) = hub();
    for id in [device, module] {
        let link = hub.add_consumer();
        hub.open_methods(T0, &id, link);
        let called = hub.invoke_method(T0, call(&id, 0, 30)).unwrap();
        assert!(hub.take_wakes().contains(&Wake::Methods(id.clone())));
        let request = hub.take_method(T0, &id, link).unwrap();
        assert_eq!((request.call, &*request.name, &request.payload[..]), (called, "reboot", &br#"{"in":5}"#[..]));
        let text = called.to_string();
        assert_eq!((text.as_bytes()[14], MethodCallId::from_text(&text)), (b'4', Some(called)));
        assert_eq!(hub.take_method(T0, &id, link), None);
        assert_eq!(hub.take_method_outcome(T0, called), None);
        assert!(hub.answer_method(T0, &id, called, Some(404), b"[1]"));
        assert_eq!(hub.take_wakes(), [Wake::Method(called)]);
        let answered = MethodAnswer { status: 404, payload: json!([1]) };
        assert_eq!(hub.take_method_outcome(T0, called), Some(Ok(answered)));
        assert!(!hub.answer_method(T0, &id, called, Some(200), b"null"), "it is answered once");
        assert_eq!(hub.next_deadline(), None);
    }
}

#[test]
fn a_payload_of_null_is_sent_as_null_and_an_empty_answer_is_null() {
    let (mut hub, device, _) = hub();
    let link = hub.add_consumer();
    hub.open_methods(T0, &device, link);
    let called = hub.invoke_method(T0, MethodInvocation::new(&device, "m", Value::Null)).unwrap();
    assert_eq!(&hub.take_method(T0, &device, link).unwrap().payload[..], b"null");
    hub.answer_method(T0, &device, called, Some(200), b"");
    let answered = hub.take_method_outcome(T0, called).unwrap().unwrap();
    assert_eq!((answered.status, answered.payload), (200, Value::Null));
}

#[test]
fn a_device_that_cannot_be_called_is_not_online_or_not_found() {
    let (mut hub, device, _) = hub();
    let refused = |hub: &mut Hub, id: &IdentityId| hub.invoke_method(T0, call(id, 0, 30)).unwrap_err().code();
    assert_eq!(refused(&mut hub, &device), ErrorCode::DeviceNotOnline);
    assert_eq!(refused(&mut hub, &DeviceId::new("none").unwrap().into()), ErrorCode::DeviceNotFound);
    let module = IdentityId::of_module(device.device.clone(), ModuleId::new("none").unwrap());
    assert_eq!(refused(&mut hub, &module), ErrorCode::ModuleNotFound);
    hub.set_device_enabled(T0, &device.device, false);
    assert_eq!(refused(&mut hub, &device), ErrorCode::DeviceNotFound);
}

#[test]
fn the_two_times_run_one_after_the_other() {
    let (mut hub, device, _) = hub();
    let called = hub.invoke_method(T0, call(&device, 10, 5)).unwrap();
    assert_eq!(hub.next_deadline(), Some(seconds(10)));
    let link = hub.add_consumer();
    hub.open_methods(seconds(9), &device, link);
    assert_eq!(hub.next_deadline(), Some(seconds(14)));
    assert!(hub.take_method(seconds(13), &device, link).is_some());
    assert_eq!(hub.take_method_outcome(seconds(13), called), None);
    hub.handle_timeout(seconds(14));
    assert_eq!(code(hub.take_method_outcome(seconds(14), called)), ErrorCode::GatewayTimeout);
    assert!(!hub.answer_method(seconds(14), &device, called, Some(200), b"null"), "a late answer is dropped");

    let called = hub.invoke_method(seconds(14), call(&device, 10, 5)).unwrap();
    hub.close_methods(seconds(15), &device, link);
    assert_eq!(hub.take_method_outcome(seconds(23), called), None, "no link has been given it");
    assert_eq!(code(hub.take_method_outcome(seconds(24), called)), ErrorCode::DeviceNotOnline);
}

#[test]
fn a_device_that_takes_no_calls_times_out() {
    let (mut hub, device, _) = hub();
    let link = hub.add_consumer();
    hub.open_methods(T0, &device, link);
    let called = hub.invoke_method(T0, call(&device, 0, 5)).unwrap();
    assert_eq!(code(hub.take_method_outcome(seconds(5), called)), ErrorCode::GatewayTimeout);
    assert_eq!(hub.take_method(seconds(5), &device, link), None, "a call that is over is not sent");
}

#[test]
fn a_connection_that_is_closed_fails_the_calls_that_it_was_given() {
    let (mut hub, device, _) = hub();
    let link = hub.add_consumer();
    hub.open_methods(T0, &device, link);
    let given = hub.invoke_method(T0, call(&device, 0, 30)).unwrap();
    assert!(hub.take_method(T0, &device, link).is_some());
    let queued = hub.invoke_method(T0, call(&device, 0, 30)).unwrap();
    let newer = hub.add_consumer();
    hub.open_methods(T0, &device, newer);
    hub.close_methods(T0, &device, link);
    assert_eq!(code(hub.take_method_outcome(T0, given)), ErrorCode::DeviceConnectionClosedRemotely);
    assert_eq!(hub.take_method(T0, &device, newer).unwrap().call, queued);
    hub.give_back_method(queued);
    assert_eq!(hub.take_method(T0, &device, link), None, "a closed link takes nothing");
    hub.close_methods(T0, &device, newer);
    assert_eq!(code(hub.take_method_outcome(T0, queued)), ErrorCode::DeviceConnectionClosedRemotely);
}

#[test]
fn an_answer_that_is_no_json_or_has_no_status_or_is_anothers() {
    let (mut hub, device, module) = hub();
    let link = hub.add_consumer();
    hub.open_methods(T0, &device, link);
    for (status, payload) in [(Some(200), &b"{"[..]), (None, b"{}"), (Some(200), &[b' '; MAX_METHOD_PAYLOAD + 1])] {
        let called = hub.invoke_method(T0, call(&device, 0, 30)).unwrap();
        assert!(!hub.answer_method(T0, &device, called, status, payload), "it was not given the call yet");
        hub.take_method(T0, &device, link).unwrap();
        assert!(!hub.answer_method(T0, &module, called, status, payload), "nor was the module");
        assert!(hub.answer_method(T0, &device, called, status, payload));
        assert_eq!(code(hub.take_method_outcome(T0, called)), ErrorCode::BadDeviceResponse);
    }
}

#[test]
fn calls_in_flight_names_and_payloads_are_bounded() {
    let (mut hub, device, _) = hub();
    let calls: Vec<_> =
        (0..MAX_IN_FLIGHT_METHODS).map(|_| hub.invoke_method(T0, call(&device, 9, 9)).unwrap()).collect();
    let refused = |hub: &mut Hub, call| hub.invoke_method(T0, call).unwrap_err().code();
    assert_eq!(refused(&mut hub, call(&device, 9, 9)), ErrorCode::DeviceMaximumInflightMethodExceeded);
    hub.cancel_method(calls[0]);
    hub.invoke_method(T0, call(&device, 9, 9)).unwrap();
    hub.cancel_method(calls[1]);
    let large = MethodInvocation { payload: json!("x".repeat(MAX_METHOD_PAYLOAD - 1)), ..call(&device, 9, 9) };
    assert_eq!(refused(&mut hub, large), ErrorCode::MessageTooLarge);
    let named = MethodInvocation { name: String::new(), ..call(&device, 9, 9) };
    assert_eq!(refused(&mut hub, named), ErrorCode::ArgumentInvalid);
    let fits = MethodInvocation { payload: json!("x".repeat(MAX_METHOD_PAYLOAD - 2)), ..call(&device, 9, 9) };
    hub.invoke_method(T0, fits).unwrap();
}

#[test]
fn a_device_that_is_removed_ends_its_calls() {
    let (mut hub, device, _) = hub();
    let called = hub.invoke_method(T0, call(&device, 9, 9)).unwrap();
    hub.remove_device(&device.device);
    assert_eq!(code(hub.take_method_outcome(T0, called)), ErrorCode::DeviceNotFound);
    assert_eq!(hub.next_deadline(), None);
}
