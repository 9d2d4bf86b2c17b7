import org.apache.qpid.jms.JmsOperationTimedOutException;
import jakarta.jms.Connection;
import jakarta.jms.DeliveryMode;
import jakarta.jms.Destination;
import jakarta.jms.JMSException;
import jakarta.jms.JMSSecurityException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.qpid.jms.JmsConnectionFactory;

/**
 * Qpid JMS with a broker: {@code Jms PORT TLS_PORT TRUST_STORE [late]}; TLS_PORT wants guest/guest. A broker that
 * is late answers a drain before a message that was accepted is ready to go.
 */
public final class Jms {
    private static final int AUTO = Session.AUTO_ACKNOWLEDGE;
    private static final int INDIVIDUAL = 101;
    /** Longer than anything takes that is going to happen. */
    private static final long PATIENCE = 10_000;

    private final String port;
    private final boolean late;

    private Jms(String port, boolean late) {
        this.port = port;
        this.late = late;
    }

    public static void main(String[] args) throws Exception {
        var jms = new Jms(args[0], args.length > 3);
        Report.of("types of message", () -> JmsMessages.types(jms));
        Report.of("properties", () -> JmsMessages.properties(jms));
        Report.of("time to live", jms::timeToLive);
        Report.of("persistent delivery", jms::persistent);
        for (int prefetch : new int[] {0, 1000}) {
            Report.of("receiveNoWait, prefetch " + prefetch, () -> jms.again(name -> jms.receiveNoWait(prefetch, name)));
            Report.of("receive(ms), prefetch " + prefetch, () -> jms.again(name -> jms.receiveInTime(prefetch, name)));
        }
        Report.of("CLIENT_ACKNOWLEDGE", jms::clientAcknowledge);
        Report.of("individual acknowledgement", jms::individual);
        Report.of("recover", jms::recover);
        Report.of("redelivery limit", jms::redeliveryLimit);
        Report.of("transacted session, sending", () -> JmsTransactions.sending(jms));
        Report.of("transacted session, receiving", () -> JmsTransactions.receiving(jms));
        Report.of("transacted session, both", () -> JmsTransactions.both(jms));
        Report.of("selector", jms::selector);
        Report.of("browser", jms::browser);
        Report.of("temporary queue, request and reply", jms::requests);
        Report.of("topic with two subscribers", () -> JmsTopics.two(jms));
        Report.of("noLocal", () -> JmsTopics.noLocal(jms));
        Report.of("durable subscriber and unsubscribe", () -> JmsTopics.durable(jms));
        Report.of("20,000 messages", jms::many);
        Report.of("logins over TLS", () -> logins(args[1], args[2]));
        System.exit(0);
    }

    /** A connection that is started. */
    Connection connect(String options) throws JMSException {
        Connection connection = new JmsConnectionFactory("amqp://127.0.0.1:" + port + "?jms.forceSyncSend=" + !options.contains("forceAsync") + "&" + options).createConnection();
        connection.start();
        return connection;
    }

    /** Sends texts "0" to "count - 1", each of which is accepted. */
    static int send(Session session, Destination to, int count) throws JMSException {
        try (MessageProducer producer = session.createProducer(to)) {
            producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
            for (int index = 0; index < count; index++) {
                producer.send(session.createTextMessage("" + index));
            }
        }
        return count;
    }

    /** Receives these texts, in order. */
    static Message receive(MessageConsumer consumer, int from, int to) throws JMSException {
        Message last = null;
        for (int index = from; index < to; index++) {
            last = consumer.receive(PATIENCE);
            Report.equal("" + index, text(last));
        }
        return last;
    }

    static String text(Message message) throws JMSException {
        return message == null ? "nothing" : ((TextMessage) message).getText();
    }

    /** Nothing is there. */
    static void nothing(MessageConsumer consumer) throws JMSException {
        Report.equal("nothing", text(consumer.receive(200)));
    }

    private long timeToLive() throws Exception {
        try (var connection = connect(""); var session = connection.createSession(AUTO)) {
            var queue = session.createQueue("jms.ttl");
            var producer = session.createProducer(queue);
            producer.send(session.createTextMessage("late"), DeliveryMode.NON_PERSISTENT, 4, 50);
            producer.send(session.createTextMessage("0"), DeliveryMode.NON_PERSISTENT, 4, 60_000);
            Thread.sleep(500);
            var consumer = session.createConsumer(queue);
            var message = receive(consumer, 0, 1);
            Report.equal(true, message.getJMSExpiration() > System.currentTimeMillis());
            nothing(consumer);
            return 1;
        }
    }

    private long persistent() throws Exception {
        try (var connection = connect(""); var session = connection.createSession(AUTO)) {
            var queue = session.createQueue("jms.persistent");
            var producer = session.createProducer(queue);
            for (int index = 0; index < 100; index++) {
                producer.send(session.createTextMessage("" + index));
            }
            var message = receive(session.createConsumer(queue), 0, 100);
            Report.equal(DeliveryMode.PERSISTENT, message.getJMSDeliveryMode());
            return 100;
        }
    }

