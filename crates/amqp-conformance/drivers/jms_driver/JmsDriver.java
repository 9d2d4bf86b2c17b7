import jakarta.jms.*;
import java.io.*;
import java.net.*;
import java.util.Scanner;
import java.util.concurrent.CompletableFuture;
import org.apache.qpid.jms.JmsConnectionFactory;

/**
 * Plays the scenarios of `amqp-conformance client` with Qpid JMS: JmsDriver URL ADDRESS SCENARIO COUNT.
 *
 * <p>JmsDriver --serve plays them for play.sh, all in one virtual machine: a line of the same four words on a connection
 * is answered by the exit status. A connection that is closed ends its scenario.
 */
public final class JmsDriver {
    private static final long PATIENCE = 30_000;

    public static void main(String[] args) throws Exception {
        if (args[0].equals("--serve")) {
            serve();
            return;
        }
        CompletableFuture<Integer> status = new CompletableFuture<>();
        start(args, status);
        Runtime.getRuntime().halt(status.get());
    }

    private static void serve() throws IOException {
        ServerSocket listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        System.out.println("listens at " + listener.getLocalPort());
        // It ends with its input.
        background(() -> {
            while (System.in.read() >= 0) {}
            Runtime.getRuntime().halt(0);
        });
        while (true) {
            Socket socket = listener.accept();
            background(() -> answer(socket));
        }
    }

    private static void answer(Socket socket) throws Exception {
        try (socket) {
            BufferedReader in = new BufferedReader(new InputStreamReader(socket.getInputStream()));
            CompletableFuture<Integer> status = new CompletableFuture<>();
            Connection connection = start(in.readLine().split(" "), status);
            background(() -> {
                try {
                    in.read();
                } finally {
                    status.complete(1);
                    connection.close();
                }
            });
            PrintStream out = new PrintStream(socket.getOutputStream(), true);
            out.println(status.get());
        }
    }

    private interface Work {
        void run() throws Exception;
    }

    private static void background(Work work) {
        Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (Exception error) {
                System.err.println(error);
            }
        });
        thread.setDaemon(true);
        thread.start();
    }

    /** Plays a scenario in the background. */
    private static Connection start(String[] args, CompletableFuture<Integer> status) throws JMSException {
        Connection connection = new JmsConnectionFactory(args[0]).createConnection();
        // Without it, a broken connection is only logged.
        connection.setExceptionListener(error -> {
            System.err.println(error);
            status.complete(1);
        });
        background(() -> {
            try {
                play(connection, args[1], args[2], Integer.parseInt(args[3]));
                status.complete(0);
            } finally {
                status.complete(1);
            }
        });
        return connection;
    }

    private static void play(Connection connection, String address, String scenario, int count) throws Exception {
        connection.start();
        if (scenario.equals("idle")) {
            Thread.sleep(count * 1000L);
        } else {
            boolean transacted = scenario.equals("transaction");
            Session session = connection.createSession(transacted, Session.AUTO_ACKNOWLEDGE);
            Queue queue = session.createQueue(address);
            switch (scenario) {
                case "send", "transaction" -> send(session, queue, count);
                case "receive" -> receive(session, queue, count);
                case "request" -> request(session, queue, count);
                default -> throw new IllegalArgumentException(scenario);
            }
            session.close();
        }
        connection.close();
    }

    private static void send(Session session, Queue queue, int count) throws JMSException {
        MessageProducer producer = session.createProducer(queue);
        // A broker that keeps nothing refuses durable messages.
        producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
        for (int number = 0; number < count; number++) {
            producer.send(session.createTextMessage("message " + number));
        }
        if (session.getTransacted()) {
            session.commit();
        }
        producer.close();
    }

    private static void receive(Session session, Queue queue, int count) throws JMSException {
        MessageConsumer consumer = session.createConsumer(queue);
        for (int number = 0; number < count; number++) {
            if (consumer.receive(PATIENCE) == null) {
                throw new JMSException("no message came");
            }
        }
        consumer.close();
    }

    private static void request(Session session, Queue queue, int count) throws JMSException {
        MessageProducer producer = session.createProducer(queue);
        // A broker that keeps nothing refuses durable messages.
        producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
        TemporaryQueue replies = session.createTemporaryQueue();
        MessageConsumer consumer = session.createConsumer(replies);
        for (int number = 0; number < count; number++) {
            TextMessage request = session.createTextMessage("request " + number);
            request.setJMSReplyTo(replies);
            producer.send(request);
            if (consumer.receive(PATIENCE) == null) {
                throw new JMSException("no response came");
            }
        }
        consumer.close();
        replies.delete();
    }
}
