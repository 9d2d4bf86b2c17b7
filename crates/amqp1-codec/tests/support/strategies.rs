//! Arbitrary values of every type.

use amqp1_codec::{
    Array, DeliveryTag, Map, Multiple, SequenceNo, Str, Symbol, Timestamp, Uuid, Value,
    definitions::{AmqpError, ErrorCondition, Fields, ReceiverSettleMode, Role, SenderSettleMode},
    messaging::{
        Annotations, ApplicationProperties, DeliveryState, FilterSet, Header, LifetimePolicy, MessageId, Modified,
        NodeProperties, Properties, Received, Rejected, Source, Target, TerminusDurability, TerminusExpiryPolicy,
    },
    performative::{
        Attach, Begin, Close, Detach, Disposition, End, Flow, Open, Performative, TargetArchetype, Transfer, Unsettled,
    },
    sasl::{SaslBody, SaslChallenge, SaslCode, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse, Secret},
    transaction::{Coordinator, Declare, Declared, Discharge, TransactionalState},
    types::{Decimal32, Decimal64, Decimal128},
};
use bytes::Bytes;
use proptest::{
    collection::vec,
    option::{of, weighted},
    prelude::*,
};

pub fn octets() -> BoxedStrategy<Bytes> {
    prop_oneof![vec(any::<u8>(), 0..20), vec(any::<u8>(), 250..260)].prop_map(Bytes::from).boxed()
}

pub fn text() -> BoxedStrategy<Str> {
    prop_oneof![".{0,12}", "[a-z]{250,260}"].prop_map(Str::from).boxed()
}

pub fn symbol() -> BoxedStrategy<Symbol> {
    prop_oneof!["[ -~]{0,12}", "[a-z:]{250,260}"].prop_map(|text| Symbol::new(text).expect("ASCII")).boxed()
}

/// Numbers of all widths, small ones as often as large ones.
pub fn uint() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 0..=256u32, any::<u32>(), Just(u32::MAX)]
}

fn sequence_no() -> impl Strategy<Value = SequenceNo> {
    uint().prop_map(SequenceNo)
}

fn ulong() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..=256u64, any::<u64>(), Just(u64::MAX)]
}

/// A value without parts, of the type that `index` chooses.
fn simple(index: usize) -> BoxedStrategy<Value> {
    match index {
        0 => Just(Value::Null).boxed(),
        1 => any::<bool>().prop_map(Value::from).boxed(),
        2 => any::<u8>().prop_map(Value::from).boxed(),
        3 => any::<u16>().prop_map(Value::from).boxed(),
        4 => uint().prop_map(Value::from).boxed(),
        5 => ulong().prop_map(Value::from).boxed(),
        6 => any::<i8>().prop_map(Value::from).boxed(),
        7 => any::<i16>().prop_map(Value::from).boxed(),
        8 => prop_oneof![-130..130i32, any::<i32>()].prop_map(Value::from).boxed(),
        9 => prop_oneof![-130..130i64, any::<i64>()].prop_map(Value::from).boxed(),
        10 => any::<u32>().prop_map(|bits| f32::from_bits(bits).into()).boxed(),
        11 => any::<u64>().prop_map(|bits| f64::from_bits(bits).into()).boxed(),
        12 => any::<[u8; 4]>().prop_map(|bits| Decimal32(bits).into()).boxed(),
        13 => any::<[u8; 8]>().prop_map(|bits| Decimal64(bits).into()).boxed(),
        14 => any::<[u8; 16]>().prop_map(|bits| Decimal128(bits).into()).boxed(),
        15 => any::<char>().prop_map(Value::from).boxed(),
        16 => any::<i64>().prop_map(|millis| Timestamp(millis).into()).boxed(),
        17 => any::<[u8; 16]>().prop_map(|octets| Uuid(octets).into()).boxed(),
        18 => octets().prop_map(Value::from).boxed(),
        19 => text().prop_map(Value::from).boxed(),
        _ => symbol().prop_map(Value::from).boxed(),
    }
}

const SIMPLE: usize = 21;

