import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.Message;

/** A device that opens with its connection string, the argument, and sends an event. Prints a line. */
final class Open {
    private Open() {
    }

    public static void main(String[] arguments) throws Exception {
        var client = new DeviceClient(arguments[0], IotHubClientProtocol.AMQPS);
        client.open(false);
        client.sendEvent(new Message("hello"));
        client.close();
        System.out.println("{\"opened\":true}");
        System.exit(0);
    }
}
