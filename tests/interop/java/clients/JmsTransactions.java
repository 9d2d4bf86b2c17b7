import jakarta.jms.Message;
import jakarta.jms.Session;

/** Sessions that are transacted. */
final class JmsTransactions {
    private JmsTransactions() {
    }

    static long sending(Jms jms) throws Exception {
        try (var connection = jms.connect(""); var session = connection.createSession(Session.AUTO_ACKNOWLEDGE);
            var transacted = connection.createSession(Session.SESSION_TRANSACTED)) {
            var queue = session.createQueue("jms.transacted.sending");
            var consumer = session.createConsumer(queue);
            for (int round = 0; round < 3; round++) {
                Jms.send(transacted, queue, 50);
                Jms.nothing(consumer);
                if (round == 1) {
                    transacted.rollback();
                    Jms.nothing(consumer);
                } else {
                    transacted.commit();
                    Jms.receive(consumer, 0, 50);
                }
            }
            return 100;
        }
    }

    static long receiving(Jms jms) throws Exception {
        try (var connection = jms.connect(""); var session = connection.createSession(Session.AUTO_ACKNOWLEDGE)) {
            var transacted = connection.createSession(Session.SESSION_TRANSACTED);
            var queue = session.createQueue("jms.transacted.receiving");
            Jms.send(session, queue, 90);
            var consumer = transacted.createConsumer(queue);
            Jms.receive(consumer, 0, 30);
            transacted.commit();
            Jms.receive(consumer, 30, 60);
            transacted.rollback();
            Message again = Jms.receive(consumer, 30, 60);
            Report.equal(true, again.getJMSRedelivered());
            Report.equal(2, again.getIntProperty("JMSXDeliveryCount"));
            transacted.commit();
            Jms.receive(consumer, 60, 90);
            // What is not committed is there for others when the session is closed.
            transacted.close();
            Jms.receive(session.createConsumer(queue), 60, 90);
            return 90;
        }
    }

    static long both(Jms jms) throws Exception {
        try (var connection = jms.connect(""); var session = connection.createSession(Session.AUTO_ACKNOWLEDGE);
            var transacted = connection.createSession(Session.SESSION_TRANSACTED)) {
            var from = session.createQueue("jms.transacted.from");
            var to = session.createQueue("jms.transacted.to");
            Jms.send(session, from, 500);
            var consumer = transacted.createConsumer(from);
            var producer = transacted.createProducer(to);
            for (int index = 0; index < 500; index += 50) {
                for (int round = index == 200 ? 0 : 1; round < 2; round++) {
                    for (int each = index; each < index + 50; each++) {
                        producer.send(Jms.receive(consumer, each, each + 1));
                    }
                    if (round == 0) {
                        transacted.rollback();
                    } else {
                        transacted.commit();
                    }
                }
            }
            Jms.nothing(consumer);
            Jms.receive(session.createConsumer(to), 0, 500);
            return 500;
        }
    }
}
