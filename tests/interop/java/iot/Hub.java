import com.microsoft.azure.sdk.iot.service.registry.Device;
import com.microsoft.azure.sdk.iot.service.registry.Module;
import com.microsoft.azure.sdk.iot.service.registry.RegistryClient;
import com.microsoft.azure.sdk.iot.service.twin.TwinClient;
import java.io.ByteArrayInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.HexFormat;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;

/** The hub by its connection strings. Its authority is in the JVM's trust store. */
final class Hub {
    static final String OWNER = System.getenv("IOTHUB_OWNER");
    static final String SERVICE = System.getenv("IOTHUB_SERVICE");
    static final String EVENTS = System.getenv("EVENT_HUBS");
    static final String KEPT = System.getenv("IOTHUB_KEPT");
    static final String HOST = OWNER.replaceAll("HostName=([^;]*);.*", "$1");
    static final RegistryClient REGISTRY = new RegistryClient(OWNER);
    static final TwinClient TWINS = new TwinClient(OWNER);

    private Hub() {
    }

    static Device create(String id) throws Exception {
        return REGISTRY.addDevice(new Device(id));
    }

    static String text(Device device) {
        return "HostName=" + HOST + ";DeviceId=" + device.getDeviceId() + ";SharedAccessKey=" + device.getPrimaryKey();
    }

    static String text(Module module) {
        return "HostName=" + HOST + ";DeviceId=" + module.getDeviceId() + ";ModuleId=" + module.getId()
            + ";SharedAccessKey=" + module.getPrimaryKey();
    }

    private static Certificate certificate(String name) throws Exception {
        byte[] pem = Files.readAllBytes(Path.of(System.getenv("X509"), name + ".pem"));
        return CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(pem));
    }

    static String thumbprint(String name, String digest) throws Exception {
        return HexFormat.of().withUpperCase().formatHex(MessageDigest.getInstance(digest).digest(certificate(name).getEncoded()));
    }

    /** With the certificate of a device. */
    static SSLContext certified(String name) throws Exception {
        String pem = Files.readString(Path.of(System.getenv("X509"), name + ".key"));
        byte[] der = Base64.getMimeDecoder().decode(pem.replaceAll("-----[A-Z ]*-----", ""));
        var key = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(der));
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        store.setKeyEntry("device", key, new char[0], new Certificate[] {certificate(name)});
        var keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(store, new char[0]);
        SSLContext context = SSLContext.getInstance("TLSv1.2");
        context.init(keys.getKeyManagers(), null, null);
        return context;
    }
}
