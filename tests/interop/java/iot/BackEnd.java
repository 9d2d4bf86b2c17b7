import static java.util.Map.entry;

import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.IotHubMessageResult;
import com.microsoft.azure.sdk.iot.service.auth.AuthenticationType;
import com.microsoft.azure.sdk.iot.service.exceptions.ErrorCodeDescription;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubConflictException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubBadFormatException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubGatewayTimeoutException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubNotFoundException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubPreconditionFailedException;
import com.microsoft.azure.sdk.iot.service.exceptions.IotHubUnauthorizedException;
import com.microsoft.azure.sdk.iot.service.configurations.ConfigurationsClient;
import com.microsoft.azure.sdk.iot.service.messaging.AcknowledgementType;
import com.microsoft.azure.sdk.iot.service.messaging.DeliveryAcknowledgement;
import com.microsoft.azure.sdk.iot.service.messaging.FeedbackStatusCode;
import com.microsoft.azure.sdk.iot.service.messaging.IotHubServiceClientProtocol;
import com.microsoft.azure.sdk.iot.service.messaging.Message;
import com.microsoft.azure.sdk.iot.service.messaging.MessageFeedbackProcessorClient;
import com.microsoft.azure.sdk.iot.service.messaging.MessagingClient;
import com.microsoft.azure.sdk.iot.service.methods.DirectMethodRequestOptions;
import com.microsoft.azure.sdk.iot.service.methods.DirectMethodsClient;
import com.microsoft.azure.sdk.iot.service.query.QueryClient;
import com.microsoft.azure.sdk.iot.service.query.QueryPageOptions;
import com.microsoft.azure.sdk.iot.service.registry.Device;
import com.microsoft.azure.sdk.iot.service.registry.DeviceStatus;
import com.microsoft.azure.sdk.iot.service.registry.Module;
import com.microsoft.azure.sdk.iot.service.registry.RegistryClient;
import com.microsoft.azure.sdk.iot.service.twin.Twin;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;

/** A back end on iot-service-client: registry, twins, queries and methods over HTTPS, messages and feedback over AMQP. */
final class BackEnd {
    private static final RegistryClient REGISTRY = Hub.REGISTRY;

    /** The ETag of a twin that is new. The SDK sends one as it is given, and one without quotes is not compared. */
    private static final String QUOTED_FIRST = "\"AAAAAAAAAAE=\"";

    private BackEnd() {
    }

    static void run() {
        var cases = new Cases("iot-service-client (Java)");
        cases.run("registry", BackEnd::registry);
        cases.run("modules", BackEnd::modules);
        cases.run("twins", BackEnd::twins);
        cases.run("queries", BackEnd::queries);
        cases.run("C2D with feedback, AMQPS", () -> messages(IotHubServiceClientProtocol.AMQPS));
        cases.run("C2D with feedback, AMQPS_WS", () -> messages(IotHubServiceClientProtocol.AMQPS_WS));
        cases.run("error 401", BackEnd::unauthorised);
        cases.run("error 404, no device", BackEnd::nobody);
        cases.run("error 404, offline", BackEnd::offline);
        cases.run("error 409", BackEnd::exists);
        cases.run("error 412", BackEnd::changed);
        cases.run("error 504, method", BackEnd::silent);
        cases.run("feature that is not built", BackEnd::unsupported);
        Map<String, IotHubServiceClientProtocol> transports = new TreeMap<>(Map.of("", IotHubServiceClientProtocol.AMQPS, ", WebSocket", IotHubServiceClientProtocol.AMQPS_WS));
        transports.forEach((name, protocol) -> {
            cases.run("connection cut" + name, 100, () -> interrupted(protocol, "cut", List.of("first", "second")));
            cases.run("emulator restarted" + name, 100, () -> interrupted(protocol, "restart", List.of("after")));
        });
    }

    private static void code(IotHubException error, int code, ErrorCodeDescription description) {
        Cases.equal(List.of(error.getErrorCode(), error.getErrorCodeDescription()), List.of(code, description));
    }

