import jakarta.jms.Session;

/** Topics and their subscriptions. */
final class JmsTopics {
    private JmsTopics() {
    }

    static long two(Jms jms) throws Exception {
        try (var connection = jms.connect(""); var session = connection.createSession(Session.AUTO_ACKNOWLEDGE)) {
            var topic = session.createTopic("jms.topic.two");
            var one = session.createConsumer(topic);
            var two = session.createConsumer(topic);
            Jms.send(session, topic, 200);
            Jms.receive(one, 0, 200);
            Jms.receive(two, 0, 200);
            Jms.nothing(one);
            Jms.nothing(session.createConsumer(topic));
            return 400;
        }
    }

    static long noLocal(Jms jms) throws Exception {
        try (var connection = jms.connect(""); var session = connection.createSession(Session.AUTO_ACKNOWLEDGE);
            var other = jms.connect(""); var publishing = other.createSession(Session.AUTO_ACKNOWLEDGE)) {
            var topic = session.createTopic("jms.topic.local");
            var consumer = session.createConsumer(topic, null, true);
            Jms.send(session, topic, 5);
            Jms.send(publishing, topic, 30);
            Jms.receive(consumer, 0, 30);
            Jms.nothing(consumer);
            return 30;
        }
    }

    static long durable(Jms jms) throws Exception {
        try (var other = jms.connect(""); var publishing = other.createSession(Session.AUTO_ACKNOWLEDGE)) {
            var topic = publishing.createTopic("jms.topic.durable");
            for (int round = 0; round < 3; round++) {
                try (var connection = jms.connect("jms.clientID=subscriber"); var session = connection.createSession(Session.AUTO_ACKNOWLEDGE)) {
                    var consumer = session.createDurableConsumer(topic, "subscription");
                    if (round > 0) {
                        // What was published in the meantime.
                        Jms.receive(consumer, 0, 20);
                    }
                    Jms.send(publishing, topic, 20);
                    Jms.receive(consumer, 0, 20);
                }
                Jms.send(publishing, topic, 20);
            }
            try (var connection = jms.connect("jms.clientID=subscriber"); var session = connection.createSession(Session.AUTO_ACKNOWLEDGE)) {
                session.unsubscribe("subscription");
                Jms.nothing(session.createDurableConsumer(topic, "subscription"));
            }
            return 100;
        }
    }
}