/// A value of any of the types, nested up to some levels.
pub fn value() -> BoxedStrategy<Value> {
    (0..SIMPLE)
        .prop_flat_map(simple)
        .prop_recursive(4, 48, 6, |inner| {
            prop_oneof![
                4 => vec(inner.clone(), 0..6).prop_map(Value::List),
                4 => vec((inner.clone(), inner.clone()), 0..6)
                    .prop_map(|pairs| Value::Map(pairs.into_iter().collect::<Map>())),
                4 => (descriptor(), inner.clone()).prop_map(|(descriptor, value)| Value::described(descriptor, value)),
                1 => (inner.clone(), inner.clone()).prop_map(|(descriptor, value)| Value::described(descriptor, value)),
                3 => array_of_simple(),
                2 => vec(vec(inner.clone(), 0..3), 0..4)
                    .prop_map(|lists| array(lists.into_iter().map(Value::List).collect())),
                1 => vec(vec((inner.clone(), inner.clone()), 0..3), 0..4).prop_map(|maps| {
                    array(maps.into_iter().map(|pairs| Value::Map(pairs.into_iter().collect::<Map>())).collect())
                }),
                1 => vec(array_of_simple(), 0..4).prop_map(array),
            ]
        })
        .boxed()
}

fn array(values: Vec<Value>) -> Value {
    Array::from_values(values).expect("one type").into()
}

/// An array of values of one type, described or not.
fn array_of_simple() -> BoxedStrategy<Value> {
    let values = (0..SIMPLE).prop_flat_map(|index| vec(simple(index), 0..6));
    (values, weighted(0.3, descriptor()))
        .prop_map(|(values, descriptor)| match descriptor {
            Some(descriptor) => {
                array(values.into_iter().map(|value| Value::described(descriptor.clone(), value)).collect())
            }
            None => array(values),
        })
        .boxed()
}

fn descriptor() -> impl Strategy<Value = Value> {
    prop_oneof![ulong().prop_map(Value::from), symbol().prop_map(Value::from)]
}

pub fn fields() -> BoxedStrategy<Fields> {
    vec((symbol(), value()), 0..4).prop_map(|pairs| pairs.into_iter().collect()).boxed()
}

pub fn annotations() -> BoxedStrategy<Annotations> {
    vec((symbol(), value()), 0..4).prop_map(|pairs| pairs.into_iter().collect()).boxed()
}

pub fn application_properties() -> impl Strategy<Value = ApplicationProperties> {
    vec((text(), (0..SIMPLE).prop_flat_map(simple)), 0..5).prop_map(|pairs| pairs.into_iter().collect())
}

fn symbols() -> BoxedStrategy<Multiple<Symbol>> {
    vec(symbol(), 0..4).prop_map(Multiple).boxed()
}

fn tag() -> impl Strategy<Value = DeliveryTag> {
    vec(any::<u8>(), 0..=32).prop_map(|octets| DeliveryTag::new(&octets).expect("32 octets at most"))
}

fn role() -> impl Strategy<Value = Role> {
    any::<bool>().prop_map(|receiver| if receiver { Role::Receiver } else { Role::Sender })
}

fn sender_settle_mode() -> impl Strategy<Value = SenderSettleMode> {
    prop_oneof![Just(SenderSettleMode::Unsettled), Just(SenderSettleMode::Settled), Just(SenderSettleMode::Mixed)]
}

fn receiver_settle_mode() -> impl Strategy<Value = ReceiverSettleMode> {
    prop_oneof![Just(ReceiverSettleMode::First), Just(ReceiverSettleMode::Second)]
}

pub fn error() -> BoxedStrategy<AmqpError> {
    (symbol(), of(text()), of(fields()))
        .prop_map(|(condition, description, info)| AmqpError {
            condition: ErrorCondition::new(condition),
            description,
            info,
        })
        .boxed()
}

fn txn_id() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..=32).prop_map(Bytes::from)
}

pub fn received() -> impl Strategy<Value = Received> {
    (uint(), ulong()).prop_map(|(section_number, section_offset)| Received { section_number, section_offset })
}

pub fn modified() -> impl Strategy<Value = Modified> {
    (any::<bool>(), any::<bool>(), of(fields())).prop_map(
        |(delivery_failed, undeliverable_here, message_annotations)| Modified {
            delivery_failed,
            undeliverable_here,
            message_annotations,
        },
    )
}

