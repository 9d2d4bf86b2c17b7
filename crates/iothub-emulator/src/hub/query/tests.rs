use serde_json::{Value, json};

use super::super::{
    DeviceId, ErrorCode, Hub, IdentityId, IdentitySpec, IfMatch, ModuleId, Policies, Settings, UnixMillis,
};
use super::evaluate::{evaluate, holds};
use super::row::canonical;
use super::*;

mod bounds;
mod naive;

fn row() -> Value {
    json!({
        "deviceId": "dev-1", "moduleId": null, "status": "enabled", "lastActivityTime": "2026-11-22T20:27:21.045Z",
        "version": 4, "capabilities": { "iotEdge": true },
        "tags": { "city": "Graz", "floor": 3, "Floor": 4, "open": true, "gone": null, "list": [1, "a"], "a b": { "c": 1 },
                  "big": 1e308, "location": { "region": "EU" }, "select": 1 },
        "properties": { "desired": { "rate": 5, "$version": 2 }, "reported": { "temp": -2.5 } },
        "configurations": { "a-b": { "status": "Applied" } },
    })
}

fn condition(text: &str) -> Option<bool> {
    let query = Query::parse(&format!("SELECT * FROM devices WHERE {text}")).unwrap_or_else(|error| panic!("{error}"));
    match evaluate(&query.condition.unwrap(), &row()) {
        Cell::Bool(value) => Some(value),
        Cell::Undefined => None,
        other => panic!("{text} is {other:?}"),
    }
}

#[test]
fn conditions() {
    for (text, expected) in [
        ("tags.city = 'Graz'", Some(true)),
        ("tags.city = \"Graz\"", Some(true)),
        ("tags.city <> 'Graz'", Some(false)),
        ("tags.city != 'Wien'", Some(true)),
        ("TAGS.city = 'Graz' and DEVICEID = 'dev-1'", Some(true)),
        ("tags.City = 'Graz'", None),
        ("tags.floor = 3 AND tags.Floor = 4", Some(true)),
        ("tags.floor < 4 AND tags.floor <= 3 AND tags.floor > 2 AND tags.floor >= 3", Some(true)),
        ("tags.floor = '3'", None),
        ("tags.floor != '3'", None),
        ("tags.missing = 1", None),
        ("tags.missing != 1", None),
        ("NOT tags.missing = 1", None),
        ("tags.missing = 1 OR tags.floor = 3", Some(true)),
        ("tags.missing = 1 AND tags.floor = 4", Some(false)),
        ("tags.missing = 1 AND tags.floor = 3", None),
        ("NOT (tags.floor = 3 OR false)", Some(false)),
        ("NOT NOT tags.open", Some(true)),
        ("tags.gone = null", Some(true)),
        ("tags.gone != NULL", Some(false)),
        ("tags.gone < null", None),
        ("tags.open > false", None),
        ("tags.missing = undefined", None),
        ("tags.list = tags.list", None),
        ("tags.location = tags.location", None),
        ("tags.city IN ['Wien', 'Graz']", Some(true)),
        ("tags.city NIN ['Wien', 'Graz']", Some(false)),
        ("tags.city nin []", Some(true)),
        ("tags.missing IN [1]", None),
        ("tags.missing NIN [1]", None),
        ("tags.floor IN [1 + 2, '3']", Some(true)),
        ("'a' IN tags.list", Some(true)),
        ("'b' IN tags.list", Some(false)),
        ("'b' IN tags.city", None),
        ("tags.floor * 2 + 1 = 7 AND 1 + tags.floor * 2 = 7", Some(true)),
        ("10 - 4 - 3 = 3", Some(true)),
        ("(10 - (4 - 3)) = 9", Some(true)),
        ("7 % 4 = 3 AND -tags.floor = -3 AND - -1 = 1", Some(true)),
        ("1 / 0 = 1", None),
        ("1 % 0 = 1 OR 0 / 0 = 0", None),
        ("tags.big * 10 > 0", None),
        ("tags.city + '!' = 'Graz!'", Some(true)),
        ("tags.city + 1 = 'Graz1'", None),
        ("0xFF = 255 AND 1e3 = 1000 AND .5 = 0.5 AND 2. = 2", Some(true)),
        ("IS_DEFINED(tags.gone) AND is_defined(tags.location.region)", Some(true)),
        ("IS_DEFINED(tags.missing) OR IS_DEFINED(properties.desired.rate.x)", Some(false)),
        ("STARTSWITH(tags.city, 'Gr')", Some(true)),
        ("startswith(deviceId, 'x')", Some(false)),
        ("STARTSWITH(tags.floor, '3')", None),
        ("properties.desired.rate = 5 and Properties.Reported.temp < 0", Some(true)),
        ("properties.desired.$version = 2", Some(true)),
        ("capabilities.iotEdge", Some(true)),
        ("Capabilities.IOTEDGE = true", Some(true)),
        ("configurations.[[a-b]].status = 'Applied'", Some(true)),
        ("tags.[[a b]].c = 1 AND [[tags]].city = 'Graz' AND tags.[[select]] = 1", Some(true)),
        ("devices.tags.city = 'Graz' AND devices.deviceId = 'dev-1'", Some(true)),
        ("lastActivityTime >= '2026-11-22T00:00:00Z' AND lastActivityTime < '2026-11-23T00:00:00Z'", Some(true)),
    ] {
        assert_eq!(condition(text), expected, "{text}");
    }
}