    private static long registry() throws Exception {
        Device made = Hub.create("one");
        Cases.equal(made.getStatus(), DeviceStatus.Enabled);
        Cases.equal(Base64.getDecoder().decode(made.getPrimaryKey()).length, 16); // the SDK makes the keys
        Device read = REGISTRY.getDevice("one");
        Cases.equal(List.of(read.getETag(), read.getConnectionState().toString().toLowerCase()), List.of(made.getETag(), "disconnected"));
        read.setStatus(DeviceStatus.Disabled);
        Device updated = REGISTRY.updateDevice(read);
        Cases.equal(updated.getStatus(), DeviceStatus.Disabled);
        Cases.equal(updated.getPrimaryKey(), made.getPrimaryKey());
        var certified = new Device("two", AuthenticationType.SELF_SIGNED);
        certified.setThumbprint("AB".repeat(20), "CD".repeat(20));
        Cases.equal(REGISTRY.addDevice(certified).getPrimaryThumbprint().toUpperCase(), "AB".repeat(20));
        Cases.equal(REGISTRY.addDevice(new Device("three", AuthenticationType.CERTIFICATE_AUTHORITY)).getAuthenticationType(),
            AuthenticationType.CERTIFICATE_AUTHORITY);
        var statistics = REGISTRY.getStatistics();
        Cases.equal(statistics.getDisabledDeviceCount(), 1L); // The count of enabled ones is not read: its name has a letter less in the SDK.
        for (String id : List.of("one", "two", "three")) {
            REGISTRY.removeDevice(id);
        }
        Cases.refused(IotHubNotFoundException.class, () -> REGISTRY.getDevice("one"));
        return 9;
    }

    private static long modules() throws Exception {
        Hub.create("parent");
        Module made = REGISTRY.addModule(new Module("parent", "camera"));
        REGISTRY.addModule(new Module("parent", "motor"));
        Cases.equal(REGISTRY.getModulesOnDevice("parent").size(), 2);
        Cases.equal(REGISTRY.getModule("parent", "camera").getPrimaryKey(), made.getPrimaryKey());
        Cases.equal(REGISTRY.updateModule(REGISTRY.getModule("parent", "camera")).getId(), "camera");
        var twin = new Twin("parent", "camera");
        twin.getDesiredProperties().put("zoom", 2);
        Cases.equal(number(Hub.TWINS.patch(twin).getDesiredProperties().get("zoom")), 2L);
        Cases.equal(Hub.TWINS.get("parent", "camera").getModuleId(), "camera");
        REGISTRY.removeModule("parent", "motor");
        var gone = Cases.refused(IotHubNotFoundException.class, () -> REGISTRY.getModule("parent", "motor"));
        Cases.check(gone.getMessage().contains("ModuleNotFound"), gone.getMessage());
        REGISTRY.removeDevice("parent");
        return 7;
    }

    static long number(Object value) {
        return ((Number) value).longValue();
    }

    private static long twins() throws Exception {
        Hub.create("twin");
        Twin first = Hub.TWINS.get("twin");
        Cases.equal(List.of(first.getETag(), first.getVersion(), first.getDesiredProperties().getVersion()), List.of("AAAAAAAAAAE=", 2, 1));
        // Sent as POST with X-HTTP-Method-Override.
        var patch = new Twin("twin");
        patch.getTags().put("floor", 3);
        patch.getDesiredProperties().put("fan", new HashMap<String, Object>(Map.of("speed", 5, "mode", "auto")));
        Twin patched = Hub.TWINS.patch(patch, QUOTED_FIRST);
        Cases.equal(number(patched.getTags().get("floor")), 3L);
        Cases.equal(patched.getDesiredProperties().getVersion(), 2);
        Cases.check(patched.getDesiredProperties().getTwinMetadata("fan").getLastUpdated() != null, "no metadata");
        Cases.refused(IotHubPreconditionFailedException.class, () -> Hub.TWINS.patch(patch, QUOTED_FIRST));
        // What was read, sent back.
        Twin read = Hub.TWINS.get("twin");
        read.getDesiredProperties().put("fan", null);
        Twin back = Hub.TWINS.patch(read);
        Cases.check(!back.getDesiredProperties().containsKey("fan"), "the fan is still there: " + back);
        var replacement = new Twin("twin");
        replacement.getDesiredProperties().put("on", true);
        Twin replaced = Hub.TWINS.replace(replacement);
        Cases.equal(replaced.getDesiredProperties().get("on"), true);
        Cases.check(replaced.getTags().isEmpty(), "tags are left: " + replaced);
        REGISTRY.removeDevice("twin");
        return 6;
    }

