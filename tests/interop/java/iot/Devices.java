import com.azure.messaging.eventhubs.EventData;
import com.azure.messaging.eventhubs.EventHubClientBuilder;
import com.microsoft.azure.sdk.iot.device.ClientOptions;
import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.FileUploadCompletionNotification;
import com.microsoft.azure.sdk.iot.device.FileUploadSasUriRequest;
import com.microsoft.azure.sdk.iot.device.InternalClient;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.IotHubMessageResult;
import com.microsoft.azure.sdk.iot.device.IotHubStatusCode;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.ModuleClient;
import com.microsoft.azure.sdk.iot.device.exceptions.IotHubClientException;
import com.microsoft.azure.sdk.iot.device.transport.IotHubConnectionStatus;
import com.microsoft.azure.sdk.iot.device.twin.DirectMethodResponse;
import com.microsoft.azure.sdk.iot.device.twin.TwinCollection;
import com.microsoft.azure.sdk.iot.service.auth.AuthenticationType;
import com.microsoft.azure.sdk.iot.service.messaging.AcknowledgementType;
import com.microsoft.azure.sdk.iot.service.messaging.FileUploadNotification;
import com.microsoft.azure.sdk.iot.service.messaging.FileUploadNotificationProcessorClient;
import com.microsoft.azure.sdk.iot.service.messaging.IotHubServiceClientProtocol;
import com.microsoft.azure.sdk.iot.service.messaging.MessagingClient;
import com.microsoft.azure.sdk.iot.service.methods.DirectMethodRequestOptions;
import com.microsoft.azure.sdk.iot.service.methods.DirectMethodsClient;
import com.microsoft.azure.sdk.iot.service.registry.Device;
import com.microsoft.azure.sdk.iot.service.registry.Module;
import com.microsoft.azure.sdk.iot.service.twin.Twin;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** Devices and modules on iot-device-client; the back end is iot-service-client and azure-messaging-eventhubs. */
final class Devices {
    private final IotHubClientProtocol protocol;

    private Devices(IotHubClientProtocol protocol) {
        this.protocol = protocol;
    }

    /** A case with a device of its own. */
    private interface WithDevice {
        long run(Device device) throws Throwable;
    }

    static void run(IotHubClientProtocol protocol) {
        var devices = new Devices(protocol);
        var cases = new Cases("iot-device-client (Java), " + protocol);
        Map<String, WithDevice> each = new java.util.LinkedHashMap<>();
        each.put("telemetry", devices::telemetry);
        each.put("C2D", devices::messages);
        each.put("methods", devices::methods);
        each.put("twins", devices::twins);
        each.put("modules", devices::modules);
        each.put("tokens renewed", devices::renewed);
        each.put("connection cut", devices::cut);
        each.put("file upload", devices::file);
        each.forEach((name, work) -> cases.run(name, 100, () -> {
            String id = (name + "-" + protocol).replace(' ', '-');
            Device device = Hub.create(id);
            try {
                return work.run(device);
            } finally {
                Hub.REGISTRY.removeDevice(id);
            }
        }));
        cases.run("X.509 by thumbprint", devices::x509);
        cases.run("X.509 by authority", devices::authority);
        cases.run("emulator restarted", 100, devices::restarted);
    }

    private DeviceClient opened(Device device) throws Exception {
        var client = new DeviceClient(Hub.text(device), protocol);
        client.open(false);
        return client;
    }

    /** Events of a device, in the order in which they came. */
    private static List<EventData> events(String device, int count) throws Exception {
        List<EventData> events = new CopyOnWriteArrayList<>();
        var client = new EventHubClientBuilder().connectionString(Hub.EVENTS).consumerGroup("$Default").buildAsyncConsumerClient();
        var reading = client.receive(true).subscribe(event -> {
            if (device.equals(String.valueOf(event.getData().getSystemProperties().get("iothub-connection-device-id")))) {
                events.add(event.getData());
            }
        });
        try {
            Cases.until(count + " events of " + device, 30, () -> events.size() >= count);
        } finally {
            reading.dispose();
            client.close();
        }
        return List.copyOf(events);
    }

    private long telemetry(Device device) throws Exception {
        DeviceClient client = opened(device);
        for (int number = 0; number < 20; number++) {
            var message = new Message("{\"number\":" + number + "}");
            message.setContentType("application/json");
            message.setContentEncoding("utf-8");
            message.setProperty("number", String.valueOf(number));
            client.sendEvent(message);
        }
        client.close();
        List<EventData> events = events(device.getDeviceId(), 20);
        Cases.equal(events.size(), 20);
        for (int number = 0; number < 20; number++) {
            EventData event = events.get(number);
            Cases.equal(event.getBodyAsString(), "{\"number\":" + number + "}");
            Cases.equal(List.of(event.getContentType(), event.getProperties().get("number")), List.of("application/json", String.valueOf(number)));
        }
        return 20;
    }

