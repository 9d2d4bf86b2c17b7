/// Whether a token for `audience` is good for `resource`: the same, or one below it, segment by segment.
///
/// Both are decoded resource URIs such as `hub.example`, `hub.example/devices/d1` or `sb://hub.example/entity`. The
/// scheme, the port and slashes at the end do not matter, nor does the case of letters, except in the id after
/// `devices` and in the one after `modules`: those ids tell `D1` from `d1`.
pub fn covers(audience: &str, resource: &str) -> bool {
    let (audience_host, audience_path) = split(audience);
    let (resource_host, resource_path) = split(resource);
    if audience_host.is_empty() || !audience_host.eq_ignore_ascii_case(resource_host) {
        return false;
    }
    let mut resource = segments(resource_path);
    let mut previous = "";
    for expected in segments(audience_path) {
        let Some(found) = resource.next() else { return false };
        let is_id = previous.eq_ignore_ascii_case("devices") || previous.eq_ignore_ascii_case("modules");
        if !(expected == found || !is_id && expected.eq_ignore_ascii_case(found)) {
            return false;
        }
        // An id may itself read "devices"; what follows it is not an id.
        previous = if is_id { "" } else { expected };
    }
    true
}

/// Host without its port, and path.
fn split(uri: &str) -> (&str, &str) {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = match authority.rsplit_once(':') {
        // A colon inside brackets belongs to an IPv6 address.
        Some((host, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => host,
        _ => authority,
    };
    (host, path)
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_parent_covers_its_children_and_itself() {
        for (audience, resource) in [
            ("hub.example", "hub.example"),
            ("hub.example", "hub.example/devices/d1"),
            ("HUB.example", "hub.EXAMPLE/devices/d1/modules/m"),
            ("hub.example/devices/d1", "hub.example/devices/d1"),
            ("hub.example/devices/d1", "hub.example/devices/d1/modules/m"),
            ("hub.example/Devices/d1", "hub.example/devices/d1"),
            ("hub.example:5671", "hub.example/devices/d1"),
            ("sb://ns/hub", "sb://ns/hub/ConsumerGroups/$Default/Partitions/0"),
            ("sb://ns/hub/consumergroups/$Default", "sb://ns/hub/ConsumerGroups/$default/Partitions/0"),
            ("amqps://ns:5671/hub/", "ns/hub/ConsumerGroups/$Default/Partitions/0"),
            ("https://hub.example", "hub.example"),
            ("[::1]:5671", "[::1]/devices/d1"),
        ] {
            assert!(covers(audience, resource), "{audience} should cover {resource}");
        }
    }

    #[test]
    fn a_foreign_resource_is_not_covered() {
        for (audience, resource) in [
            ("", ""),
            ("", "hub.example"),
            ("hub.example/devices/d1", "hub.example"),
            ("hub.example/devices/d1", "hub.example/devices/d10"),
            ("hub.example/devices/d1", "hub.example/devices/D1"),
            ("hub.example/devices/d1/modules/m", "hub.example/devices/d1/modules/M"),
            ("hub.example/devices/d1/modules/m", "hub.example/devices/d1"),
            ("hub.example/devices/devices/modules/m", "hub.example/devices/devices/modules/M"),
            ("hub.example", "hub.example.evil"),
            ("hub.example", "other.example/devices/d1"),
            ("[::1]", "[::2]"),
        ] {
            assert!(!covers(audience, resource), "{audience} should not cover {resource}");
        }
    }

    #[test]
    fn what_follows_an_id_that_reads_devices_is_not_an_id() {
        assert!(covers("h/devices/devices/Modules", "h/devices/devices/modules/m"));
    }
}
