//! The test with a hub that the READMEs show, and that they show it as it is here: a doctest would leave it out. And that
//! the tests that the README cites exist.
#![allow(missing_docs)]

use iothub::{CloudMessage, DeviceClient, ServiceClient};
use iothub_emulator::Emulator;

#[tokio::test]
async fn a_device_gets_its_message() -> Result<(), Box<dyn std::error::Error>> {
    let hub = Emulator::builder().device("thermostat", "c2VjcmV0LWtleS1vZi10aGUtdGhlcm1vc3RhdA==").start().await?;

    // The hub has a certificate authority of its own: `ca_pem` has the clients trust it.
    let service = ServiceClient::builder()
        .connection_string(&hub.service_connection_string())?
        .ca_pem(hub.ca_pem())?
        .connect()
        .await?;
    let device = DeviceClient::builder()
        .connection_string(&hub.device_connection_string("thermostat").expect("a device of this hub"))?
        .ca_pem(hub.ca_pem())?
        .connect()
        .await?;

    service.send("thermostat", CloudMessage::new("set 21")).await?;
    let mut messages = device.cloud_to_device().await?;
    let message = messages.next().await?.expect("a message");
    assert_eq!(&message.body()[..], b"set 21");
    message.complete()?;

    device.close().await?;
    service.close().await?;
    hub.shutdown().await;
    Ok(())
}

#[test]
fn the_readmes_show_the_test_above() {
    let this = include_str!("hub_in_a_test.rs");
    let begin = this.find("use iothub::").expect("the imports");
    let end = this.find("\n#[test]\n").expect("this test");
    for readme in [include_str!("../README.md"), include_str!("../crates/iothub-emulator/README.md")] {
        assert!(readme.contains(&this[begin..end]), "a README shows another test:\n{}", &this[begin..end]);
    }
}

/// In the table of features each cell that begins with "works" names files, and a test in each.
#[test]
fn the_tests_that_the_feature_table_cites_exist() {
    let readme = include_str!("../README.md");
    let (_, table) = readme.split_once("### Beside Azure's SDKs").expect("the table's heading");
    let (table, _) = table.split_once("\n## ").expect("a further section");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut cited = 0;
    for row in table.lines().filter(|line| line.starts_with('|')) {
        let cell = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default().trim();
        if !cell.starts_with("works") {
            continue;
        }
        let citations = cell.strip_prefix("works (").and_then(|cell| cell.strip_suffix(')'));
        let citations = citations.unwrap_or_else(|| panic!("not \"works (`FILE`: `TEST`)\": {cell}"));
        for citation in citations.split("; ") {
            let ["", file, ": ", test, ""] = citation.split('`').collect::<Vec<_>>()[..] else {
                panic!("not \"`FILE`: `TEST`\": {citation}");
            };
            let path = match file.starts_with("tests/") {
                true => root.join(file),
                false => root.join("crates/iothub/tests").join(file),
            };
            let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(source.contains(&format!("fn {test}(")), "{file} has no test {test}");
        }
        cited += 1;
    }
    assert!(cited >= 15, "only {cited} rows of the table were found");
}
