import jakarta.jms.BytesMessage;
import jakarta.jms.DeliveryMode;
import jakarta.jms.MapMessage;
import jakarta.jms.ObjectMessage;
import jakarta.jms.Session;
import jakarta.jms.StreamMessage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** What messages carry. */
final class JmsMessages {
    private JmsMessages() {
    }

    static long types(Jms jms) throws Exception {
        try (var connection = jms.connect(""); var session = connection.createSession(Session.AUTO_ACKNOWLEDGE)) {
            var queue = session.createQueue("jms.types");
            var producer = session.createProducer(queue);
            producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
            var consumer = session.createConsumer(queue);

            producer.send(session.createMessage());
            Report.equal(false, consumer.receive(5000).propertyExists("none"));

            producer.send(session.createTextMessage("żółć"));
            Report.equal("żółć", Jms.text(consumer.receive(5000)));
            producer.send(session.createTextMessage());
            Report.equal(true, Jms.text(consumer.receive(5000)) == null);

            var bytes = session.createBytesMessage();
            bytes.writeLong(-5);
            bytes.writeUTF("bytes");
            bytes.writeBytes(new byte[100_000]);
            producer.send(bytes);
            var readBytes = (BytesMessage) consumer.receive(5000);
            Report.equal(-5L, readBytes.readLong());
            Report.equal("bytes", readBytes.readUTF());
            Report.equal(100_000, readBytes.readBytes(new byte[100_001]));

            var map = session.createMapMessage();
            map.setBoolean("boolean", true);
            map.setChar("char", 'ß');
            map.setDouble("double", -0.0);
            map.setBytes("bytes", new byte[] {1, 2});
            map.setObject("null", null);
            producer.send(map);
            var readMap = (MapMessage) consumer.receive(5000);
            Report.equal(true, readMap.getBoolean("boolean"));
            Report.equal('ß', readMap.getChar("char"));
            Report.equal(-0.0, readMap.getDouble("double"));
            Report.equal(true, Arrays.equals(new byte[] {1, 2}, readMap.getBytes("bytes")));
            Report.equal(true, readMap.itemExists("null") && readMap.getObject("null") == null);

            var stream = session.createStreamMessage();
            stream.writeByte((byte) -1);
            stream.writeFloat(1.5f);
            stream.writeString("stream");
            producer.send(stream);
            var readStream = (StreamMessage) consumer.receive(5000);
            Report.equal((byte) -1, readStream.readByte());
            Report.equal(1.5f, readStream.readFloat());
            Report.equal("stream", readStream.readString());

            producer.send(session.createObjectMessage(new ArrayList<>(List.of("a", 1, 2L))));
            Report.equal(List.of("a", 1, 2L), ((ObjectMessage) consumer.receive(5000)).getObject());
            return 7;
        }
    }

    static long properties(Jms jms) throws Exception {
        try (var connection = jms.connect(""); var session = connection.createSession(Session.AUTO_ACKNOWLEDGE)) {
            var queue = session.createQueue("jms.properties");
            var producer = session.createProducer(queue);
            var sent = session.createTextMessage("0");
            sent.setBooleanProperty("boolean", true);
            sent.setByteProperty("byte", (byte) -1);
            sent.setShortProperty("short", (short) -2);
            sent.setIntProperty("int", -3);
            sent.setLongProperty("long", Long.MIN_VALUE);
            sent.setFloatProperty("float", 1.5f);
            sent.setDoubleProperty("double", 2.5);
            sent.setStringProperty("string", "");
            sent.setObjectProperty("null", null);
            sent.setJMSType("type");
            sent.setJMSCorrelationID("ID:AMQP_ULONG:7");
            sent.setJMSReplyTo(session.createTopic("there"));
            sent.setStringProperty("JMSXGroupID", "group");
            sent.setIntProperty("JMSXGroupSeq", 3);
            producer.send(sent, DeliveryMode.NON_PERSISTENT, 7, 60_000);

            var found = Jms.receive(session.createConsumer(queue), 0, 1);
            Report.equal(true, found.getBooleanProperty("boolean"));
            Report.equal((byte) -1, found.getByteProperty("byte"));
            Report.equal((short) -2, found.getShortProperty("short"));
            Report.equal(-3, found.getIntProperty("int"));
            Report.equal(Long.MIN_VALUE, found.getLongProperty("long"));
            Report.equal(1.5f, found.getFloatProperty("float"));
            Report.equal(2.5, found.getDoubleProperty("double"));
            Report.equal("", found.getStringProperty("string"));
            Report.equal(true, found.propertyExists("null") && found.getObjectProperty("null") == null);
            Report.equal("type", found.getJMSType());
            Report.equal("ID:AMQP_ULONG:7", found.getJMSCorrelationID());
            Report.equal("there", found.getJMSReplyTo().toString());
            Report.equal("group", found.getStringProperty("JMSXGroupID"));
            Report.equal(3, found.getIntProperty("JMSXGroupSeq"));
            Report.equal(sent.getJMSMessageID(), found.getJMSMessageID());
            Report.equal(sent.getJMSTimestamp(), found.getJMSTimestamp());
            Report.equal(sent.getJMSExpiration(), found.getJMSExpiration());
            Report.equal(queue, found.getJMSDestination());
            Report.equal(7, found.getJMSPriority());
            Report.equal(DeliveryMode.NON_PERSISTENT, found.getJMSDeliveryMode());
            Report.equal(false, found.getJMSRedelivered());
            Report.equal(1, found.getIntProperty("JMSXDeliveryCount"));
            return 1;
        }
    }
}
