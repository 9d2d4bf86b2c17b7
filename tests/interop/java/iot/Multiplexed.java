import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.MultiplexingClient;
import com.microsoft.azure.sdk.iot.device.exceptions.IotHubClientException;
import com.microsoft.azure.sdk.iot.device.exceptions.MultiplexingClientRegistrationException;
import com.microsoft.azure.sdk.iot.device.transport.IotHubConnectionStatus;
import com.microsoft.azure.sdk.iot.device.transport.RetryDecision;
import com.microsoft.azure.sdk.iot.device.transport.TransportException;
import com.microsoft.azure.sdk.iot.device.twin.DirectMethodResponse;
import com.microsoft.azure.sdk.iot.device.twin.TwinCollection;
import com.microsoft.azure.sdk.iot.service.methods.DirectMethodRequestOptions;
import com.microsoft.azure.sdk.iot.service.methods.DirectMethodsClient;
import com.microsoft.azure.sdk.iot.service.registry.Device;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;

/** A thousand devices on one connection. */
final class Multiplexed {
    private static final int COUNT = Integer.getInteger("many", 1000);

    private Multiplexed() {
    }

    static void run() {
        var cases = new Cases("iot-device-client (Java), multiplexed");
        cases.run("1,000 devices, of which one fails alone", 150, Multiplexed::thousand);
    }

    private static String name(int number) {
        return "many" + number;
    }

    /**
     * Waits before the SDK opens the session of a device again. By itself it does so at once:
     * IotHubTransport.singleDeviceReconnectAttemptAsync registers the device, and only then sleeps for the time of the decision.
     *
     * If the hub's end of the old session arrives after that, the SDK loses the whole connection. One AmqpsSessionHandler has
     * both sessions. Its onSessionRemoteClose closes this.session, the new one, and not the one of the event, because setSession
     * has reset isClosing. The hub then answers the begin of a session that is closed, for which proton-j's
     * TransportImpl.handleBegin throws "uncorrelated channel". The SDK opens the connection again, with all of its devices.
     */
    private static RetryDecision whenTheOldSessionHasEnded(int count, TransportException why) {
        try {
            Thread.sleep(1000);
        } catch (InterruptedException interrupted) {
            throw new AssertionError(interrupted);
        }
        return new RetryDecision(count < 10, 1000);
    }

    private static long thousand() throws Exception {
        List<DeviceClient> clients = new ArrayList<>();
        Set<String> lost = ConcurrentHashMap.newKeySet();
        Set<String> givenUp = ConcurrentHashMap.newKeySet();
        List<Device> devices = new ArrayList<>();
        for (int number = 0; number < COUNT; number++) {
            Device device = Hub.create(name(number));
            devices.add(device);
            String text = Hub.text(device);
            // One has a key that is wrong.
            var client = new DeviceClient(number == COUNT / 2 ? text.replaceAll("SharedAccessKey=.*", "SharedAccessKey=d3Jvbmc=") : text, IotHubClientProtocol.AMQPS);
            client.setRetryPolicy(Multiplexed::whenTheOldSessionHasEnded);
            client.setConnectionStatusChangeCallback(change -> {
                if (change.getNewStatus() != IotHubConnectionStatus.CONNECTED) {
                    lost.add(device.getDeviceId());
                }
                if (change.getNewStatus() == IotHubConnectionStatus.DISCONNECTED) {
                    givenUp.add(device.getDeviceId());
                }
            }, null);
            clients.add(client);
        }
        var multiplexing = new MultiplexingClient(Hub.HOST, IotHubClientProtocol.AMQPS);
        multiplexing.open(false);
        Map<String, Exception> failed = Map.of();
        try {
            multiplexing.registerDeviceClients(clients, 120_000);
        } catch (MultiplexingClientRegistrationException error) {
            failed = error.getRegistrationExceptions();
        }
        Cases.check(failed.keySet().equals(Set.of(name(COUNT / 2))), failed.size() + " failed, such as " + failed.entrySet().stream().findFirst());
        Cases.equal(multiplexing.getRegisteredDeviceCount(), COUNT - 1);
        lost.clear();
        givenUp.clear();
        send(clients, Set.of(COUNT / 2));

        // Some of them do more than that.
        DirectMethodsClient methods = new DirectMethodsClient(Hub.SERVICE);
        for (int number = 0; number < 5; number++) {
            DeviceClient client = clients.get(number);
            client.subscribeToMethods((name, payload, context) -> new DirectMethodResponse(200, payload.getPayloadAsJsonElement()), null);
            client.subscribeToDesiredProperties((changed, context) -> { }, null);
            Devices.get(client);
            var reported = new TwinCollection();
            reported.put("number", number);
            Devices.report(client, reported);
            var options = DirectMethodRequestOptions.builder().payload(number).methodResponseTimeoutSeconds(10).methodConnectTimeoutSeconds(10).build();
            Cases.equal(methods.invoke(name(number), "echo", options).getPayload(Integer.class), number);
            Cases.equal(BackEnd.number(Hub.TWINS.get(name(number)).getReportedProperties().get("number")), (long) number);
        }

        // One is gone from the registry: its links end, and the others do not notice.
        Hub.REGISTRY.removeDevice(name(COUNT / 2 + 1));
        // The SDK tries once more, and then gives it up.
        Cases.until("the loss of one", 30, () -> givenUp.contains(name(COUNT / 2 + 1)));
        send(clients, Set.of(COUNT / 2, COUNT / 2 + 1));
        Cases.check(lost.equals(Set.of(name(COUNT / 2 + 1))), lost.size() + " were lost");
        multiplexing.close();
        for (int number = 0; number < COUNT; number++) {
            if (number != COUNT / 2 + 1) {
                Hub.REGISTRY.removeDevice(name(number));
            }
        }
        return 2L * COUNT - 3 + 10;
    }

    /** An event of each device but some, all in flight at once. */
    private static void send(List<DeviceClient> clients, Set<Integer> without) throws Exception {
        var accepted = new AtomicInteger();
        List<IotHubClientException> errors = new java.util.concurrent.CopyOnWriteArrayList<>();
        for (int number = 0; number < clients.size(); number++) {
            if (!without.contains(number)) {
                clients.get(number).sendEventAsync(new Message("{}"), (message, error, context) -> {
                    if (error == null) {
                        accepted.incrementAndGet();
                    } else {
                        errors.add(error);
                    }
                }, null);
            }
        }
        int expected = clients.size() - without.size();
        Cases.until(expected + " events", 60, () -> accepted.get() + errors.size() == expected);
        Cases.check(errors.isEmpty(), String.valueOf(errors));
    }
}