    private interface Named {
        long run(String name) throws Exception;
    }

    /** Runs a case that drains; Artemis leaves a drain unanswered now and then, and gets two more chances. */
    private long again(Named work) throws Exception {
        for (int chance = 1;; chance++) {
            try {
                return work.run("" + chance);
            } catch (JmsOperationTimedOutException unanswered) {
                if (!late || chance == 3) {
                    throw unanswered;
                }
            }
        }
    }

    private long receiveNoWait(int prefetch, String name) throws Exception {
        try (var connection = connect("jms.prefetchPolicy.all=" + prefetch); var session = connection.createSession(AUTO)) {
            var queue = session.createQueue("jms.noWait." + prefetch + "." + name);
            var consumer = session.createConsumer(queue);
            Report.equal("nothing", text(consumer.receiveNoWait()));
            send(session, queue, 100);
            for (int index = 0; index < 100; index++) {
                Message message = consumer.receiveNoWait();
                for (long until = System.currentTimeMillis() + PATIENCE; late && message == null && System.currentTimeMillis() < until;) {
                    message = consumer.receiveNoWait();
                }
                Report.equal("" + index, text(message));
            }
            Report.equal("nothing", text(consumer.receiveNoWait()));
            return 100;
        }
    }

    private long receiveInTime(int prefetch, String name) throws Exception {
        try (var connection = connect("jms.prefetchPolicy.all=" + prefetch); var session = connection.createSession(AUTO)) {
            var queue = session.createQueue("jms.inTime." + prefetch + "." + name);
            var consumer = session.createConsumer(queue);
            nothing(consumer);
            send(session, queue, 50);
            receive(consumer, 0, 50);
            nothing(consumer);
            send(session, queue, 50);
            receive(consumer, 0, 50);
            return 100;
        }
    }

    private long clientAcknowledge() throws Exception {
        try (var connection = connect(""); var sending = connection.createSession(AUTO)) {
            var queue = sending.createQueue("jms.client");
            send(sending, queue, 100);
            var session = connection.createSession(Session.CLIENT_ACKNOWLEDGE);
            var consumer = session.createConsumer(queue);
            receive(consumer, 0, 40).acknowledge();
            receive(consumer, 40, 60);
            session.close();
            // Those that were not acknowledged come again, and before the others.
            var again = connection.createSession(Session.CLIENT_ACKNOWLEDGE);
            consumer = again.createConsumer(queue);
            Message message = receive(consumer, 40, 60);
            Report.equal(true, message.getJMSRedelivered());
            // The consumer that gave it back may have got it again before it was closed.
            Report.equal(true, message.getIntProperty("JMSXDeliveryCount") >= 2);
            // Whether what was prefetched counts as delivered is the broker's decision: the source's default outcome, modified
            // with delivery-failed, applies to it (AMQP, 3.5.3).
            receive(consumer, 60, 100).acknowledge();
            nothing(consumer);
            return 100;
        }
    }

    private long individual() throws Exception {
        try (var connection = connect(""); var sending = connection.createSession(AUTO)) {
            var queue = sending.createQueue("jms.individual");
            send(sending, queue, 60);
            var session = connection.createSession(INDIVIDUAL);
            var consumer = session.createConsumer(queue);
            for (int index = 0; index < 60; index++) {
                Message message = receive(consumer, index, index + 1);
                if (index % 3 > 0) {
                    message.acknowledge();
                }
            }
            session.close();
            consumer = sending.createConsumer(queue);
            for (int index = 0; index < 60; index += 3) {
                receive(consumer, index, index + 1);
            }
            nothing(consumer);
            return 60;
        }
    }

    private long recover() throws Exception {
        try (var connection = connect(""); var session = connection.createSession(Session.CLIENT_ACKNOWLEDGE)) {
            var queue = session.createQueue("jms.recover");
            send(session, queue, 30);
            var consumer = session.createConsumer(queue);
            receive(consumer, 0, 10).acknowledge();
            receive(consumer, 10, 20);
            session.recover();
            Message message = receive(consumer, 10, 20);
            Report.equal(true, message.getJMSRedelivered());
            Report.equal(2, message.getIntProperty("JMSXDeliveryCount"));
            receive(consumer, 20, 30).acknowledge();
            nothing(consumer);
            return 30;
        }
    }