    private static MessagingClient sender() throws Exception {
        var sender = new MessagingClient(Hub.SERVICE, IotHubServiceClientProtocol.AMQPS);
        sender.open();
        return sender;
    }

    private static <T> T next(BlockingQueue<T> queue, String what) throws InterruptedException {
        T value = queue.poll(30, TimeUnit.SECONDS);
        Cases.check(value != null, what + ": not within 30 s");
        return value;
    }

    private long messages(Device device) throws Exception {
        BlockingQueue<Message> received = new LinkedBlockingQueue<>();
        BlockingQueue<IotHubMessageResult> results = new LinkedBlockingQueue<>(
            List.of(IotHubMessageResult.ABANDON, IotHubMessageResult.COMPLETE, IotHubMessageResult.REJECT));
        var client = new DeviceClient(Hub.text(device), protocol);
        client.setMessageCallback((message, context) -> {
            received.add(message);
            return results.remove();
        }, null);
        client.open(false);
        MessagingClient sender = sender();
        var message = new com.microsoft.azure.sdk.iot.service.messaging.Message("go");
        message.setMessageId("id");
        message.setCorrelationId("because");
        message.setProperties(new java.util.HashMap<>(Map.of("reason", "test")));
        sender.send(device.getDeviceId(), message);
        for (int time = 0; time < 2; time++) {
            Message seen = next(received, "a message");
            Cases.equal(List.of(new String(seen.getBytes(), StandardCharsets.UTF_8), seen.getMessageId(), seen.getCorrelationId(), seen.getProperty("reason")),
                List.of("go", "id", "because", "test"));
        }
        sender.send(device.getDeviceId(), new com.microsoft.azure.sdk.iot.service.messaging.Message("refuse"));
        next(received, "the third");
        sender.close();
        // The SDK settles a message after its callback has returned.
        Cases.until("an empty queue", 10, () -> {
            try {
                return Hub.REGISTRY.getDevice(device.getDeviceId()).getCloudToDeviceMessageCount() == 0;
            } catch (Exception error) {
                throw new AssertionError(error);
            }
        });
        client.close();
        return 3;
    }

    private static DirectMethodRequestOptions call(Object payload) {
        return DirectMethodRequestOptions.builder().payload(payload).methodResponseTimeoutSeconds(10).methodConnectTimeoutSeconds(10).build();
    }

    private static void echo(InternalClient client) throws Exception {
        client.subscribeToMethods((name, payload, context) ->
            name.equals("echo") ? new DirectMethodResponse(200, payload.getPayloadAsJsonElement()) : new DirectMethodResponse(404, "unknown " + name), null);
    }

    private long methods(Device device) throws Exception {
        DeviceClient client = opened(device);
        echo(client);
        var methods = new DirectMethodsClient(Hub.SERVICE);
        for (int number = 0; number < 20; number++) {
            var answer = methods.invoke(device.getDeviceId(), "echo", call(Map.of("number", number)));
            Cases.equal(List.of(answer.getStatus(), answer.getPayloadAsJsonString()), List.of(200, "{\"number\":" + number + "}"));
        }
        Cases.equal(methods.invoke(device.getDeviceId(), "echo", call("text")).getPayload(String.class), "text");
        var unknown = methods.invoke(device.getDeviceId(), "other", call("text"));
        Cases.equal(List.of(unknown.getStatus(), unknown.getPayload(String.class)), List.of(404, "unknown other"));
        client.close();
        return 22;
    }

    /**
     * Asks again for what is not answered within 5 s: the SDK forgets whom an answer is for if its receiving thread is done
     * with it before the thread that read it looks that up.
     */
    private static <T> T again(Callable<T> work) throws Exception {
        for (int tries = 1;; tries++) {
            try {
                return work.call();
            } catch (IotHubClientException error) {
                if (error.getStatusCode() != IotHubStatusCode.DEVICE_OPERATION_TIMED_OUT || tries == 8) {
                    throw error;
                }
            }
        }
    }

    static com.microsoft.azure.sdk.iot.device.twin.Twin get(InternalClient client) throws Exception {
        return again(() -> client.getTwin(5_000));
    }

    static int report(InternalClient client, TwinCollection properties) throws Exception {
        return again(() -> client.updateReportedProperties(properties, 5_000)).getVersion();
    }

    private static TwinCollection properties(String key, Object value) {
        var collection = new TwinCollection();
        collection.put(key, value);
        return collection;
    }