pub fn rejected() -> impl Strategy<Value = Rejected> {
    of(error()).prop_map(|error| Rejected { error })
}

pub fn declared() -> impl Strategy<Value = Declared> {
    txn_id().prop_map(|txn_id| Declared { txn_id })
}

pub fn outcome() -> BoxedStrategy<DeliveryState> {
    prop_oneof![
        Just(DeliveryState::Accepted),
        Just(DeliveryState::Released),
        of(error().prop_map(Box::new)).prop_map(DeliveryState::Rejected),
        modified().prop_map(|state| DeliveryState::Modified(Box::new(state))),
        declared().prop_map(|state| DeliveryState::Declared(Box::new(state))),
    ]
    .boxed()
}

pub fn transactional_state() -> impl Strategy<Value = TransactionalState> {
    (txn_id(), of(outcome().prop_map(Box::new))).prop_map(|(txn_id, outcome)| TransactionalState { txn_id, outcome })
}

pub fn delivery_state() -> BoxedStrategy<DeliveryState> {
    prop_oneof![
        4 => outcome(),
        1 => received().prop_map(DeliveryState::Received),
        1 => transactional_state().prop_map(|state| DeliveryState::Transactional(Box::new(state))),
    ]
    .boxed()
}

fn durability() -> impl Strategy<Value = TerminusDurability> {
    prop_oneof![
        Just(TerminusDurability::None),
        Just(TerminusDurability::Configuration),
        Just(TerminusDurability::UnsettledState),
    ]
}

fn expiry_policy() -> impl Strategy<Value = TerminusExpiryPolicy> {
    prop_oneof![
        Just(TerminusExpiryPolicy::LinkDetach),
        Just(TerminusExpiryPolicy::SessionEnd),
        Just(TerminusExpiryPolicy::ConnectionClose),
        Just(TerminusExpiryPolicy::Never),
    ]
}

fn node_properties() -> BoxedStrategy<NodeProperties> {
    (fields(), any::<bool>())
        .prop_map(|(fields, policy)| {
            let properties = NodeProperties(fields);
            if policy { properties.with_lifetime_policy(LifetimePolicy::DeleteOnClose) } else { properties }
        })
        .boxed()
}

fn filter() -> BoxedStrategy<FilterSet> {
    vec((symbol(), descriptor(), value()), 0..3)
        .prop_map(|filters| {
            let mut set = FilterSet::new();
            filters.into_iter().for_each(|(name, descriptor, value)| set.insert(name, descriptor, value));
            set
        })
        .boxed()
}

pub fn source() -> BoxedStrategy<Source> {
    let first = (of(text()), durability(), expiry_policy(), uint(), any::<bool>(), of(node_properties()));
    let second = (of(symbol()), of(filter()), of(outcome()), symbols(), symbols());
    (first, second)
        .prop_map(|(first, second)| {
            let (address, durable, expiry_policy, timeout, dynamic, dynamic_node_properties) = first;
            let (distribution_mode, filter, default_outcome, outcomes, capabilities) = second;
            Source {
                address,
                durable,
                expiry_policy,
                timeout,
                dynamic,
                dynamic_node_properties,
                distribution_mode,
                filter,
                default_outcome,
                outcomes,
                capabilities,
            }
        })
        .boxed()
}

pub fn target() -> BoxedStrategy<Target> {
    (of(text()), durability(), expiry_policy(), uint(), any::<bool>(), of(node_properties()), symbols())
        .prop_map(|(address, durable, expiry_policy, timeout, dynamic, dynamic_node_properties, capabilities)| Target {
            address,
            durable,
            expiry_policy,
            timeout,
            dynamic,
            dynamic_node_properties,
            capabilities,
        })
        .boxed()
}

pub fn coordinator() -> impl Strategy<Value = Coordinator> {
    symbols().prop_map(|capabilities| Coordinator { capabilities })
}

pub fn declare() -> impl Strategy<Value = Declare> {
    // A null is no different from nothing.
    of(value().prop_filter("not null", |value| !value.is_null())).prop_map(|global_id| Declare { global_id })
}

