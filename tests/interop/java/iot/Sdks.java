import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;

/**
 * All that is built on Azure's SDKs for Java, in one JVM. IOTHUB_OWNER, IOTHUB_SERVICE, EVENT_HUBS and IOTHUB_KEPT are connection
 * strings, X509 is a folder of device certificates. Prints a line for each case.
 */
final class Sdks {
    private Sdks() {
    }

    public static void main(String[] arguments) {
        BackEnd.run();
        Processors.run();
        Devices.run(IotHubClientProtocol.AMQPS);
        Devices.run(IotHubClientProtocol.AMQPS_WS);
        Multiplexed.run();
        System.exit(0);
    }
}
