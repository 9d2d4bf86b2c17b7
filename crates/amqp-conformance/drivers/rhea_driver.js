// Plays the scenarios of `amqp-conformance client` with rhea: node rhea_driver.js URL ADDRESS SCENARIO COUNT.
"use strict";

const rhea = require("rhea");

const [url, address, scenario, counted] = process.argv.slice(2);
const count = Number(counted);
const { hostname, port } = new URL(url.replace(/^amqps?:/, "http:"));
// For `--ws` the package ws is needed too.
const overWebSocket = url.startsWith("ws");

const fail = (error) => {
  console.error(String((error && (error.description || error.condition)) || error));
  process.exitCode = 1;
};
const container = rhea.create_container();
for (const name of ["connection_error", "session_error", "sender_error", "receiver_error", "disconnected"]) {
  container.on(name, (context) => {
    const { connection, session, sender, receiver, error } = context;
    const failed = error || (sender || receiver || session || connection || {}).error;
    if (failed) fail(failed);
  });
}
const options = { host: hostname, port: Number(port), username: "anonymous", reconnect: false };
if (overWebSocket) {
  options.connection_details = container.websocket_connect(require("ws"))(url, ["amqp"], {});
}
const connection = container.connect(options);
let done = 0;
const finish = () => {
  done += 1;
  if (done === count) connection.close();
};

const scenarios = {
  send() {
    const sender = connection.open_sender(address);
    let sent = 0;
    const send = () => {
      while (sent < count && sender.sendable()) sender.send({ body: `message ${sent++}` });
    };
    container.on("sendable", send);
    // The library leaves the end of a drain to the application.
    container.on("sender_draining", () => {
      send();
      sender.set_drained(true);
    });
    container.on("accepted", finish);
    for (const name of ["rejected", "released", "modified"]) {
      container.on(name, () => {
        fail(name);
        connection.close();
      });
    }
  },
  receive() {
    connection.open_receiver({ source: { address }, credit_window: 0, autoaccept: true });
    container.on("receiver_open", ({ receiver }) => receiver.add_credit(count));
    container.on("message", finish);
  },
  request() {
    const sender = connection.open_sender(address);
    const receiver = connection.open_receiver({ source: { dynamic: true } });
    const send = () => sender.send({ body: "request", message_id: done, reply_to: receiver.source.address });
    container.on("receiver_open", send);
    container.on("message", () => {
      finish();
      if (done < count) send();
    });
  },
  transaction() {
    fail("rhea's API has no transactions");
    connection.close();
  },
  idle() {
    setTimeout(() => connection.close(), count * 1000);
  },
};
container.once("connection_open", scenarios[scenario]);
