import java.io.InputStream;
import java.io.OutputStream;
import java.util.ArrayDeque;
import java.util.concurrent.TimeUnit;
import org.apache.qpid.protonj2.client.Client;
import org.apache.qpid.protonj2.client.Connection;
import org.apache.qpid.protonj2.client.ConnectionOptions;
import org.apache.qpid.protonj2.client.Delivery;
import org.apache.qpid.protonj2.client.DeliveryState;
import org.apache.qpid.protonj2.client.Message;
import org.apache.qpid.protonj2.client.OutputStreamOptions;
import org.apache.qpid.protonj2.client.Receiver;
import org.apache.qpid.protonj2.client.ReceiverOptions;
import org.apache.qpid.protonj2.client.Sender;
import org.apache.qpid.protonj2.client.StreamReceiverOptions;
import org.apache.qpid.protonj2.client.Tracker;

/** The protonj2 client with a broker: {@code Proton PORT TLS_PORT TRUST_STORE}. */
public final class Proton {
    private static final int MEBIBYTE = 1 << 20;

    private final int port;

    private Proton(int port) {
        this.port = port;
    }

    public static void main(String[] args) throws Exception {
        var proton = new Proton(Integer.parseInt(args[0]));
        Report.of("50 MiB streamed", proton::stream);
        Report.of("drain", proton::drain);
        Report.of("credit by hand", proton::credit);
        Report.of("dynamic receiver", proton::dynamic);
        Report.of("transactions", proton::transactions);
        Report.of("10,000 messages, 500 in flight", proton::many);
        Report.of("outcomes", proton::outcomes);
        Report.of("settled without a state", proton::withoutState);
        Report.of("TLS and PLAIN", () -> tls(Integer.parseInt(args[1]), args[2]));
        System.exit(0);
    }

    /** Work on a connection. */
    private interface Work {
        long on(Connection connection) throws Throwable;
    }

    private long connected(Work work) throws Throwable {
        try (var client = Client.create(); var connection = client.connect("127.0.0.1", port, new ConnectionOptions().user("guest").password("guest"))) {
            return work.on(connection);
        }
    }

    /** Sends messages "0" to "count - 1", each of which is accepted. */
    static void send(Sender sender, int count) throws Exception {
        for (int index = 0; index < count; index++) {
            Report.equal(DeliveryState.Type.ACCEPTED, sender.send(Message.create("" + index)).awaitSettlement(10, TimeUnit.SECONDS).remoteState().getType());
        }
    }

    static Delivery next(Receiver receiver, int index) throws Exception {
        Delivery delivery = receiver.receive(10, TimeUnit.SECONDS);
        Report.equal("" + index, delivery == null ? "nothing" : delivery.message().body());
        return delivery;
    }

    static void receive(Receiver receiver, int from, int to) throws Exception {
        for (int index = from; index < to; index++) {
            next(receiver, index).accept();
        }
    }

    static void nothing(Receiver receiver) throws Exception {
        Report.equal(true, receiver.receive(200, TimeUnit.MILLISECONDS) == null);
    }

    private static ReceiverOptions byHand() {
        return new ReceiverOptions().creditWindow(0).autoAccept(false).autoSettle(false);
    }

    private static long tls(int port, String trusted) throws Throwable {
        var options = new ConnectionOptions().user("guest").password("guest").sslEnabled(true);
        options.sslOptions().trustStoreLocation(trusted).trustStorePassword("secret");
        try (var client = Client.create(); var connection = client.connect("localhost", port, options)) {
            send(connection.openSender("proton.tls"), 10);
            receive(connection.openReceiver("proton.tls"), 0, 10);
            return 10;
        }
    }

    private long stream() throws Throwable {
        return connected(connection -> {
            var sender = connection.openStreamSender("proton.stream");
            var message = sender.beginMessage();
            byte[] piece = new byte[MEBIBYTE];
            try (OutputStream body = message.body(new OutputStreamOptions().bodyLength(50 * MEBIBYTE))) {
                for (int index = 0; index < 50; index++) {
                    java.util.Arrays.fill(piece, (byte) index);
                    body.write(piece);
                }
            }
            message.tracker().awaitAccepted(30, TimeUnit.SECONDS);
            var receiver = connection.openStreamReceiver("proton.stream", new StreamReceiverOptions().autoAccept(false));
            var delivery = receiver.receive(30, TimeUnit.SECONDS);
            try (InputStream body = delivery.message().body()) {
                for (int index = 0; index < 50; index++) {
                    byte[] read = body.readNBytes(MEBIBYTE);
                    Report.equal(MEBIBYTE, read.length);
                    for (byte octet : read) {
                        if (octet != (byte) index) {
                            throw new AssertionError("MiB " + index + " has changed");
                        }
                    }
                }
                Report.equal(-1, body.read());
            }
            delivery.accept();
            return 1;
        });
    }

    private long drain() throws Throwable {
        return connected(connection -> {
            send(connection.openSender("proton.drain"), 10);
            Receiver receiver = connection.openReceiver("proton.drain", byHand());
            int[][] rounds = {{3, 3}, {100, 10}, {5, 10}};
            int index = 0;
            for (int[] round : rounds) {
                receiver.addCredit(round[0]).drain().get(10, TimeUnit.SECONDS);
                receive(receiver, index, round[1]);
                index = round[1];
                Report.equal(true, receiver.tryReceive() == null);
            }
            return 10;
        });
    }