    private static void desire(String device, String module, String key, Object value) throws Exception {
        Twin twin = module == null ? new Twin(device) : new Twin(device, module);
        twin.getDesiredProperties().put(key, value);
        Hub.TWINS.patch(twin);
    }

    private long twins(Device device) throws Exception {
        String id = device.getDeviceId();
        desire(id, null, "fan", 1);
        DeviceClient client = opened(device);
        // The SDK wants to be subscribed before it reads.
        BlockingQueue<TwinCollection> desired = new LinkedBlockingQueue<>();
        client.subscribeToDesiredProperties((changed, context) -> desired.add(changed.getDesiredProperties()), null);
        var twin = get(client);
        Cases.equal(List.of(BackEnd.number(twin.getDesiredProperties().get("fan")), twin.getDesiredProperties().getVersion()), List.of(1L, 2));
        desire(id, null, "fan", 2);
        TwinCollection seen = next(desired, "desired properties");
        Cases.equal(List.of(BackEnd.number(seen.get("fan")), seen.getVersion()), List.of(2L, 3));
        int last = 1;
        for (int number = 1; number <= 10; number++) {
            int version = report(client, properties("temperature", number));
            Cases.check(version > last, version + " follows " + last);
            last = version;
        }
        Twin atService = Hub.TWINS.get(id);
        Cases.equal(List.of(BackEnd.number(atService.getReportedProperties().get("temperature")), atService.getConnectionState().toLowerCase()), List.of(10L, "connected"));
        client.close();
        Cases.until("disconnected", 10, () -> {
            try {
                return Hub.TWINS.get(id).getConnectionState().equalsIgnoreCase("Disconnected");
            } catch (Exception error) {
                throw new AssertionError(error);
            }
        });
        return 14;
    }

    private long modules(Device device) throws Exception {
        String id = device.getDeviceId();
        Module module = Hub.REGISTRY.addModule(new Module(id, "camera"));
        var client = new ModuleClient(Hub.text(module), protocol);
        client.open(false);
        client.sendEvent(new Message("{\"seen\":\"fox\"}"), "alerts");
        Cases.equal(events(id, 1).get(0).getBodyAsString(), "{\"seen\":\"fox\"}");
        echo(client);
        Cases.equal(new DirectMethodsClient(Hub.SERVICE).invoke(id, "camera", "echo", call(4)).getPayload(Integer.class), 4);
        BlockingQueue<TwinCollection> desired = new LinkedBlockingQueue<>();
        client.subscribeToDesiredProperties((changed, context) -> desired.add(changed.getDesiredProperties()), null);
        get(client);
        desire(id, "camera", "zoom", 7);
        Cases.equal(BackEnd.number(next(desired, "desired properties").get("zoom")), 7L);
        report(client, properties("zoom", 7));
        Cases.equal(BackEnd.number(Hub.TWINS.get(id, "camera").getReportedProperties().get("zoom")), 7L);
        Cases.check(Hub.TWINS.get(id).getReportedProperties().isEmpty(), "the device has the module's properties");
        client.close();
        return 4;
    }

    private long renewed(Device device) throws Exception {
        // Renewed at 85 % of their life.
        var options = ClientOptions.builder().sasTokenExpiryTime(5).build();
        var client = new DeviceClient(Hub.text(device), protocol, options);
        Set<IotHubConnectionStatus> seen = ConcurrentHashMap.newKeySet();
        client.setConnectionStatusChangeCallback(change -> seen.add(change.getNewStatus()), null);
        client.open(false);
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(9);
        int sent = 0;
        while (System.nanoTime() < end) {
            client.sendEvent(new Message(String.valueOf(sent)));
            sent++;
            Thread.sleep(250);
        }
        Cases.equal(seen, Set.of(IotHubConnectionStatus.CONNECTED));
        client.close();
        Cases.equal(events(device.getDeviceId(), sent).size(), sent);
        return sent;
    }

    /** A device that works: telemetry, a message, a method and desired properties go through, though links are made again. */
    private final class Working {
        final DeviceClient client;
        final String id;
        final BlockingQueue<String> received = new LinkedBlockingQueue<>();
        final BlockingQueue<TwinCollection> desired = new LinkedBlockingQueue<>();

        Working(String text, String id) throws Exception {
            this.id = id;
            client = new DeviceClient(text, protocol);
            client.setMessageCallback((message, context) -> {
                received.add(new String(message.getBytes(), StandardCharsets.UTF_8));
                return IotHubMessageResult.COMPLETE;
            }, null);
            client.open(false);
            echo(client);
            client.subscribeToDesiredProperties((changed, context) -> desired.add(changed.getDesiredProperties()), null);
            get(client);
        }

