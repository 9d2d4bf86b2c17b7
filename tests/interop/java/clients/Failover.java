import jakarta.jms.DeliveryMode;
import jakarta.jms.Session;
import java.util.concurrent.TimeUnit;
import org.apache.qpid.jms.JmsConnectionFactory;
import org.apache.qpid.protonj2.client.Client;
import org.apache.qpid.protonj2.client.ConnectionOptions;
import org.apache.qpid.protonj2.client.Delivery;
import org.apache.qpid.protonj2.client.Message;
import org.apache.qpid.protonj2.client.Receiver;
import org.apache.qpid.protonj2.client.Sender;
import org.apache.qpid.protonj2.client.exceptions.ClientException;

/** {@code Failover jms|proton PORT OTHER_PORT}: the broker at PORT is killed when a line says so. */
public final class Failover {
    private static final int BEFORE = 50;
    private static final int ALL = 200;

    private Failover() {
    }

    public static void main(String[] args) throws Exception {
        int port = Integer.parseInt(args[1]);
        int other = Integer.parseInt(args[2]);
        if (args[0].equals("jms")) {
            Report.of("failover: with the server killed", () -> jms(port, other));
        } else {
            Report.of("reconnect with the server killed", () -> proton(port, other));
        }
        System.exit(0);
    }

    /** Says that the broker is to be killed, and waits until it is. */
    private static void kill() throws Exception {
        System.out.println("{\"event\":\"kill\"}");
        System.in.read();
    }

    /** The messages of the broker that is killed go with it; those that the other has accepted come once each and in order. */
    private static long jms(int port, int other) throws Exception {
        var uri = "failover:(amqp://127.0.0.1:%d,amqp://127.0.0.1:%d)?failover.reconnectDelay=10&jms.username=guest&jms.password=guest";
        try (var connection = new JmsConnectionFactory(String.format(uri, port, other)).createConnection();
            var session = connection.createSession(Session.AUTO_ACKNOWLEDGE)) {
            connection.start();
            var queue = session.createQueue("failover.jms");
            var producer = session.createProducer(queue);
            producer.setDeliveryMode(DeliveryMode.PERSISTENT);
            var consumer = session.createConsumer(queue);
            for (int index = 0; index < BEFORE; index++) {
                producer.send(session.createTextMessage("" + index));
                Jms.receive(consumer, index, index + 1);
            }
            producer.send(session.createTextMessage("lost"));
            kill();
            for (int index = BEFORE; index < ALL; index++) {
                producer.send(session.createTextMessage("" + index));
            }
            for (int index = BEFORE; index < ALL; index++) {
                String text = Jms.text(consumer.receive(10_000));
                // It had come before the broker was killed.
                Report.equal("" + index, text.equals("lost") ? Jms.text(consumer.receive(10_000)) : text);
            }
            Jms.nothing(consumer);
            return ALL;
        }
    }

    private static long proton(int port, int other) throws Exception {
        var options = new ConnectionOptions().user("guest").password("guest");
        options.reconnectEnabled(true);
        options.reconnectOptions().addReconnectLocation("127.0.0.1", other);
        try (var client = Client.create(); var connection = client.connect("127.0.0.1", port, options)) {
            Sender sender = connection.openSender("failover.proton");
            Receiver receiver = connection.openReceiver("failover.proton");
            for (int index = 0; index < BEFORE; index++) {
                sender.send(Message.create("" + index)).awaitAccepted(10, TimeUnit.SECONDS);
                Proton.next(receiver, index).accept();
            }
            kill();
            for (int index = BEFORE; index < ALL; index++) {
                sendAgain(sender, index);
                Delivery delivery = Proton.next(receiver, index);
                delivery.accept();
            }
            Proton.nothing(receiver);
            return ALL;
        }
    }

    /** The client fails a send that it has begun before it knows that its connection is gone: that one is sent again. */
    private static void sendAgain(Sender sender, int index) throws Exception {
        try {
            sender.send(Message.create("" + index)).awaitAccepted(10, TimeUnit.SECONDS);
        } catch (ClientException failure) {
            if (index > BEFORE) {
                throw failure;
            }
            sender.send(Message.create("" + index)).awaitAccepted(10, TimeUnit.SECONDS);
        }
    }
}
