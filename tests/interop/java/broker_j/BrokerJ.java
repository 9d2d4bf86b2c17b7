import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.apache.qpid.server.SystemLauncher;

/**
 * Apache Qpid Broker-J in this process, with everything in memory. It takes SASL PLAIN guest/guest, makes a queue for
 * each address, and ends with its standard input. The first line that it prints is {"event":"ready","amqp":PORT}. The
 * port may be given as an argument.
 */
public final class BrokerJ {
    public static void main(String[] args) throws Exception {
        int port;
        if (args.length > 0) {
            port = Integer.parseInt(args[0]);
        } else {
            try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
                port = free.getLocalPort();
            }
        }
        Path directory = Files.createTempDirectory("broker-j");
        Path configuration = directory.resolve("configuration.json");
        Files.writeString(configuration, CONFIGURATION.replace("PORT", Integer.toString(port)));
        Map<String, Object> attributes = new HashMap<>();
        attributes.put("type", "Memory");
        attributes.put("initialConfigurationLocation", configuration.toUri().toString());
        attributes.put("startupLoggedToSystemOut", "false");
        attributes.put("context", Map.of("qpid.work_dir", directory.toString()));
        SystemLauncher launcher = new SystemLauncher();
        launcher.startup(attributes);
        System.out.println("{\"event\":\"ready\",\"amqp\":" + port + "}");
        while (System.in.read() >= 0) {
            // Until it ends.
        }
        launcher.shutdown();
        try (var files = Files.walk(directory)) {
            files.sorted(java.util.Comparator.reverseOrder()).forEach(BrokerJ::delete);
        }
        System.exit(0);
    }

    private static void delete(Path path) {
        try {
            Files.delete(path);
        } catch (IOException error) {
            System.err.println(error);
        }
    }

    private static final String CONFIGURATION = """
        {
          "name": "conformance",
          "modelVersion": "9.0",
          "authenticationproviders": [
            {"name": "users", "type": "Plain", "secureOnlyMechanisms": [],
             "users": [{"name": "guest", "type": "managed", "password": "guest"}]}
          ],
          "ports": [
            {"name": "amqp", "port": "PORT", "bindingAddress": "127.0.0.1", "authenticationProvider": "users",
             "protocols": ["AMQP_1_0"], "virtualhostaliases": [{"name": "any", "type": "patternMatchingAlias", "pattern": ".*", "virtualHostNode": "default"}]}
          ],
          "virtualhostnodes": [
            {"name": "default", "type": "Memory", "defaultVirtualHostNode": "true",
             "virtualHostInitialConfiguration": "{\\"type\\": \\"Memory\\", \\"nodeAutoCreationPolicies\\": [{\\"pattern\\": \\".*\\", \\"createdOnPublish\\": \\"true\\", \\"createdOnConsume\\": \\"true\\", \\"nodeType\\": \\"queue\\", \\"attributes\\": {}}]}"}
          ]
        }
        """;
}