        long check(String round) throws Exception {
            client.sendEvent(new Message(round), 60_000);
            MessagingClient sender = sender();
            sender.send(id, new com.microsoft.azure.sdk.iot.service.messaging.Message(round));
            while (!next(received, "a message").equals(round)) {
                continue;
            }
            sender.close();
            Cases.equal(new DirectMethodsClient(Hub.SERVICE).invoke(id, "echo", call(round)).getPayload(String.class), round);
            // Links are made again one after another: what is written before the subscription is back comes with no notification.
            for (int tries = 0;; tries++) {
                Cases.check(tries < 20, "no desired properties came");
                desire(id, null, "round", round + tries);
                TwinCollection seen = desired.poll(2, TimeUnit.SECONDS);
                while (seen != null && !(round + tries).equals(seen.get("round"))) {
                    seen = desired.poll(2, TimeUnit.SECONDS);
                }
                if (seen != null) {
                    break;
                }
            }
            report(client, properties("round", round));
            Cases.equal(Hub.TWINS.get(id).getReportedProperties().get("round"), round);
            return 5;
        }
    }

    private long cut(Device device) throws Exception {
        var working = new Working(Hub.text(device), device.getDeviceId());
        long checked = working.check("before");
        for (String round : List.of("first", "second")) {
            Cases.ask("cut");
            checked += working.check(round);
        }
        working.client.close();
        return checked;
    }

    private long restarted() throws Exception {
        var working = new Working(Hub.KEPT, "kept");
        long checked = working.check("before");
        Cases.ask("restart");
        checked += working.check("after");
        working.client.close();
        return checked;
    }

    private long file(Device device) throws Exception {
        BlockingQueue<FileUploadNotification> told = new LinkedBlockingQueue<>();
        var notifications = new FileUploadNotificationProcessorClient(Hub.SERVICE, IotHubServiceClientProtocol.AMQPS, notification -> {
            if (notification.getDeviceId().equals(device.getDeviceId())) {
                told.add(notification);
            }
            return AcknowledgementType.COMPLETE;
        });
        notifications.start();
        DeviceClient client = opened(device);
        var place = client.getFileUploadSasUri(new FileUploadSasUriRequest("folder/report.txt"));
        URI blob = place.getBlobUri();
        var put = HttpRequest.newBuilder(blob).header("x-ms-blob-type", "BlockBlob").PUT(HttpRequest.BodyPublishers.ofString("a report")).build();
        int status = HttpClient.newHttpClient().send(put, HttpResponse.BodyHandlers.discarding()).statusCode();
        Cases.equal(status, 201);
        client.completeFileUpload(new FileUploadCompletionNotification(place.getCorrelationId(), true, 200, "uploaded"));
        FileUploadNotification notification = next(told, "a notification");
        Cases.equal(List.of(notification.getBlobName(), notification.getBlobSizeInBytes()), List.of(device.getDeviceId() + "/folder/report.txt", 8L));
        client.close();
        notifications.stop();
        return 1;
    }

    private DeviceClient certified(String id, String name) throws Exception {
        var options = ClientOptions.builder().sslContext(Hub.certified(name)).build();
        var client = new DeviceClient("HostName=" + Hub.HOST + ";DeviceId=" + id + ";x509=true", protocol, options);
        client.open(false);
        return client;
    }

    private long x509() throws Exception {
        String id = "x509-" + protocol;
        long checked = 0;
        for (String digest : List.of("SHA-1", "SHA-256")) {
            var device = new Device(id, AuthenticationType.SELF_SIGNED);
            device.setThumbprint(Hub.thumbprint("self", digest), Hub.thumbprint("other", digest));
            Hub.REGISTRY.addDevice(device);
            for (String name : List.of("self", "other")) {
                DeviceClient client = certified(id, name);
                client.subscribeToDesiredProperties((changed, context) -> { }, null);
                report(client, properties("by", name));
                client.sendEvent(new Message(name));
                client.close();
                Cases.equal(Hub.TWINS.get(id).getReportedProperties().get("by"), name);
                checked++;
            }
            Cases.refused(IotHubClientException.class, () -> certified(id, "stranger"));
            checked++;
            Hub.REGISTRY.removeDevice(id);
        }
        return checked;
    }

    private long authority() throws Exception {
        String id = "x509-by-ca";
        Hub.REGISTRY.addDevice(new Device(id, AuthenticationType.CERTIFICATE_AUTHORITY));
        DeviceClient client = certified(id, "by-ca");
        client.subscribeToDesiredProperties((changed, context) -> { }, null);
        report(client, properties("by", "ca"));
        client.close();
        Cases.equal(Hub.TWINS.get(id).getReportedProperties().get("by"), "ca");
        Hub.REGISTRY.removeDevice(id);
        return 1;
    }
}
