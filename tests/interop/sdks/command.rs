//! The command `iothub emulator --json`: Azure's SDKs take the connection strings of its ready line as they are.

use amqp1_tests::peer::{self, Server};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;
use tokio::process::Command;

const DEVICE: &str = "dev1=ZGV2MSBkZXYxIGRldjEgZGV2MSBkZXYxIGRldjEgZGU=";

/// An emulator with the device `dev1`, whose folder is made anew.
async fn start(options: &[&str]) -> (Server, TempDir) {
    let built = || {
        let test = std::env::current_exe().expect("this program");
        test.ancestors().nth(2).expect("the folder of programs").join("iothub")
    };
    let program = std::env::var_os("IOTHUB_BIN").map_or_else(built, Into::into);
    assert!(program.exists(), "{} is missing: build it, or name another with IOTHUB_BIN", program.display());
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(program);
    command.args(["emulator", "--json", "--device", DEVICE, "--ca-dir"]).arg(folder.path()).args(options);
    command.kill_on_drop(true);
    (Server::start(command).await, folder)
}

async fn stop(emulator: Server) {
    emulator.signal("TERM");
    emulator.finish().await;
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not text: {value}"))
}

async fn get_device(ready: &Value, string: &Value) {
    let mut program = peer::program("azure/python_get_device.py");
    program.args([text(string), "dev1"]).env("IOTHUB_CA", text(&ready["ca"]));
    let device = peer::run(program).await.expect("the device");
    assert_eq!(device, json!({ "device": "dev1", "status": "enabled" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_connection_strings_at_the_usual_ports() {
    let (emulator, _folder) = start(&["--hostname", "127.0.0.28", "--listen", "127.0.0.28:5671"]).await;
    let ready = &emulator.ready;
    assert_eq!((text(&ready["amqps"]), text(&ready["https"])), ("127.0.0.28:5671", "127.0.0.28:443"), "{ready}");
    let mut program = peer::program("azure/node_connection_strings.js");
    program.arg(ready.to_string()).env("NODE_EXTRA_CA_CERTS", text(&ready["ca"]));
    let seen = peer::run(program).await.expect("a back end and a device");
    assert_eq!(seen, json!({ "device": "dev1", "received": "hello" }));
    get_device(ready, &ready["policies"]["registryReadWrite"]).await;
    stop(emulator).await;
}

/// HTTPS is not at its usual port, and the hub's name has no dot.
#[tokio::test(flavor = "multi_thread")]
async fn the_commands_connection_strings_for_python_and_java() {
    let (emulator, _folder) = start(&["--listen", "127.0.0.29:5671", "--https-listen", "127.0.0.1:0"]).await;
    let ready = &emulator.ready;
    let string = &ready["https_policies"]["registryReadWrite"];
    assert_ne!(string, &ready["policies"]["registryReadWrite"]);
    get_device(ready, string).await;
    let trusted = crate::java_clients::trust_store(Path::new(text(&ready["ca"])).parent().expect("a folder"));
    let mut program = peer::java("iot", "Open");
    program.arg(text(&ready["devices"][0]["java_connection_string"]));
    program.env(
        "JDK_JAVA_OPTIONS",
        format!("-Djavax.net.ssl.trustStore={trusted} -Djavax.net.ssl.trustStorePassword=secret"),
    );
    assert_eq!(peer::run(program).await.expect("an open device"), json!({ "opened": true }));
    stop(emulator).await;
}