    private static long queries() throws Exception {
        Set<String> expected = new HashSet<>();
        for (int number = 0; number < 30; number++) {
            String id = "query" + number;
            Hub.create(id);
            var patch = new Twin(id);
            patch.getTags().put("floor", number % 3);
            Hub.TWINS.patch(patch);
            if (number % 3 == 1) {
                expected.add(id);
            }
        }
        var client = new QueryClient(Hub.OWNER);
        var options = QueryPageOptions.builder().pageSize(4).build();
        var rows = client.queryTwins("SELECT * FROM devices WHERE tags.floor = 1", options);
        Set<String> found = new HashSet<>();
        while (rows.hasNext()) {
            found.add(rows.next(options).getDeviceId());
        }
        Cases.equal(found, expected);
        var raw = client.queryRaw("SELECT COUNT() AS count FROM devices WHERE tags.floor = 2");
        Cases.equal(raw.next(), "{\"count\":10}");
        Cases.refused(IotHubBadFormatException.class, () -> client.queryTwins("SELECT * FROM nothing"));
        for (int number = 0; number < 30; number++) {
            REGISTRY.removeDevice("query" + number);
        }
        return 12;
    }

    private static long messages(IotHubServiceClientProtocol protocol) throws Exception {
        Device device = Hub.create("receiver");
        var client = new DeviceClient(Hub.text(device), IotHubClientProtocol.AMQPS);
        client.setMessageCallback((message, context) ->
            new String(message.getBytes(), StandardCharsets.UTF_8).equals("refuse") ? IotHubMessageResult.REJECT : IotHubMessageResult.COMPLETE, null);
        client.open(false);
        Map<String, FeedbackStatusCode> records = new ConcurrentHashMap<>();
        var feedback = new MessageFeedbackProcessorClient(Hub.SERVICE, protocol, batch -> {
            batch.getRecords().forEach(record -> records.put(record.getOriginalMessageId(), record.getStatusCode()));
            return AcknowledgementType.COMPLETE;
        });
        feedback.start();
        var sender = new MessagingClient(Hub.SERVICE, protocol);
        sender.open();
        for (String body : List.of("take", "refuse")) {
            var message = new Message(body);
            message.setMessageId(body);
            message.setDeliveryAcknowledgement(DeliveryAcknowledgement.Full);
            sender.send("receiver", message);
        }
        Cases.until("feedback", 30, () -> records.size() == 2);
        Cases.equal(records, Map.ofEntries(entry("take", FeedbackStatusCode.success), entry("refuse", FeedbackStatusCode.rejected)));
        Cases.refused(IotHubNotFoundException.class, () -> sender.send("no-such-device", new Message("x")));
        sender.close();
        feedback.stop();
        client.close();
        REGISTRY.removeDevice("receiver");
        return 3;
    }

    /** A back end whose sender and processor of feedback stay open. Neither opens itself again: they say that they are closed. */
    private static final class Working {
        final IotHubServiceClientProtocol protocol;
        final Map<String, FeedbackStatusCode> records = new ConcurrentHashMap<>();
        MessagingClient sender;
        MessageFeedbackProcessorClient feedback;

        Working(IotHubServiceClientProtocol protocol) {
            this.protocol = protocol;
        }

        void open() throws Exception {
            sender = new MessagingClient(Hub.SERVICE, protocol);
            feedback = new MessageFeedbackProcessorClient(Hub.SERVICE, protocol, batch -> {
                batch.getRecords().forEach(record -> records.put(record.getOriginalMessageId(), record.getStatusCode()));
                return AcknowledgementType.COMPLETE;
            });
            feedback.start();
            sender.open();
        }

        void reopen() throws Exception {
            Cases.until("a closed sender, and a stopped processor", 30, () -> !sender.isOpen() && !feedback.isRunning());
            // A sender that the hub has closed can run into a time-out when it is opened again.
            open();
        }

        void close() throws Exception {
            sender.close();
            feedback.stop();
        }

        long check(String round) throws Exception {
            var message = new Message(round);
            message.setMessageId(round);
            message.setDeliveryAcknowledgement(DeliveryAcknowledgement.Full);
            sender.send("kept", message);
            Set<String> received = ConcurrentHashMap.newKeySet();
            var client = new DeviceClient(Hub.KEPT, IotHubClientProtocol.AMQPS);
            client.setMessageCallback((seen, context) -> {
                received.add(new String(seen.getBytes(), StandardCharsets.UTF_8));
                return IotHubMessageResult.COMPLETE;
            }, null);
            client.open(false);
            Cases.until("feedback", 30, () -> records.containsKey(round));
            Cases.equal(received, Set.of(round));
            Cases.equal(records.remove(round), FeedbackStatusCode.success);
            client.close();
            return 2;
        }
    }

