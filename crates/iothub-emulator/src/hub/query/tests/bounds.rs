//! Queries that cost more than they are worth.

use super::*;

#[test]
fn a_condition_looks_into_no_section_as_a_whole() {
    let mut hub = hub();
    let id = IdentityId::from(&DeviceId::new("d1").unwrap());
    let many: serde_json::Map<String, Value> = (0..2000).map(|n| (format!("k{n}"), json!(true))).collect();
    hub.patch_reported(UnixMillis(5), &id, None, &Value::Object(many)).unwrap();
    for (term, rows) in [
        ("IS_DEFINED(properties)", 10),
        ("IS_DEFINED(properties.reported)", 10),
        ("IS_DEFINED(properties.reported.$metadata)", 10),
        ("IS_DEFINED(properties.reported.$metadata.k7)", 1),
        ("IS_DEFINED(properties.reported.$metadata.k7.$lastUpdated)", 1),
        ("IS_DEFINED(properties.reported.$metadata.other)", 0),
        ("IS_DEFINED(properties.other)", 0),
        ("IS_DEFINED(tags)", 10),
        ("properties.reported.$metadata.k7.$lastUpdated > '1970'", 1),
    ] {
        let text = format!("SELECT deviceId FROM devices WHERE {term}");
        assert_eq!(hub.query(&text, 100, None).unwrap().rows.len(), rows, "{term}");
    }
    let twin = hub.twin(&id).unwrap();
    for path in [&["properties"][..], &["properties", "reported"], &["properties", "reported", "$metadata"], &["tags"]]
    {
        let path: Vec<Box<str>> = path.iter().map(|key| (*key).into()).collect();
        assert_eq!(twin.operand(&path).into_json(), Some(json!({})), "{path:?} is made for each question");
    }
}

#[test]
fn groups_are_made_of_simple_values_and_are_bounded_with_their_columns() {
    let mut hub = hub();
    let grouped = "SELECT COUNT() AS n FROM devices GROUP BY properties";
    assert_eq!(hub.query(grouped, 100, None).unwrap().rows, [json!({ "n": 10 })]);
    for n in 0..1000 {
        hub.create_identity(UnixMillis(9), IdentitySpec::new(DeviceId::new(&format!("x{n}")).unwrap())).unwrap();
    }
    let columns = |columns: usize| {
        let columns: Vec<String> = (0..columns).map(|n| format!("COUNT() AS c{n}")).collect();
        format!("SELECT {} FROM devices GROUP BY deviceId", columns.join(","))
    };
    assert_eq!(hub.query(&columns(100), 10, None).unwrap().rows.len(), 10);
    let error = hub.query(&columns(250), 10, None).unwrap_err();
    assert_eq!(error.code(), ErrorCode::ArgumentInvalid);
    assert!(error.text().contains("groups"), "{error}");
}

#[test]
fn a_path_is_not_shown_in_very_many_columns() {
    let columns = |columns: usize| {
        let columns: Vec<String> = (0..columns).map(|n| format!("properties AS p{n}")).collect();
        Query::parse(&format!("SELECT {} FROM devices", columns.join(","))).map(drop).map_err(|error| error.code())
    };
    assert_eq!(columns(4), Ok(()));
    assert_eq!(columns(5), Err(ErrorCode::ArgumentInvalid));
}
