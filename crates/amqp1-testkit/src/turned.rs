//! The same tests with the engines in each other's place.

use std::sync::LazyLock;

/// The variable of the environment that has [`Pair`](crate::Pair) and [`Peer`](crate::Peer) make a client's engine where a
/// server's is tested, and a server's where a client's is. Which end has made the connection matters only before it is
/// open (§2.4), so what a test shows of one it has to show of the other.
pub const TURNED: &str = "AMQP1_TURNED_ENGINES";

/// Whether that is wanted.
pub(crate) fn turned() -> bool {
    static IS: LazyLock<bool> = LazyLock::new(|| std::env::var_os(TURNED).is_some());
    *IS
}
