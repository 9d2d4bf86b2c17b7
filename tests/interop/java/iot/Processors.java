import com.azure.core.amqp.AmqpTransportType;
import com.azure.core.amqp.exception.AmqpException;
import com.azure.messaging.eventhubs.CheckpointStore;
import com.azure.messaging.eventhubs.EventData;
import com.azure.messaging.eventhubs.EventHubClientBuilder;
import com.azure.messaging.eventhubs.EventProcessorClient;
import com.azure.messaging.eventhubs.EventProcessorClientBuilder;
import com.azure.messaging.eventhubs.LoadBalancingStrategy;
import com.azure.messaging.eventhubs.implementation.EventHubSharedKeyCredential;
import com.azure.messaging.eventhubs.models.Checkpoint;
import com.azure.messaging.eventhubs.models.EventPosition;
import com.azure.messaging.eventhubs.models.PartitionOwnership;
import com.google.gson.JsonParser;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import reactor.core.publisher.Flux;
import reactor.core.publisher.Mono;

/** Readers on azure-messaging-eventhubs. The driver appends 40 numbered events when it is asked to. */
final class Processors {
    private static final int MORE = 40;
    private static final Duration UPDATE = Duration.ofMillis(500);
    private static long appended;

    private Processors() {
    }

    static void run() {
        var cases = new Cases("azure-messaging-eventhubs (Java)");
        cases.run("all events, AMQP", () -> reading(AmqpTransportType.AMQP));
        cases.run("all events, WebSocket", () -> reading(AmqpTransportType.AMQP_WEB_SOCKETS));
        cases.run("two processors and a restart", 150, Processors::processors);
        cases.run("connection cut, AMQP", 150, () -> cut(AmqpTransportType.AMQP));
        cases.run("connection cut, WebSocket", 150, () -> cut(AmqpTransportType.AMQP_WEB_SOCKETS));
        cases.run("tokens renewed", Processors::renewed);
        cases.run("producer refused", Processors::producer);
        cases.run("wrong key", Processors::wrongKey);
    }

    private static long more() throws Exception {
        Cases.ask("events");
        appended += MORE;
        return appended;
    }

    /** Numbers that were seen, and by whom. Events of devices have no number. */
    private static final class Seen {
        final List<Long> numbers = new CopyOnWriteArrayList<>();
        final Map<String, Long> by = new ConcurrentHashMap<>();

        void add(String name, EventData event) {
            var body = JsonParser.parseString(event.getBodyAsString());
            boolean ours = String.valueOf(event.getSystemProperties().get("iothub-connection-device-id")).startsWith("source");
            if (ours) {
                numbers.add(body.getAsJsonObject().get("number").getAsLong());
                by.merge(name, 1L, Long::sum);
            }
        }

        boolean complete(long count) {
            return numbers.stream().distinct().count() >= count;
        }

        void check(long count) {
            Cases.equal(numbers.stream().distinct().sorted().collect(Collectors.toList()), LongStream.range(0, count).boxed().collect(Collectors.toList()));
        }
    }

    private static long reading(AmqpTransportType transport) throws Exception {
        long count = more();
        var seen = new Seen();
        var client = new EventHubClientBuilder().connectionString(Hub.EVENTS).consumerGroup("$Default").transportType(transport).buildAsyncConsumerClient();
        var reading = client.receive(true).subscribe(event -> seen.add("reader", event.getData()));
        Cases.until("all events", 120, () -> seen.complete(count));
        reading.dispose();
        client.close();
        seen.check(count);
        Cases.equal((long) seen.numbers.size(), count);
        return count;
    }

    /** Checkpoints and ownerships in memory. */
    private static final class Store implements CheckpointStore {
        private final Map<String, PartitionOwnership> ownerships = new ConcurrentHashMap<>();
        private final Map<String, Checkpoint> checkpoints = new ConcurrentHashMap<>();

        private static PartitionOwnership copy(PartitionOwnership of) {
            return new PartitionOwnership().setFullyQualifiedNamespace(of.getFullyQualifiedNamespace()).setEventHubName(of.getEventHubName())
                .setConsumerGroup(of.getConsumerGroup()).setPartitionId(of.getPartitionId()).setOwnerId(of.getOwnerId())
                .setLastModifiedTime(of.getLastModifiedTime()).setETag(of.getETag());
        }

        @Override
        public Flux<PartitionOwnership> listOwnership(String namespace, String eventHub, String group) {
            return Flux.defer(() -> Flux.fromIterable(ownerships.values().stream().map(Store::copy).collect(Collectors.toList())));
        }

        @Override
        public synchronized Flux<PartitionOwnership> claimOwnership(List<PartitionOwnership> wanted) {
            List<PartitionOwnership> claimed = new ArrayList<>();
            for (PartitionOwnership each : wanted) {
                PartitionOwnership current = ownerships.get(each.getPartitionId());
                if (current != null && !Objects.equals(current.getETag(), each.getETag())) {
                    continue;
                }
                PartitionOwnership owned = copy(each).setETag(UUID.randomUUID().toString()).setLastModifiedTime(System.currentTimeMillis());
                ownerships.put(each.getPartitionId(), owned);
                claimed.add(copy(owned));
            }
            return Flux.fromIterable(claimed);
        }