pub fn discharge() -> impl Strategy<Value = Discharge> {
    (txn_id(), of(any::<bool>())).prop_map(|(txn_id, fail)| Discharge { txn_id, fail })
}

pub fn open() -> BoxedStrategy<Open> {
    let first = (text(), of(text()), uint(), any::<u16>(), of(uint()));
    let second = (symbols(), symbols(), symbols(), symbols(), of(fields()));
    (first, second)
        .prop_map(|(first, second)| {
            let (container_id, hostname, max_frame_size, channel_max, idle_time_out) = first;
            let (outgoing_locales, incoming_locales, offered_capabilities, desired_capabilities, properties) = second;
            Open {
                container_id,
                hostname,
                max_frame_size,
                channel_max,
                idle_time_out,
                outgoing_locales,
                incoming_locales,
                offered_capabilities,
                desired_capabilities,
                properties,
            }
        })
        .boxed()
}

pub fn begin() -> BoxedStrategy<Begin> {
    (of(any::<u16>()), sequence_no(), uint(), uint(), uint(), symbols(), symbols(), of(fields()))
        .prop_map(
            |(
                remote_channel,
                next_outgoing_id,
                incoming_window,
                outgoing_window,
                handle_max,
                offered,
                desired,
                properties,
            )| {
                Begin {
                    remote_channel,
                    next_outgoing_id,
                    incoming_window,
                    outgoing_window,
                    handle_max,
                    offered_capabilities: offered,
                    desired_capabilities: desired,
                    properties,
                }
            },
        )
        .boxed()
}

fn target_archetype() -> impl Strategy<Value = TargetArchetype> {
    prop_oneof![3 => target().prop_map(Into::into), 1 => coordinator().prop_map(TargetArchetype::Coordinator)]
}

fn unsettled() -> impl Strategy<Value = Unsettled> {
    let state = prop_oneof![
        Just(Value::Null),
        Just(Value::described(0x24u64, Vec::new())),
        (any::<u64>(), value()).prop_map(|(descriptor, value)| Value::described(descriptor, value)),
    ];
    vec((tag(), state), 0..4).prop_map(Unsettled::from_iter)
}

pub fn attach() -> BoxedStrategy<Attach> {
    let first = (text(), uint(), role(), sender_settle_mode(), receiver_settle_mode());
    let second = (of(source().prop_map(Box::new)), of(target_archetype()), of(unsettled()), any::<bool>());
    let third = (of(sequence_no()), of(ulong()), symbols(), symbols(), of(fields()));
    (first, second, third)
        .prop_map(|(first, second, third)| {
            let (name, handle, role, snd_settle_mode, rcv_settle_mode) = first;
            let (source, target, unsettled, incomplete_unsettled) = second;
            let (initial_delivery_count, max_message_size, offered_capabilities, desired_capabilities, properties) =
                third;
            Attach {
                name,
                handle,
                role,
                snd_settle_mode,
                rcv_settle_mode,
                source,
                target,
                unsettled,
                incomplete_unsettled,
                initial_delivery_count,
                max_message_size,
                offered_capabilities,
                desired_capabilities,
                properties,
            }
        })
        .boxed()
}

pub fn flow() -> BoxedStrategy<Flow> {
    let session = (of(sequence_no()), uint(), sequence_no(), uint());
    let link = (of(uint()), of(sequence_no()), of(uint()), of(uint()), any::<bool>(), any::<bool>(), of(fields()));
    (session, link)
        .prop_map(|(session, link)| {
            let (next_incoming_id, incoming_window, next_outgoing_id, outgoing_window) = session;
            let (handle, delivery_count, link_credit, available, drain, echo, properties) = link;
            Flow {
                next_incoming_id,
                incoming_window,
                next_outgoing_id,
                outgoing_window,
                handle,
                delivery_count,
                link_credit,
                available,
                drain,
                echo,
                properties,
            }
        })
        .boxed()
}

pub fn transfer() -> BoxedStrategy<Transfer> {
    let first = (uint(), of(sequence_no()), of(tag()), of(uint()), of(any::<bool>()));
    let second = (of(receiver_settle_mode()), of(delivery_state()), any::<[bool; 4]>());
    (first, second)
        .prop_map(|(first, second)| {
            let (handle, delivery_id, delivery_tag, message_format, settled) = first;
            let (rcv_settle_mode, state, [more, resume, aborted, batchable]) = second;
            Transfer {
                handle,
                delivery_id,
                delivery_tag,
                message_format,
                settled,
                more,
                rcv_settle_mode,
                state,
                resume,
                aborted,
                batchable,
            }
        })
        .boxed()
}

