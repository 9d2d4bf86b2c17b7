//! The put-token exchange: what official clients send is read, and what they need in the answer is there.

use std::error::Error as _;

use amqp1_auth::UnixSeconds;
use amqp1_auth::cbs::{CbsError, PutToken, Refusal, Reply, Request, RequestError, TokenType};
use amqp1_auth::sas::SasToken;
use amqp1_codec::definitions::ErrorCondition;
use amqp1_codec::messaging::{ApplicationProperties, Header, MessageId, Properties};
use amqp1_codec::{EncodeStyle, EncodedMessage, Map, Message, MessageBuilder, Symbol, Timestamp, Uuid, Value};
use bytes::Bytes;
use proptest::prelude::*;

const TOKEN: &str = "SharedAccessSignature sr=localhost&sig=WiHmyBMOvpKgB1eUJf3ETKlMBUd2eoAHTvralDtMgY8%3D&skn=service\
                     &se=1795377257";

fn received(message: EncodedMessage) -> Message {
    Message::from_chunks(message.into_parts()).expect("a message of our own")
}

fn ids() -> [MessageId; 4] {
    [
        MessageId::from("64094905-91c5-47b2-a5c9-0f490f92674a"),
        MessageId::Ulong(0),
        MessageId::Uuid(Uuid([7; 16])),
        MessageId::Binary(Bytes::from_static(b"\x00\xFF")),
    ]
}

/// A request as Node's service client writes it, to be spoilt by a test.
fn request() -> MessageBuilder {
    Message::builder()
        .properties(Properties { message_id: Some("m".into()), ..Properties::default() })
        .application_property("operation", "put-token")
        .application_property("type", "servicebus.windows.net:sastoken")
        .application_property("name", "localhost")
        .value(TOKEN)
}

fn parse(builder: MessageBuilder) -> Request {
    Request::parse(&received(builder.build()))
}

#[test]
fn e_cbs_1_a_request_carries_operation_type_name_and_the_token_as_a_string() {
    for style in [EncodeStyle::Compact, EncodeStyle::Full] {
        let put = PutToken::sas("hub.example/devices/d", TOKEN)
            .expiration(UnixSeconds::new(1_795_377_257))
            .reply_to("cbs-receiver");
        let message = received(put.encode(&MessageId::Ulong(3), style));
        let properties = message.properties().unwrap().expect("properties");
        assert_eq!(properties.message_id, Some(MessageId::Ulong(3)));
        assert_eq!(properties.to.as_ref().map(|to| to.as_str()), Some("$cbs"));
        assert_eq!(properties.reply_to.as_ref().map(|to| to.as_str()), Some("cbs-receiver"));
        let mut expected = ApplicationProperties::new();
        expected.insert("operation", "put-token");
        expected.insert("type", "servicebus.windows.net:sastoken");
        expected.insert("name", "hub.example/devices/d");
        expected.insert("expiration", Timestamp(1_795_377_257_000));
        assert_eq!(message.application_properties().unwrap(), Some(expected));
        assert_eq!(message.value().unwrap(), Some(Value::from(TOKEN)));

        let read = Request::parse(&message);
        assert_eq!(read.message_id, Some(MessageId::Ulong(3)));
        let put = read.operation.expect("our own request");
        assert_eq!(
            (put.token_type(), put.name(), put.token()),
            (TokenType::ServiceBusSas, "hub.example/devices/d", TOKEN)
        );
        assert_eq!(put.stated_expiration(), Some(Timestamp(1_795_377_257_000)));
    }
}

#[test]
fn without_an_expiration_the_property_is_absent() {
    let message = received(PutToken::sas("h", TOKEN).encode(&MessageId::Ulong(0), EncodeStyle::Full));
    assert!(message.application_property("expiration").unwrap().is_none());
}