    private static long interrupted(IotHubServiceClientProtocol protocol, String event, List<String> rounds) throws Exception {
        var backEnd = new Working(protocol);
        backEnd.open();
        long checked = backEnd.check("before");
        for (String round : rounds) {
            Cases.ask(event);
            backEnd.reopen();
            checked += backEnd.check(round);
        }
        backEnd.close();
        return checked;
    }

    private static long unauthorised() {
        String forged = Hub.OWNER.replaceAll("SharedAccessKey=.*", "SharedAccessKey=" + Base64.getEncoder().encodeToString("wrong".getBytes(StandardCharsets.UTF_8)));
        var error = Cases.refused(IotHubUnauthorizedException.class, () -> new RegistryClient(forged).getDevice("any"));
        Cases.equal(error.getErrorCode() / 1000 == 401 || error.getErrorCode() == 401, true);
        Cases.refused(IotHubUnauthorizedException.class, () -> new RegistryClient(Hub.SERVICE).addDevice(new Device("any")));
        return 2;
    }

    private static long nobody() {
        // A code is a number or a name; this SDK reads numbers alone, and shows the status otherwise.
        var error = Cases.refused(IotHubNotFoundException.class, () -> REGISTRY.getDevice("nobody"));
        Cases.check(error.getErrorCode() == 404 || error.getErrorCode() == 404001, "code " + error.getErrorCode());
        Cases.check(error.getMessage().contains("DeviceNotFound"), error.getMessage());
        Cases.refused(IotHubNotFoundException.class, () -> Hub.TWINS.get("nobody"));
        return 2;
    }

    private static DirectMethodRequestOptions brief() {
        return DirectMethodRequestOptions.builder().payload("x").methodResponseTimeoutSeconds(5).methodConnectTimeoutSeconds(0).build();
    }

    private static long offline() throws Exception {
        Hub.create("offline");
        var methods = new DirectMethodsClient(Hub.SERVICE);
        code(Cases.refused(IotHubNotFoundException.class, () -> methods.invoke("offline", "m", brief())), 404103, ErrorCodeDescription.DeviceNotOnline);
        REGISTRY.removeDevice("offline");
        return 1;
    }

    private static long exists() throws Exception {
        Hub.create("twice");
        var error = Cases.refused(IotHubConflictException.class, () -> Hub.create("twice"));
        Cases.equal(error.getErrorCode(), 409);
        Cases.check(error.getMessage().contains("DeviceAlreadyExists"), error.getMessage());
        REGISTRY.removeDevice("twice");
        return 1;
    }

    private static long changed() throws Exception {
        Hub.create("changed");
        var patch = new Twin("changed");
        patch.getTags().put("a", 1);
        Hub.TWINS.patch(patch);
        var error = Cases.refused(IotHubPreconditionFailedException.class, () -> Hub.TWINS.patch(patch, QUOTED_FIRST));
        Cases.equal(error.getErrorCodeDescription(), ErrorCodeDescription.PreconditionFailed);
        REGISTRY.removeDevice("changed");
        return 1;
    }

    private static long silent() throws Exception {
        var client = new DeviceClient(Hub.text(Hub.create("silent")), IotHubClientProtocol.AMQPS);
        client.open(false);
        client.subscribeToMethods((name, payload, context) -> {
            try {
                Thread.sleep(8000);
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
            return new com.microsoft.azure.sdk.iot.device.twin.DirectMethodResponse(200, null);
        }, null);
        var methods = new DirectMethodsClient(Hub.SERVICE);
        var error = Cases.refused(IotHubGatewayTimeoutException.class, () -> methods.invoke("silent", "m", brief()));
        Cases.equal(error.getErrorCode(), 504101);
        client.close();
        REGISTRY.removeDevice("silent");
        return 1;
    }

    private static long unsupported() {
        try {
            new ConfigurationsClient(Hub.OWNER).get(10);
        } catch (IotHubException error) {
            Cases.check(error.getMessage().contains("FeatureNotSupported"), error.getMessage());
            return 1;
        } catch (java.io.IOException error) {
            throw new AssertionError(error);
        }
        throw new AssertionError("there are configurations");
    }
}
