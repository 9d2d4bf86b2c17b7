/// The address of the node, in the target of the client's sender and the source of its receiver.
pub const ADDRESS: &str = "$cbs";

/// Whether an address in a terminus is that of the node: `$cbs` or `/$cbs` in any case, with or without a scheme and a
/// host before it.
pub fn is_address(address: &str) -> bool {
    let path = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => address.strip_prefix('/').unwrap_or(address),
    };
    path.eq_ignore_ascii_case(ADDRESS)
}

/// Which of a session's links carries the answer to a request.
///
/// `links` are the links *from* the node in the session that the request came in, in the order in which they were
/// attached, each with the address of its target. If the request's reply-to names one of the targets, it is that link;
/// else the one attached last, for many clients write a reply-to that names nothing, or none, and give their receiver
/// no address. `None` if there is no link: the answer cannot be sent.
pub fn reply_link<'a, K>(reply_to: Option<&str>, links: impl IntoIterator<Item = (K, Option<&'a str>)>) -> Option<K> {
    let (mut named, mut last) = (None, None);
    for (link, target) in links {
        if reply_to.is_some() && reply_to == target {
            named = Some(link);
        } else {
            last = Some(link);
        }
    }
    named.or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_address_is_told_in_every_spelling() {
        for address in ["$cbs", "/$cbs", "$CBS", "amqps://hub.example/$cbs", "amqps://hub.example:5671/$Cbs"] {
            assert!(is_address(address), "{address}");
        }
        for address in ["", "/", "cbs", "$cbs/", "//$cbs", "$management", "amqps://$cbs", "amqps://hub.example/x/$cbs"]
        {
            assert!(!is_address(address), "{address}");
        }
    }

    #[test]
    fn an_answer_goes_to_the_receiver_that_reply_to_names() {
        // As Event Hubs' JavaScript client does it: the receiver's target is its own name.
        let links = [(1, Some("cbs-a")), (2, Some("cbs-b")), (3, None)];
        assert_eq!(reply_link(Some("cbs-a"), links), Some(1));
        assert_eq!(reply_link(Some("cbs-b"), links), Some(2));
    }

    #[test]
    fn an_answer_goes_to_the_sessions_receiver_where_reply_to_names_none() {
        assert_eq!(reply_link(Some("cbs"), [(4, None)]), Some(4), "as IoT Hub's Node clients");
        assert_eq!(reply_link(None, [(1, Some("$cbs"))]), Some(1), "as uamqp and the Python clients");
        assert_eq!(reply_link(None, [(1, None), (2, Some("x"))]), Some(2), "the last one attached");
        assert_eq!(reply_link::<u32>(Some("cbs"), []), None);
    }
}