    /** After three attempts the client gives the message back as undeliverable here, and goes on with the next. */
    private long redeliveryLimit() throws Exception {
        try (var connection = connect("jms.redeliveryPolicy.maxRedeliveries=2");
            var session = connection.createSession(Session.CLIENT_ACKNOWLEDGE)) {
            var queue = session.createQueue("jms.limit");
            send(session, queue, 2);
            var consumer = session.createConsumer(queue);
            for (int attempt = 1; attempt <= 3; attempt++) {
                Report.equal(attempt, receive(consumer, 0, 1).getIntProperty("JMSXDeliveryCount"));
                session.recover();
            }
            receive(consumer, 1, 2).acknowledge();
            nothing(consumer);
            return 2;
        }
    }

    private long selector() throws Exception {
        try (var connection = connect(""); var session = connection.createSession(AUTO)) {
            var queue = session.createQueue("jms.selector");
            var producer = session.createProducer(queue);
            for (int index = 0; index < 40; index++) {
                var message = session.createTextMessage("" + index / 2);
                message.setStringProperty("colour", index % 2 == 0 ? "red" : "blue");
                message.setIntProperty("size", index);
                producer.send(message, DeliveryMode.NON_PERSISTENT, 4, 0);
            }
            receive(session.createConsumer(queue, "colour = 'red' AND size < 20"), 0, 10);
            receive(session.createConsumer(queue, "colour IN ('blue') AND size BETWEEN 0 AND 100"), 0, 20);
            receive(session.createConsumer(queue), 10, 20);
            return 40;
        }
    }

    private long browser() throws Exception {
        try (var connection = connect(""); var session = connection.createSession(AUTO)) {
            var queue = session.createQueue("jms.browser");
            send(session, queue, 30);
            for (int round = 0; round < 2; round++) {
                try (var browser = session.createBrowser(queue)) {
                    int seen = 0;
                    for (var messages = browser.getEnumeration(); messages.hasMoreElements(); seen++) {
                        Report.equal("" + seen, text((Message) messages.nextElement()));
                    }
                    Report.equal(30, seen);
                }
            }
            receive(session.createConsumer(queue), 0, 30);
            return 90;
        }
    }

    private long requests() throws Exception {
        try (var connection = connect(""); var session = connection.createSession(AUTO);
            var other = connect(""); var serving = other.createSession(AUTO)) {
            var queue = session.createQueue("jms.requests");
            var requests = serving.createConsumer(queue);
            var anyone = serving.createProducer(null);
            requests.setMessageListener(request -> {
                try {
                    var answer = serving.createTextMessage(text(request));
                    answer.setJMSCorrelationID(request.getJMSMessageID());
                    anyone.send(request.getJMSReplyTo(), answer, DeliveryMode.NON_PERSISTENT, 4, 0);
                } catch (JMSException failure) {
                    throw new IllegalStateException(failure);
                }
            });
            var here = session.createTemporaryQueue();
            var answers = session.createConsumer(here);
            var producer = session.createProducer(queue);
            for (int index = 0; index < 50; index++) {
                var request = session.createTextMessage("" + index);
                request.setJMSReplyTo(here);
                producer.send(request, DeliveryMode.NON_PERSISTENT, 4, 0);
                Report.equal(request.getJMSMessageID(), receive(answers, index, index + 1).getJMSCorrelationID());
            }
            answers.close();
            here.delete();
            return 100;
        }
    }

    /** Asynchronously in both directions. */
    private long many() throws Exception {
        int count = 20_000;
        try (var connection = connect("jms.forceAsyncSend=true"); var session = connection.createSession(AUTO)) {
            var queue = session.createQueue("jms.many");
            var expected = new AtomicInteger();
            var wrong = new AtomicInteger();
            var all = new CountDownLatch(count);
            session.createConsumer(queue).setMessageListener(message -> {
                try {
                    if (!text(message).equals("" + expected.getAndIncrement())) {
                        wrong.incrementAndGet();
                    }
                } catch (JMSException failure) {
                    wrong.incrementAndGet();
                }
                all.countDown();
            });
            try (var sending = connection.createSession(AUTO)) {
                send(sending, queue, count);
            }
            Report.equal(true, all.await(60, TimeUnit.SECONDS));
            Report.equal(0, wrong.get());
            return count;
        }
    }

    private static long logins(String port, String trusted) throws Exception {
        var factory = new JmsConnectionFactory("amqps://localhost:" + port + "?transport.trustStorePassword=secret&transport.trustStoreLocation=" + trusted);
        try (var connection = factory.createConnection("guest", "guest"); var session = connection.createSession(AUTO)) {
            connection.start();
            var queue = session.createQueue("jms.logins");
            send(session, queue, 10);
            receive(session.createConsumer(queue), 0, 10);
        }
        for (String[] login : new String[][] {{"guest", "wrong"}, {"nobody", "guest"}}) {
            try (var connection = factory.createConnection(login[0], login[1])) {
                connection.start();
                throw new AssertionError(login[0] + " was let in");
            } catch (JMSSecurityException expected) {
                Report.equal(true, expected.getMessage() != null);
            }
        }
        return 10;
    }
}