        @Override
        public Flux<Checkpoint> listCheckpoints(String namespace, String eventHub, String group) {
            return Flux.defer(() -> Flux.fromIterable(List.copyOf(checkpoints.values())));
        }

        @Override
        public Mono<Void> updateCheckpoint(Checkpoint checkpoint) {
            return Mono.fromRunnable(() -> checkpoints.put(checkpoint.getPartitionId(), checkpoint));
        }

        long owners() {
            return ownerships.values().stream().map(PartitionOwnership::getOwnerId).filter(id -> id != null && !id.isEmpty()).distinct().count();
        }
    }

    private static EventProcessorClient processor(String name, Seen seen, Store store) {
        return processor(name, seen, store, AmqpTransportType.AMQP);
    }

    private static EventProcessorClient processor(String name, Seen seen, Store store, AmqpTransportType transport) {
        EventProcessorClient client = new EventProcessorClientBuilder().transportType(transport).connectionString(Hub.EVENTS).consumerGroup("$Default").checkpointStore(store)
            .loadBalancingUpdateInterval(UPDATE).partitionOwnershipExpirationInterval(Duration.ofSeconds(3)).loadBalancingStrategy(LoadBalancingStrategy.GREEDY)
            .initialPartitionEventPosition(partition -> EventPosition.earliest())
            .processEventBatch(batch -> {
                batch.getEvents().forEach(event -> seen.add(name, event));
                if (!batch.getEvents().isEmpty()) {
                    batch.updateCheckpoint();
                }
            }, 10, Duration.ofMillis(300))
            .processError(error -> System.err.println(name + ": " + error.getThrowable()))
            .buildEventProcessorClient();
        client.start();
        return client;
    }

    private static long processors() throws Exception {
        var seen = new Seen();
        var store = new Store();
        long first = more();
        EventProcessorClient one = processor("first", seen, store);
        Cases.until("the first", 120, () -> seen.complete(first));
        EventProcessorClient two = processor("second", seen, store);
        Cases.until("their shares", 120, () -> store.owners() == 2);
        long both = more();
        Cases.until("both", 120, () -> seen.complete(both) && seen.by.containsKey("second"));
        // The first is gone: the second takes over where the checkpoints are.
        one.stop();
        long alone = more();
        Cases.until("the second alone", 120, () -> seen.complete(alone));
        two.stop();
        // All of them are gone, and one starts again.
        long count = more();
        EventProcessorClient three = processor("third", seen, store);
        Cases.until("the third", 120, () -> seen.complete(count));
        Thread.sleep(1000);
        three.stop();
        seen.check(count);
        Cases.equal(seen.by.get("third"), (long) MORE);
        return count;
    }

    /** A processor goes on behind what it has read, whatever it says of the connection that is gone. */
    private static long cut(AmqpTransportType transport) throws Exception {
        var seen = new Seen();
        EventProcessorClient reader = processor("reader", seen, new Store(), transport);
        long before = more();
        Cases.until("all events before", 120, () -> seen.complete(before));
        for (int round = 0; round < 2; round++) {
            Cases.ask("cut");
            long behind = more();
            Cases.until("all events behind a cut", 60, () -> seen.complete(behind));
        }
        reader.stop();
        seen.check(appended);
        return appended;
    }

    private static String part(String name) {
        return Hub.EVENTS.replaceAll("(?:.*;|)" + name + "=([^;]*).*", "$1");
    }

    /** The hub ends a link whose token has run out: reading goes on for more than two lives of a token, on renewed ones. */
    private static long renewed() throws Exception {
        var seen = new Seen();
        var credential = new EventHubSharedKeyCredential(part("SharedAccessKeyName"), part("SharedAccessKey"), Duration.ofSeconds(8));
        String namespace = part("Endpoint").replaceAll("sb://|/", "");
        var client = new EventHubClientBuilder().credential(namespace, part("EntityPath"), credential).consumerGroup("$Default").buildAsyncConsumerClient();
        var reading = client.receive(true).subscribe(event -> seen.add("reader", event.getData()));
        for (int round = 0; round < 8; round++) {
            long count = more();
            Cases.until("all events", 120, () -> seen.complete(count));
            Thread.sleep(2500);
        }
        reading.dispose();
        client.close();
        seen.check(appended);
        Cases.equal((long) seen.numbers.size(), appended);
        return appended;
    }

    private static long producer() {
        var client = new EventHubClientBuilder().connectionString(Hub.EVENTS).buildProducerClient();
        AmqpException error = Cases.refused(AmqpException.class, () -> client.send(List.of(new EventData("x"))));
        client.close();
        Cases.equal(error.getErrorCondition(), com.azure.core.amqp.exception.AmqpErrorCondition.UNAUTHORIZED_ACCESS);
        Cases.check(error.getMessage().contains("device"), error.getMessage());
        return 1;
    }

    private static long wrongKey() {
        String forged = Hub.EVENTS.replace("SharedAccessKey=", "SharedAccessKey=x");
        var client = new EventHubClientBuilder().connectionString(forged).consumerGroup("$Default").buildConsumerClient();
        AmqpException error = Cases.refused(AmqpException.class, client::getEventHubProperties);
        client.close();
        Cases.equal(error.getErrorCondition(), com.azure.core.amqp.exception.AmqpErrorCondition.UNAUTHORIZED_ACCESS);
        return 1;
    }
}
