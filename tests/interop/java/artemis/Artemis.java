import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import javax.security.auth.login.AppConfigurationEntry;
import javax.security.auth.login.AppConfigurationEntry.LoginModuleControlFlag;
import javax.security.auth.login.Configuration;
import org.apache.activemq.artemis.api.core.QueueConfiguration;
import org.apache.activemq.artemis.api.core.RoutingType;
import org.apache.activemq.artemis.api.core.SimpleString;
import org.apache.activemq.artemis.core.config.impl.ConfigurationImpl;
import org.apache.activemq.artemis.core.remoting.impl.netty.NettyAcceptor;
import org.apache.activemq.artemis.core.security.Role;
import org.apache.activemq.artemis.core.server.JournalType;
import org.apache.activemq.artemis.core.server.embedded.EmbeddedActiveMQ;
import org.apache.activemq.artemis.core.settings.impl.AddressFullMessagePolicy;
import org.apache.activemq.artemis.core.settings.impl.AddressSettings;
import org.apache.activemq.artemis.spi.core.security.ActiveMQJAASSecurityManager;

/**
 * A broker in this process: {@code Artemis FOLDER [PORT]}. FOLDER/server.pem has the key and the certificate for TLS.
 * It ends when its input does.
 */
public final class Artemis {
    private static final String JAAS = "org.apache.activemq.artemis.spi.core.security.jaas.";

    public static void main(String[] args) throws Exception {
        Path folder = Path.of(args[0]);
        logins(folder);
        var config = new ConfigurationImpl().setJournalDirectory(folder.resolve("journal").toString())
            .setBindingsDirectory(folder.resolve("bindings").toString())
            .setPagingDirectory(folder.resolve("paging").toString())
            .setLargeMessagesDirectory(folder.resolve("large").toString())
            .setJournalType(JournalType.NIO).setJournalMinFiles(2).setJournalFileSize(1 << 20).setJournalDatasync(false)
            .setJournalBufferTimeout_NIO(1_000_000).setMessageExpiryScanPeriod(200).setMaxDiskUsage(100)
            .putSecurityRoles("#", everything("user")).putSecurityRoles("refused", Set.of());
        String common = "?protocols=AMQP&amqpCredits=500&amqpLowCredits=300&saslMechanisms=";
        config.addAcceptorConfiguration("amqp", "tcp://127.0.0.1:" + (args.length > 1 ? args[1] : "0") + common + "ANONYMOUS,PLAIN");
        config.addAcceptorConfiguration("scram", "tcp://127.0.0.1:0" + common + "SCRAM-SHA-512,SCRAM-SHA-256&saslLoginConfigScope=scram");
        config.addAcceptorConfiguration("idle", "tcp://127.0.0.1:0" + common + "ANONYMOUS&amqpIdleTimeout=1000");
        config.addAcceptorConfiguration("small", "tcp://127.0.0.1:0" + common + "ANONYMOUS&maxFrameSize=4096");
        config.addAcceptorConfiguration("large", "tcp://127.0.0.1:0" + common + "ANONYMOUS&maxFrameSize=1048576");
        config.addQueueConfiguration(QueueConfiguration.of("refused").setRoutingType(RoutingType.ANYCAST));
        config.addAcceptorConfiguration("amqps", "tcp://127.0.0.1:0" + common + "PLAIN&sslEnabled=true&keyStoreType=PEM&keyStorePath="
            + folder.resolve("server.pem"));
        config.addAddressSetting("#", new AddressSettings().setDefaultAddressRoutingType(RoutingType.ANYCAST)
            .setDefaultQueueRoutingType(RoutingType.ANYCAST).setDeadLetterAddress(SimpleString.of("dead"))
            .setMaxDeliveryAttempts(5).setRedeliveryDelay(0).setAutoCreateDeadLetterResources(true)
            .setExpiryAddress(SimpleString.of("expired")).setAutoCreateExpiryResources(true).setAutoDeleteQueues(false));
        config.addAddressSetting("outcomes.limit", new AddressSettings().setDeadLetterAddress(SimpleString.of("dead.limit")));
        config.addAddressSetting("full.#", new AddressSettings().setMaxSizeBytes(100_000)
            .setAddressFullMessagePolicy(AddressFullMessagePolicy.FAIL));
        config.addAddressSetting("blocked.#", new AddressSettings().setMaxSizeBytes(100_000)
            .setAddressFullMessagePolicy(AddressFullMessagePolicy.BLOCK));
        var broker = new EmbeddedActiveMQ().setConfiguration(config).setSecurityManager(new ActiveMQJAASSecurityManager("plain"));
        broker.start();
        System.out.printf("{\"event\":\"ready\",\"amqp\":%d,\"amqps\":%d,\"scram\":%d,\"idle\":%d,\"small\":%d,\"large\":%d}%n",
            port(broker, "amqp"), port(broker, "amqps"), port(broker, "scram"), port(broker, "idle"), port(broker, "small"),
            port(broker, "large"));
        while (System.in.read() >= 0) {
        }
        broker.stop();
        System.exit(0);
    }

    private static int port(EmbeddedActiveMQ broker, String acceptor) {
        var netty = (NettyAcceptor) broker.getActiveMQServer().getRemotingService().getAcceptor(acceptor);
        return netty.getActualPort();
    }

    private static Set<Role> everything(String role) {
        return Set.of(new Role(role, true, true, true, true, true, true, true, true, true, true, false, false));
    }

    /** guest/guest by PLAIN, anyone by ANONYMOUS; user/pencil by SCRAM. */
    private static void logins(Path folder) throws IOException {
        Files.createDirectories(folder);
        Files.writeString(folder.resolve("users"), "guest=guest\nuser=pencil\n");
        Files.writeString(folder.resolve("roles"), "user=guest,user\n");
        var files = Map.of("org.apache.activemq.jaas.properties.user", "users",
            "org.apache.activemq.jaas.properties.role", "roles", "baseDir", folder.toString(), "reload", "false");
        var guest = Map.of("org.apache.activemq.jaas.guest.user", "anonymous", "org.apache.activemq.jaas.guest.role", "user",
            "credentialsInvalidate", "true");
        Configuration.setConfiguration(new Configuration() {
            @Override
            public AppConfigurationEntry[] getAppConfigurationEntry(String name) {
                return name.equals("scram")
                    ? new AppConfigurationEntry[] {entry("SCRAMPropertiesLoginModule", LoginModuleControlFlag.REQUIRED, files)}
                    : new AppConfigurationEntry[] {entry("PropertiesLoginModule", LoginModuleControlFlag.SUFFICIENT, files),
                        entry("GuestLoginModule", LoginModuleControlFlag.SUFFICIENT, guest)};
            }
        });
    }

    private static AppConfigurationEntry entry(String module, LoginModuleControlFlag flag, Map<String, ?> options) {
        return new AppConfigurationEntry(JAAS + module, flag, options);
    }
}