#[test]
fn an_answer_has_the_requests_id_in_its_own_amqp_type_and_an_int_for_a_status() {
    for id in ids() {
        for style in [EncodeStyle::Compact, EncodeStyle::Full] {
            let message = received(PutToken::sas("h", TOKEN).encode(&id, style));
            let request = Request::parse(&message);
            let answer = received(Reply::accepted().encode(&request, style));

            assert_eq!(answer.properties().unwrap().expect("properties").correlation_id, Some(id.clone()));
            let properties = answer.application_properties().unwrap().expect("application properties");
            assert_eq!(properties.get("status-code"), Some(&Value::Int(200)));
            assert_eq!(properties.get("status-description"), Some(&Value::from("OK")));
            assert_eq!(answer.value().unwrap(), Some(Value::Null));

            let reply = Reply::parse(&answer).unwrap();
            assert!(reply.answers(&id));
            assert_eq!(reply.outcome(), Ok(()));
            assert!(ids().iter().filter(|other| **other != id).all(|other| !reply.answers(other)));
        }
    }
}

#[test]
fn ids_that_look_alike_in_different_types_are_different() {
    let reply = Reply { correlation_id: Some("7".into()), ..Reply::accepted() };
    assert!(reply.answers(&MessageId::from("7")));
    assert!(!reply.answers(&MessageId::Ulong(7)));
}

#[test]
fn an_answer_goes_to_the_reply_address_of_the_request() {
    let message = received(PutToken::sas("h", TOKEN).reply_to("cbs-1").encode(&MessageId::Ulong(0), EncodeStyle::Full));
    let request = Request::parse(&message);
    assert_eq!(request.reply_to.as_ref().map(|to| to.as_str()), Some("cbs-1"));
    let answer = received(Reply::accepted().encode(&request, EncodeStyle::Full));
    assert_eq!(answer.properties().unwrap().expect("properties").to.expect("to").as_str(), "cbs-1");
}

#[test]
fn operation_and_type_are_taken_in_any_case_and_unneeded_sections_do_not_matter() {
    for (name, expected) in [
        ("SERVICEBUS.windows.net:sastoken", TokenType::ServiceBusSas),
        ("azure-devices.net:SASToken", TokenType::IotHubSas),
        ("bearer", TokenType::Bearer),
        ("JWT", TokenType::Jwt),
    ] {
        let builder = request()
            .header(Header::default())
            .application_property("operation", "Put-Token")
            .application_property("type", name)
            .application_property("expiration", "soon");
        let put = parse(builder).operation.expect(name);
        assert_eq!(put.token_type(), expected);
        assert_eq!(put.stated_expiration(), None);
    }
    assert!(TokenType::IotHubSas.is_sas() && TokenType::ServiceBusSas.is_sas());
    assert!(!TokenType::Jwt.is_sas() && !TokenType::Bearer.is_sas());
}

#[test]
fn each_fault_of_a_request_has_its_name_and_can_still_be_answered() {
    let with = |properties: &[(&str, Value)]| {
        let properties: ApplicationProperties = properties.iter().cloned().collect();
        request().application_properties(properties)
    };
    let op = || ("operation", Value::from("put-token"));
    let kind = || ("type", Value::from("jwt"));
    let name = || ("name", Value::from("h"));
    for (builder, expected) in [
        (with(&[]), RequestError::MissingProperty("operation")),
        (with(&[kind(), name()]), RequestError::MissingProperty("operation")),
        (with(&[op(), name()]), RequestError::MissingProperty("type")),
        (with(&[op(), kind()]), RequestError::MissingProperty("name")),
        (with(&[op(), kind(), ("name", Value::from(""))]), RequestError::MissingProperty("name")),
        (with(&[op(), kind(), ("name", Value::Null)]), RequestError::MissingProperty("name")),
        (with(&[("operation", Value::from("delete-token")), kind(), name()]), RequestError::UnsupportedOperation),
        (with(&[op(), ("type", Value::from("cookie")), name()]), RequestError::UnsupportedType),
        (request().value(Value::Null), RequestError::MissingToken),
        (request().value(""), RequestError::MissingToken),
        (request().value(Map::new()), RequestError::MissingToken),
        (request().data("token"), RequestError::MissingToken),
    ] {
        let request = parse(builder);
        assert_eq!(request.message_id, Some("m".into()), "{expected}");
        let error = request.operation.clone().expect_err("a spoilt request");
        assert_eq!(error, expected);
        let reply = Reply::parse(&received(Reply::from(error).encode(&request, EncodeStyle::Full))).unwrap();
        assert_eq!(reply.status_code, 400);
        assert!(reply.answers(&"m".into()));
    }
}

