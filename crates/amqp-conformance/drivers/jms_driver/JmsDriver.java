import jakarta.jms.*;
import org.apache.qpid.jms.JmsConnectionFactory;

/** Plays the scenarios of `amqp-conformance client` with Qpid JMS: JmsDriver URL ADDRESS SCENARIO COUNT. */
public final class JmsDriver {
    private static final long PATIENCE = 30_000;

    public static void main(String[] args) throws Exception {
        String url = args[0], address = args[1], scenario = args[2];
        int count = Integer.parseInt(args[3]);
        Connection connection = new JmsConnectionFactory(url).createConnection();
        // Without it, a broken connection is only logged.
        connection.setExceptionListener(error -> {
            System.err.println(error);
            Runtime.getRuntime().halt(1);
        });
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