#[test]
fn escapes_in_texts() {
    for (text, expected) in [
        (r"'it\'s'", "it's"),
        (r#""say \"x\"""#, "say \"x\""),
        (r"'\\\u0041\t\/'", "\\A\t/"),
        (r"'\uD83D\uDE00x'", "😀x"),
        (r#"'"'"#, "\""),
        ("''", ""),
        ("'ä'", "ä"),
    ] {
        let query = Query::parse(&format!("SELECT * FROM devices WHERE tags.a = {text}")).unwrap();
        let row = json!({ "tags": { "a": expected } });
        assert!(holds(query.condition.as_ref().unwrap(), &row), "{text}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (text, code, position, expected) in [
        ("", ErrorCode::ArgumentNull, None, "empty"),
        ("  ", ErrorCode::ArgumentNull, None, "empty"),
        ("x", ErrorCode::ArgumentInvalid, Some(1), "expected SELECT"),
        ("SELECT", ErrorCode::ArgumentInvalid, Some(7), "path of a property"),
        ("SELECT * FRM devices", ErrorCode::ArgumentInvalid, Some(10), "FROM"),
        ("SELECT * FROM c", ErrorCode::ArgumentInvalid, Some(15), "devices or devices.modules"),
        ("SELECT * FROM devices.x", ErrorCode::ArgumentInvalid, Some(23), "devices or devices.modules"),
        ("SELECT * FROM devices.jobs", ErrorCode::FeatureNotSupported, None, "jobs"),
        ("SELECT * FROM devices x", ErrorCode::ArgumentInvalid, Some(23), "GROUP BY"),
        ("SELECT * FROM devices ORDER BY deviceId", ErrorCode::ArgumentInvalid, Some(23), "GROUP BY"),
        ("SELECT * FROM devices WHERE", ErrorCode::ArgumentInvalid, Some(28), "a value"),
        ("SELECT * FROM devices WHERE a = 'x", ErrorCode::ArgumentInvalid, Some(33), "closing quote"),
        (r"SELECT * FROM devices WHERE a = 'x\q'", ErrorCode::ArgumentInvalid, Some(35), "escapes"),
        (r"SELECT * FROM devices WHERE a = '\uD800'", ErrorCode::ArgumentInvalid, Some(34), "escapes"),
        ("SELECT * FROM devices WHERE a = 0xG", ErrorCode::ArgumentInvalid, Some(33), "hexadecimal"),
        ("SELECT * FROM devices WHERE a = 1e999", ErrorCode::ArgumentInvalid, Some(33), "in range"),
        ("SELECT * FROM devices WHERE a = 1x", ErrorCode::ArgumentInvalid, Some(33), "number"),
        ("SELECT * FROM devices WHERE (a = 1", ErrorCode::ArgumentInvalid, Some(35), "`)`"),
        ("SELECT * FROM devices WHERE a IN (1)", ErrorCode::ArgumentInvalid, Some(34), "`[`"),
        ("SELECT * FROM devices WHERE a IN [1", ErrorCode::ArgumentInvalid, Some(36), "`]`"),
        (
            "SELECT * FROM devices WHERE STARTS_WITH(a, 'x')",
            ErrorCode::ArgumentInvalid,
            Some(29),
            "no function STARTS_WITH",
        ),
        ("SELECT * FROM devices WHERE CONTAINS(a, 'x')", ErrorCode::ArgumentInvalid, Some(29), "no function CONTAINS"),
        ("SELECT * FROM devices WHERE a.[[b = 1", ErrorCode::ArgumentInvalid, Some(31), "`]]`"),
        ("SELECT * FROM devices WHERE a = 'ä' b", ErrorCode::ArgumentInvalid, Some(37), "operator"),
        ("SELECT TOP x * FROM devices", ErrorCode::ArgumentInvalid, Some(12), "rows"),
        ("SELECT TOP 0 * FROM devices", ErrorCode::ArgumentInvalid, Some(12), "rows"),
        ("SELECT TOP 1.5 * FROM devices", ErrorCode::ArgumentInvalid, Some(12), "rows"),
        ("SELECT * FROM devices GROUP BY status", ErrorCode::ArgumentInvalid, None, "SELECT *"),
        ("SELECT status, COUNT() FROM devices", ErrorCode::ArgumentInvalid, None, "status is neither"),
        ("SELECT tags.a, tags.b.a FROM devices", ErrorCode::ArgumentInvalid, None, "two columns are named a"),
        ("SELECT MEDIAN(a) FROM devices", ErrorCode::ArgumentInvalid, Some(8), "COUNT, AVG"),
        ("SELECT SUM() FROM devices", ErrorCode::ArgumentInvalid, Some(12), "path"),
    ] {
        let error = Query::parse(text).expect_err(text);
        assert_eq!(error.code(), code, "{text}: {error}");
        assert!(error.text().contains(expected), "{text}: {error}");
        if let Some(position) = position {
            assert!(error.text().contains(&format!("at position {position}:")), "{text}: {error}");
        }
    }
}

#[test]
fn hostile_texts_are_bounded() {
    for deep in ["(", "NOT ", "-", "[ ", "STARTSWITH("] {
        let text = format!("SELECT * FROM devices WHERE {}", deep.repeat(8000 / deep.len()));
        assert!(Query::parse(&text).unwrap_err().text().contains("nested at most"), "{deep}");
    }
    // Long but not deep.
    let most = MAX_QUERY_LENGTH - "SELECT * FROM devices WHERE 1=1".len();
    for chain in [" AND 1", "+1", " OR a"] {
        let text = format!("SELECT * FROM devices WHERE 1=1{}", chain.repeat(most / chain.len()));
        let query = Query::parse(&text).unwrap();
        evaluate(query.condition.as_ref().unwrap(), &row());
    }
    let text = format!("SELECT * FROM devices WHERE tags.{} = 1", "a.".repeat(4000) + "a");
    assert!(Query::parse(&text).is_ok());
    let text = format!("SELECT * FROM devices {}", "ä".repeat(MAX_QUERY_LENGTH));
    assert!(Query::parse(&text).unwrap_err().text().contains("8192"));
}

fn hub() -> Hub {
    let mut hub = Hub::new(Settings::default(), Policies::new()).unwrap();
    for n in 0..10 {
        let id = DeviceId::new(&format!("d{n}")).unwrap();
        hub.create_identity(UnixMillis(1), IdentitySpec::new(id.clone())).unwrap();
        let city = if n % 3 == 0 { json!("Graz") } else { json!("Wien") };
        let tags = if n == 9 { json!({ "n": n }) } else { json!({ "n": n, "city": city }) };
        let document = json!({ "tags": tags, "properties": { "desired": { "rate": n } } });
        hub.patch_twin(UnixMillis(2), &IdentityId::from(&id), &IfMatch::Any, &document).unwrap();
        for module in ["a", "b"] {
            let module = IdentityId::of_module(id.clone(), ModuleId::new(module).unwrap());
            hub.create_identity(UnixMillis(3), IdentitySpec::new(module)).unwrap();
        }
    }
    hub
}

fn rows(hub: &Hub, text: &str) -> Value {
    hub.query(text, 1000, None).unwrap_or_else(|error| panic!("{text}: {error}")).rows.into()
}

#[test]
fn columns_aggregates_and_groups() {
    let hub = hub();
    for (text, expected) in [
        ("SELECT DeviceId FROM devices WHERE tags.n = 1", json!([{ "deviceId": "d1" }])),
        (
            "SELECT deviceId AS id, tags.city AS c FROM devices WHERE tags.n > 7",
            json!([{ "id": "d8", "c": "Wien" }, { "id": "d9" }]),
        ),
        ("SELECT TOP 2 tags.n FROM devices", json!([{ "n": 0 }, { "n": 1 }])),
        ("SELECT COUNT() AS total FROM devices", json!([{ "total": 10 }])),
        ("SELECT count(tags.city), COUNT() FROM devices", json!([{ "$1": 9, "$2": 10 }])),
        ("SELECT COUNT() AS n FROM devices WHERE false", json!([{ "n": 0 }])),
        ("SELECT AVG(tags.n) AS a, MIN(tags.n) AS b FROM devices WHERE false", json!([{}])),
        (
            "SELECT SUM(tags.n) AS s, AVG(tags.n) AS a, MIN(tags.n) AS l, MAX(tags.n) AS h FROM devices",
            json!([{ "s": 45, "a": 4.5, "l": 0, "h": 9 }]),
        ),
        ("SELECT MIN(tags.city) AS a, MAX(tags.city) AS z FROM devices", json!([{ "a": "Graz", "z": "Wien" }])),
        (
            "SELECT tags.city, COUNT() AS n FROM devices GROUP BY tags.city",
            json!([{ "city": "Graz", "n": 3 }, { "city": "Wien", "n": 6 }, { "n": 1 }]),
        ),
        ("SELECT TOP 1 tags.city AS c FROM devices GROUP BY tags.city", json!([{ "c": "Graz" }])),
        ("SELECT COUNT() AS n FROM devices.modules WHERE moduleId = 'a'", json!([{ "n": 10 }])),
        (
            "SELECT deviceId, moduleId FROM devices.modules WHERE deviceId IN ['d3']",
            json!([{ "deviceId": "d3", "moduleId": "a" }, { "deviceId": "d3", "moduleId": "b" }]),
        ),
        ("SELECT properties.desired FROM devices WHERE deviceId = 'none'", json!([])),
    ] {
        assert_eq!(rows(&hub, text), expected, "{text}");
    }
}

#[test]
fn a_twin_gives_at_each_path_what_its_document_has_there() {
    fn paths(value: &Value, path: &mut Vec<Box<str>>, check: &mut impl FnMut(&[Box<str>], &Value)) {
        if !path.is_empty() {
            check(path, value);
        }
        for (key, value) in value.as_object().into_iter().flatten() {
            path.push(key.as_str().into());
            paths(value, path, check);
            path.pop();
        }
    }
    let mut hub = hub();
    let device = IdentityId::from(&DeviceId::new("d1").unwrap());
    hub.patch_reported(UnixMillis(5), &device, None, &json!({ "a": { "b": [1, { "c": null }], "d": "e" } })).unwrap();
    let mut spec = IdentitySpec::new(DeviceId::new("edge").unwrap());
    (spec.iot_edge, spec.status_reason) = (true, Some("because".into()));
    hub.create_identity(UnixMillis(6), spec).unwrap();
    for twin in hub.twins().chain(hub.module_twins()) {
        let mut seen = 0;
        paths(&twin.to_json(), &mut Vec::new(), &mut |path, value| {
            seen += 1;
            assert_eq!(twin.value(path).into_json().as_ref(), Some(value), "{path:?}");
            assert_eq!(canonical(path.to_vec()), path);
        });
        assert!(seen > 20, "{seen}");
        for absent in [&["x"][..], &["deviceId", "x"], &["properties", "x"], &["tags", "x", "y"], &["$version"]] {
            let path: Vec<Box<str>> = absent.iter().map(|key| (*key).into()).collect();
            assert_eq!(twin.value(&path), Cell::Undefined, "{absent:?}");
        }
    }
}

#[test]
fn pages_lead_to_all_rows_once_also_when_twins_come_and_go() {
    let mut hub = hub();
    let text = "SELECT deviceId FROM devices WHERE tags.n != 5";
    let (mut seen, mut continuation, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = hub.query(text, 3, continuation.as_deref()).unwrap();
        assert_eq!(page.item_type, ItemType::Raw);
        seen.extend(page.rows.iter().map(|row| row["deviceId"].as_str().unwrap().to_owned()));
        pages += 1;
        if pages == 1 {
            // The last row of a page goes, and one comes before it.
            hub.remove_device(&DeviceId::new("d2").unwrap());
            hub.create_identity(UnixMillis(9), IdentitySpec::new(DeviceId::new("c").unwrap())).unwrap();
        }
        continuation = page.continuation;
        if continuation.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["d0", "d1", "d2", "d3", "d4", "d6", "d7", "d8", "d9"]);
    // A full page that is the last one has no continuation.
    assert_eq!(pages, 3);
}

#[test]
fn top_counts_over_all_pages_and_groups_and_modules_have_pages_too() {
    let hub = hub();
    let all = |text: &str, size: usize| {
        let (mut rows, mut continuation) = (Vec::new(), None);
        loop {
            let page = hub.query(text, size, continuation.as_deref()).unwrap();
            assert!(page.rows.len() <= size);
            rows.extend(page.rows);
            continuation = page.continuation;
            if continuation.is_none() {
                return Value::from(rows);
            }
        }
    };
    assert_eq!(all("SELECT TOP 5 tags.n FROM devices", 2), json!([{"n": 0}, {"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]));
    assert_eq!(all("SELECT TOP 4 tags.n FROM devices", 2), json!([{"n": 0}, {"n": 1}, {"n": 2}, {"n": 3}]));
    for text in [
        "SELECT tags.city, COUNT() AS n FROM devices GROUP BY tags.city",
        "SELECT deviceId, moduleId FROM devices.modules",
        "SELECT * FROM devices.modules",
        "SELECT * FROM devices",
    ] {
        assert_eq!(all(text, 1), rows(&hub, text), "{text}");
        assert_eq!(all(text, 3), rows(&hub, text), "{text}");
    }
}

#[test]
fn a_query_in_steps_gives_the_same_pages() {
    let mut hub = hub();
    for n in 0..5 {
        // Devices without modules behind one that has some.
        hub.create_identity(UnixMillis(9), IdentitySpec::new(DeviceId::new(&format!("z{n}")).unwrap())).unwrap();
    }
    for text in [
        "SELECT * FROM devices",
        "SELECT TOP 4 tags.n FROM devices WHERE tags.n != 2",
        "SELECT deviceId, moduleId FROM devices.modules",
        "SELECT COUNT() AS n FROM devices.modules",
        "SELECT tags.city, COUNT() AS n FROM devices GROUP BY tags.city",
    ] {
        for (size, most) in [(1, 1), (2, 1), (3, 2), (1000, 1), (1000, 3)] {
            let mut continuation: Option<String> = None;
            loop {
                let expected = hub.query(text, size, continuation.as_deref()).unwrap();
                let mut run = hub.begin_query(text, size, continuation.as_deref()).unwrap();
                while !hub.continue_query(&mut run, most).unwrap() {}
                assert_eq!(run.into_page(), expected, "{text}, {size} at a time, {most} in a step");
                continuation = expected.continuation;
                if continuation.is_none() {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_step_looks_at_no_more_than_it_is_to_and_the_hub_may_change_in_between() {
    let mut hub = hub();
    for text in ["SELECT deviceId FROM devices", "SELECT moduleId FROM devices.modules WHERE moduleId = 'none'"] {
        let mut run = hub.begin_query(text, 1000, None).unwrap();
        let mut steps = 1;
        while !hub.continue_query(&mut run, 1).unwrap() {
            steps += 1;
        }
        assert!(steps >= 10, "{text}: {steps}");
    }
    let mut run = hub.begin_query("SELECT deviceId FROM devices", 1000, None).unwrap();
    assert_eq!(hub.continue_query(&mut run, 3), Ok(false));
    // The one that was looked at last goes, and so does one that was not.
    hub.remove_device(&DeviceId::new("d2").unwrap());
    hub.remove_device(&DeviceId::new("d5").unwrap());
    assert_eq!(hub.continue_query(&mut run, 100), Ok(true));
    let seen: Vec<_> = run.into_page().rows.iter().map(|row| row["deviceId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(seen, ["d0", "d1", "d2", "d3", "d4", "d6", "d7", "d8", "d9"]);
}

#[test]
fn a_step_ends_early_where_rows_are_large() {
    let mut hub = hub();
    let large = json!({ "properties": { "desired": { "a": "x".repeat(4000), "b": "x".repeat(4000) } } });
    for n in 0..100 {
        let id = DeviceId::new(&format!("large{n:03}")).unwrap();
        hub.create_identity(UnixMillis(9), IdentitySpec::new(id.clone())).unwrap();
        hub.patch_twin(UnixMillis(9), &id.into(), &IfMatch::Any, &large).unwrap();
    }
    let mut run = hub.begin_query("SELECT * FROM devices", 1000, None).unwrap();
    let mut steps = 1;
    while !hub.continue_query(&mut run, 1000).unwrap() {
        steps += 1;
    }
    assert!((10..30).contains(&steps), "{steps}");
}

#[test]
fn a_continuation_that_the_hub_did_not_give_for_the_query_is_refused() {
    let hub = hub();
    let text = "SELECT * FROM devices";
    let page = hub.query(text, 2, None).unwrap();
    assert_eq!(page.item_type, ItemType::Twin);
    let good = page.continuation.unwrap();
    assert!(hub.query(text, 5, Some(&good)).is_ok());
    let refused = |text: &str, continuation: &str| hub.query(text, 2, Some(continuation)).unwrap_err().code();
    assert_eq!(refused("SELECT * FROM devices ", &good), ErrorCode::ArgumentInvalid);
    for at in 0..good.len() {
        let mut changed = good.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(refused(text, core::str::from_utf8(&changed).unwrap()), ErrorCode::ArgumentInvalid);
    }
    for bad in ["", "x", "AAAA", &"A".repeat(2000)] {
        assert_eq!(refused(text, bad), ErrorCode::ArgumentInvalid);
    }
    let other = Hub::new(Settings { seed: 99, ..Settings::default() }, Policies::new()).unwrap();
    assert!(other.query(text, 2, Some(&good)).is_err());
    for size in [0, 1001] {
        assert_eq!(hub.query(text, size, None).unwrap_err().code(), ErrorCode::ArgumentInvalid);
    }
}

#[test]
fn the_secret_of_continuations_is_not_shown() {
    let secret = Secret::new(&mut crate::hub::random::Random::new(1));
    assert_eq!(format!("{secret:?}"), "Secret(..)");
}