#[test]
fn a_request_without_an_id_is_answered_without_one() {
    let request = parse(request().properties(Properties::default()));
    assert_eq!(request.message_id, None);
    let answer = received(Reply::accepted().encode(&request, EncodeStyle::Full));
    assert_eq!(answer.properties().unwrap().and_then(|properties| properties.correlation_id), None);
}

fn reply(code: impl Into<Value>) -> Message {
    let properties = Properties { correlation_id: Some("m".into()), ..Properties::default() };
    received(
        Message::builder().properties(properties).application_property("status-code", code).value(Value::Null).build(),
    )
}

#[test]
fn a_status_code_of_any_integer_type_is_taken() {
    let codes: [Value; 8] = [
        200u8.into(),
        200u16.into(),
        200u32.into(),
        200u64.into(),
        Value::Byte(20),
        200i16.into(),
        200i32.into(),
        200i64.into(),
    ];
    for code in codes {
        let expected = if matches!(code, Value::Byte(_)) { 20 } else { 200 };
        assert_eq!(Reply::parse(&reply(code.clone())).map(|reply| reply.status_code), Ok(expected), "{code:?}");
    }
    for code in [Value::Null, Value::from("200"), Value::Boolean(true), Value::Ulong(u64::MAX), Value::Long(1 << 31)] {
        assert_eq!(Reply::parse(&reply(code.clone())), Err(CbsError::MissingStatusCode), "{code:?}");
    }
}

#[test]
fn e_cbs_1_both_200_and_202_are_success_and_nothing_else_is() {
    for code in [200, 202] {
        assert_eq!(Reply::parse(&reply(code)).unwrap().outcome(), Ok(()));
    }
    for code in [0, 100, 201, 203, 204, 301, 400, 401, 403, 404, 500, -1] {
        let refused = CbsError::Refused { code, description: None };
        assert_eq!(Reply::parse(&reply(code)).unwrap().outcome(), Err(refused), "{code}");
    }
}

#[test]
fn a_refusal_keeps_the_code_and_the_description() {
    let request = parse(request());
    let text = "The specified SAS token has an invalid signature.";
    let answer = received(Reply::unauthorized(text).encode(&request, EncodeStyle::Full));
    let error = Reply::parse(&answer).unwrap().outcome().expect_err("a refusal");
    assert_eq!(error, CbsError::Refused { code: 401, description: Some(text.into()) });
    assert!(error.to_string().contains("401") && error.to_string().contains(text));
}

#[test]
fn a_refusal_says_whether_to_try_again_and_under_which_condition() {
    for (code, refusal, condition) in [
        (400, Refusal::Final, ErrorCondition::INVALID_FIELD),
        (401, Refusal::Final, ErrorCondition::UNAUTHORIZED_ACCESS),
        (403, Refusal::Final, ErrorCondition::TRANSFER_LIMIT_EXCEEDED),
        (404, Refusal::Final, ErrorCondition::NOT_FOUND),
        (408, Refusal::Temporary, ErrorCondition::INTERNAL_ERROR),
        (429, Refusal::Temporary, ErrorCondition::INTERNAL_ERROR),
        (500, Refusal::Temporary, ErrorCondition::INTERNAL_ERROR),
        (503, Refusal::Temporary, ErrorCondition::INTERNAL_ERROR),
    ] {
        let error = Reply::parse(&reply(code)).unwrap().outcome().expect_err("a refusal");
        assert_eq!((error.refusal(), error.condition()), (refusal, condition), "{code}");
    }
}

#[test]
fn replies_with_the_spelling_of_management_nodes_are_read_too() {
    let message = Message::builder()
        .application_property("statusCode", 401u32)
        .application_property("statusDescription", "no")
        .value(Value::Null)
        .build();
    let reply = Reply::parse(&received(message)).unwrap();
    assert_eq!((reply.status_code, reply.status_description), (401, Some("no".into())));
}