pub fn disposition() -> BoxedStrategy<Disposition> {
    (role(), sequence_no(), of(sequence_no()), any::<bool>(), of(delivery_state()), any::<bool>())
        .prop_map(|(role, first, last, settled, state, batchable)| Disposition {
            role,
            first,
            last,
            settled,
            state,
            batchable,
        })
        .boxed()
}

pub fn detach() -> BoxedStrategy<Detach> {
    (uint(), any::<bool>(), of(error())).prop_map(|(handle, closed, error)| Detach { handle, closed, error }).boxed()
}

pub fn performative() -> impl Strategy<Value = Performative> {
    prop_oneof![
        open().prop_map(Performative::from),
        begin().prop_map(Performative::from),
        attach().prop_map(Performative::from),
        flow().prop_map(Performative::from),
        transfer().prop_map(Performative::from),
        disposition().prop_map(Performative::from),
        detach().prop_map(Performative::from),
        of(error()).prop_map(|error| End { error }.into()),
        of(error()).prop_map(|error| Close { error }.into()),
    ]
}

fn secret() -> impl Strategy<Value = Secret> {
    octets().prop_map(Secret)
}

pub fn sasl_body() -> BoxedStrategy<SaslBody> {
    let code = prop_oneof![
        Just(SaslCode::Ok),
        Just(SaslCode::Auth),
        Just(SaslCode::Sys),
        Just(SaslCode::SysPerm),
        Just(SaslCode::SysTemp),
    ];
    prop_oneof![
        vec(symbol(), 1..4).prop_map(|mechanisms| SaslBody::Mechanisms(SaslMechanisms {
            sasl_server_mechanisms: Multiple(mechanisms)
        })),
        (symbol(), of(secret()), of(text())).prop_map(|(mechanism, initial_response, hostname)| SaslBody::Init(
            SaslInit { mechanism, initial_response, hostname }
        )),
        secret().prop_map(|challenge| SaslBody::Challenge(SaslChallenge { challenge })),
        secret().prop_map(|response| SaslBody::Response(SaslResponse { response })),
        (code, of(secret()))
            .prop_map(|(code, additional_data)| SaslBody::Outcome(SaslOutcome { code, additional_data })),
    ]
    .boxed()
}

pub fn header() -> impl Strategy<Value = Header> {
    (any::<bool>(), any::<u8>(), of(uint()), any::<bool>(), uint()).prop_map(
        |(durable, priority, ttl, first_acquirer, delivery_count)| Header {
            durable,
            priority,
            ttl,
            first_acquirer,
            delivery_count,
        },
    )
}

fn message_id() -> impl Strategy<Value = MessageId> {
    prop_oneof![
        ulong().prop_map(MessageId::Ulong),
        any::<[u8; 16]>().prop_map(|octets| MessageId::Uuid(Uuid(octets))),
        octets().prop_map(MessageId::Binary),
        text().prop_map(MessageId::String),
    ]
}

pub fn properties() -> BoxedStrategy<Properties> {
    let time = || of(any::<i64>().prop_map(Timestamp));
    let first = (of(message_id()), of(octets()), of(text()), of(text()), of(text()), of(message_id()));
    let second = (of(symbol()), of(symbol()), time(), time(), of(text()), of(sequence_no()), of(text()));
    (first, second)
        .prop_map(|(first, second)| {
            let (message_id, user_id, to, subject, reply_to, correlation_id) = first;
            let (content_type, content_encoding, absolute_expiry_time, creation_time, group_id, sequence, reply_group) =
                second;
            Properties {
                message_id,
                user_id,
                to,
                subject,
                reply_to,
                correlation_id,
                content_type,
                content_encoding,
                absolute_expiry_time,
                creation_time,
                group_id,
                group_sequence: sequence,
                reply_to_group_id: reply_group,
            }
        })
        .boxed()
}