    private long credit() throws Throwable {
        return connected(connection -> {
            send(connection.openSender("proton.credit"), 50);
            Receiver receiver = connection.openReceiver("proton.credit", byHand());
            nothing(receiver);
            for (int index = 0; index < 50; index += 10) {
                receiver.addCredit(10);
                receive(receiver, index, index + 10);
                nothing(receiver);
            }
            return 50;
        });
    }

    private long dynamic() throws Throwable {
        return connected(connection -> {
            Receiver receiver = connection.openDynamicReceiver();
            send(connection.openSender(receiver.address()), 50);
            receive(receiver, 0, 50);
            receiver.close();
            return 50;
        });
    }

    private long transactions() throws Throwable {
        return connected(connection -> {
            var session = connection.openSession();
            Sender sender = session.openSender("proton.transactions");
            Receiver others = connection.openReceiver("proton.transactions", byHand());
            for (int round = 0; round < 2; round++) {
                session.beginTransaction();
                for (int index = 0; index < 20; index++) {
                    sender.send(Message.create("" + index)).awaitSettlement(10, TimeUnit.SECONDS);
                }
                others.addCredit(1).drain().get(10, TimeUnit.SECONDS);
                Report.equal(true, others.tryReceive() == null);
                if (round == 0) {
                    session.rollbackTransaction();
                } else {
                    session.commitTransaction();
                }
            }
            Receiver receiver = session.openReceiver("proton.transactions", new ReceiverOptions().creditWindow(20).autoAccept(false));
            session.beginTransaction();
            receive(receiver, 0, 10);
            session.commitTransaction();
            session.beginTransaction();
            receive(receiver, 10, 20);
            session.rollbackTransaction();
            receiver.close();
            session.close();
            others.addCredit(20);
            receive(others, 10, 20);
            nothing(others);
            return 20;
        });
    }

    private long many() throws Throwable {
        return connected(connection -> {
            int count = 10_000;
            Sender sender = connection.openSender("proton.many");
            Receiver receiver = connection.openReceiver("proton.many", new ReceiverOptions().creditWindow(500));
            var sending = new Thread(() -> {
                try {
                    var trackers = new ArrayDeque<Tracker>();
                    for (int index = 0; index < count; index++) {
                        if (trackers.size() == 500) {
                            trackers.poll().awaitAccepted(10, TimeUnit.SECONDS);
                        }
                        trackers.add(sender.send(Message.create("" + index)));
                    }
                    for (Tracker tracker : trackers) {
                        tracker.awaitAccepted(10, TimeUnit.SECONDS);
                    }
                } catch (Exception failure) {
                    throw new IllegalStateException(failure);
                }
            });
            var failed = new Throwable[1];
            sending.setUncaughtExceptionHandler((thread, failure) -> failed[0] = failure);
            sending.start();
            for (int index = 0; index < count; index++) {
                next(receiver, index);
            }
            sending.join(10_000);
            if (failed[0] != null) {
                throw failed[0];
            }
            return count;
        });
    }

    private long outcomes() throws Throwable {
        return connected(connection -> {
            send(connection.openSender("proton.outcomes"), 4);
            Receiver receiver = connection.openReceiver("proton.outcomes", byHand());
            receiver.addCredit(4);
            Delivery zero = next(receiver, 0);
            Delivery one = next(receiver, 1);
            Delivery two = next(receiver, 2);
            next(receiver, 3).accept();
            one.reject("amqp:decode-error", "not for me");
            two.modified(true, false);
            zero.release();
            receiver.addCredit(2);
            Delivery again = receiver.receive(10, TimeUnit.SECONDS);
            Delivery last = receiver.receive(10, TimeUnit.SECONDS);
            boolean first = again.message().body().equals("0");
            Report.equal("0", (first ? again : last).message().body());
            Report.equal("2", (first ? last : again).message().body());
            Report.equal(0L, (first ? again : last).message().deliveryCount());
            Report.equal(1L, (first ? last : again).message().deliveryCount());
            again.accept();
            last.accept();
            receiver.addCredit(1);
            nothing(receiver);
            return 4;
        });
    }

    /** The source's default outcome counts (§3.5.3). */
    private long withoutState() throws Throwable {
        return connected(connection -> {
            send(connection.openSender("proton.stateless"), 20);
            var options = byHand();
            options.sourceOptions().defaultOutcome(DeliveryState.released());
            Receiver receiver = connection.openReceiver("proton.stateless", options);
            receiver.addCredit(20);
            for (int index = 0; index < 20; index++) {
                next(receiver, index).settle();
            }
            receiver.close();
            options = byHand();
            options.sourceOptions().defaultOutcome(DeliveryState.accepted());
            receiver = connection.openReceiver("proton.stateless", options);
            receiver.addCredit(30);
            for (int index = 0; index < 20; index++) {
                next(receiver, index).settle();
            }
            receiver.close();
            receiver = connection.openReceiver("proton.stateless", byHand());
            receiver.addCredit(1);
            nothing(receiver);
            return 20;
        });
    }
}
