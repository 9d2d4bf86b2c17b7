//! Cases for peers in either role: what a rule of the connection asks of a server, it asks of a client.
//!
//! A check is written once, for [`AnyTrial`], and [`cases`] makes a case for each role of it.

pub(crate) mod closing;
pub(crate) mod definitions;
pub(crate) mod framing;
pub(crate) mod idle;
pub(crate) mod limits;
pub(crate) mod links;
pub(crate) mod opening;
mod refusals;
pub(crate) mod resuming;
pub(crate) mod robustness;
pub(crate) mod sessions;
pub(crate) mod states;
mod trial;
pub(crate) mod types;
pub(crate) mod windows;

pub(crate) use refusals::{
    CLOSED, FRAMING, UNMAPPED, accepts, answers_or_refuses, closed_for_error, in_flight, is_given_up, nothing_follows,
    refuses, refuses_at_first, tolerated_or_refused, until_close,
};
pub(crate) use trial::{AnyTrial, Linked, linked, outcome_name};

/// Declares `SERVER` and `CLIENT`, tables of the same cases for both roles.
///
/// An entry is `"id" as Scenario like TWIN => check(arguments): rule, sends, wants`, and then other fields of
/// [`Case`](crate::Case). The check's first argument, the trial, is not written. The scenario, that of a client, is `Send`
/// unless it is named. A twin is in `twins` of both roles.
macro_rules! cases {
    ($(
        $id:literal $(as $scenario:ident)? $(like $twin:ident)? => $check:ident($($argument:expr),*):
        $rule:literal, $sends:literal, $wants:literal $(, $field:ident: $value:expr)*;
    )+) => {
        pub(crate) const SERVER: &[$crate::Case] = &[$($crate::Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: $wants,
            check: $crate::Check::Server(|trial| $check(trial $(, $argument)*)),
            $(twin: Some(&$crate::server::twins::$twin),)?
            $($field: $value,)*
            ..$crate::Case::SERVER
        }),+];
        pub(crate) const CLIENT: &[$crate::Case] = &[$($crate::Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: $wants,
            check: $crate::Check::Client(
                $crate::either::cases!(@scenario $($scenario)?),
                |trial| $check(trial $(, $argument)*),
            ),
            $(twin: Some(&$crate::client::twins::$twin),)?
            $($field: $value,)*
            ..$crate::Case::CLIENT
        }),+];
    };
    (@scenario) => { $crate::client::Scenario::Send };
    (@scenario $scenario:ident) => { $crate::client::Scenario::$scenario };
}
pub(crate) use cases;