#[test]
fn a_symbol_serves_where_a_string_is_meant() {
    let builder = request().application_property("operation", Symbol::from_static("put-token"));
    assert!(parse(builder).operation.is_ok());
}

#[test]
fn a_malformed_message_is_an_error_with_its_cause() {
    // A properties section whose message-id is a list, then an amqp-value.
    let octets = Bytes::from_static(&[0x00, 0x53, 0x73, 0xC0, 0x02, 0x01, 0x45, 0x00, 0x53, 0x77, 0x40]);
    let Ok(message) = Message::from_bytes(octets) else { panic!("the sections themselves are in order") };
    let request = Request::parse(&message);
    let error = request.operation.expect_err("malformed");
    assert!(matches!(error, RequestError::Malformed(_)) && error.source().is_some());
}

/// RabbitMQ's clients and others write properties that nobody needs here as other types.
#[test]
fn a_property_that_no_answer_needs_costs_nothing() {
    let whole = request().build().into_parts().concat();
    // In place of its properties: a message-id, a user-id as string, and a reply-to.
    let at = whole.windows(3).position(|start| start == [0, 0x53, 0x74]).expect("application properties");
    let properties = b"\0\x53\x73\xc0\x0c\x05\xa1\x01m\xa1\x01u\x40\x40\xa1\x01r";
    let octets = Bytes::from([&properties[..], &whole[at..]].concat());
    let request = Request::parse(&Message::from_bytes(octets).expect("sections"));
    assert_eq!((request.message_id, request.reply_to), (Some("m".into()), Some("r".into())));
    assert!(request.operation.is_ok(), "{:?}", request.operation);
}

#[test]
fn debug_does_not_show_the_token() {
    let request = parse(request());
    let put = request.operation.clone().expect("a request");
    for text in [format!("{request:?}"), format!("{put:#?}")] {
        assert!(text.contains("localhost") && !text.contains("WiHmyBMO"), "{text}");
    }
}

/// Requests as official clients sent them, message octets in hexadecimal.
#[test]
fn captured_requests_are_read() {
    let captured = include_str!("data/cbs_requests.tsv");
    let (mut count, mut expirations) = (0, 0);
    for line in captured.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        let mut column = || columns.next().expect("five columns");
        let (sender, id_type, name, resource, hex) = (column(), column(), column(), column(), column());
        let octets: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hexadecimal"))
            .collect();
        let message = Message::from_bytes(octets.into()).expect(sender);
        let request = Request::parse(&message);
        let put = request.operation.as_ref().expect(sender);
        assert_eq!(put.token_type(), TokenType::ServiceBusSas, "{sender}");
        assert_eq!(put.name(), name, "{sender}");
        let token = SasToken::parse(put.token()).expect(sender);
        assert_eq!(token.resource(), resource, "{sender}");
        if let Some(expiration) = put.stated_expiration() {
            assert_eq!(expiration, Timestamp(token.expiry().as_timestamp_millis()), "{sender}");
            expirations += 1;
        }
        let found = match request.message_id {
            Some(MessageId::String(_)) => "string",
            Some(MessageId::Ulong(_)) => "ulong",
            Some(MessageId::Uuid(_)) => "uuid",
            Some(MessageId::Binary(_)) => "binary",
            None => "none",
        };
        assert_eq!(found, id_type, "{sender}");
        let answer = received(Reply::accepted().encode(&request, EncodeStyle::Full));
        assert!(Reply::parse(&answer).unwrap().answers(&request.message_id.expect("an id")), "{sender}");
        count += 1;
    }
    assert_eq!((count, expirations), (7, 1));
}

proptest! {
    #[test]
    fn a_damaged_request_is_answered_if_it_is_still_a_message(
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let mut octets: Vec<u8> = request().build().chunks().flatten().copied().collect();
        for (at, octet) in damage {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        if let Ok(message) = Message::from_bytes(octets.into()) {
            let request = Request::parse(&message);
            let _ = Reply::parse(&message);
            let reply = request.operation.as_ref().map_or_else(|error| Reply::from(*error), |_| Reply::accepted());
            let answer = received(reply.encode(&request, EncodeStyle::Full));
            prop_assert!(Reply::parse(&answer).is_ok());
        }
    }
}
