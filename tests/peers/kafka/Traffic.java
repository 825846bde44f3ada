import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.LongSerializer;
import org.apache.kafka.common.serialization.VoidDeserializer;
import org.apache.kafka.common.serialization.VoidSerializer;

/**
 * Numbered records through a topic with three replicas and two in sync, for as long as standard
 * input is open; then a drain, and one line of JSON that says what was acknowledged and what of
 * it came back.
 *
 * <pre>Traffic BOOTSTRAP_SERVERS TOPIC OUTPUT_DIR RECORDS_PER_SECOND</pre>
 *
 * <p>OUTPUT_DIR/acknowledged and OUTPUT_DIR/consumed get one number per line. The first line of
 * standard output, {"ready":true}, comes after the first record made the round trip. Partitions
 * are assigned, not subscribed to: a number that comes twice is twice in the log, and never an
 * effect of a rebalance. Exit code 0 also when records were lost: the caller judges the numbers.
 */
public final class Traffic {
    private static final int PARTITIONS = 3;
    /** How long the drain waits for acknowledged records that have not come back. */
    private static final Duration DRAIN = Duration.ofSeconds(60);
    /** How long a send may be retried; longer than any restart of a broker. */
    private static final int DELIVERY_MS = 120_000;

    private final String servers;
    private final String topic;
    private final OutputStream acknowledgedFile;
    private final OutputStream consumedFile;
    private final BitSet acknowledged = new BitSet();
    private final BitSet consumed = new BitSet();
    private final CountDownLatch ready = new CountDownLatch(1);
    private final long startedMs = System.currentTimeMillis();
    private long consumedCount;
    private long duplicated;
    private long failed;
    private long lastAckMs = startedMs;
    private long longestAckGapMs;
    private long longestConsumeGapMs;
    private volatile boolean stopping;
    private volatile boolean drained;

    private Traffic(String servers, String topic, Path directory) throws IOException {
        this.servers = servers;
        this.topic = topic;
        Files.createDirectories(directory);
        acknowledgedFile = new FileOutputStream(directory.resolve("acknowledged").toFile());
        consumedFile = new FileOutputStream(directory.resolve("consumed").toFile());
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 4) {
            System.err.println("usage: Traffic BOOTSTRAP_SERVERS TOPIC OUTPUT_DIR RECORDS_PER_SECOND");
            System.exit(2);
        }
        Traffic traffic = new Traffic(arguments[0], arguments[1], Path.of(arguments[2]));
        traffic.run(Integer.parseInt(arguments[3]));
    }

    private void run(int perSecond) throws Exception {
        createTopic();
        Thread producer = new Thread(() -> produce(perSecond), "producer");
        Thread consumer = new Thread(this::consume, "consumer");
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> finish(producer, consumer, main)));
        producer.start();
        consumer.start();
        ready.await();
        System.out.println("{\"ready\":true}");
        while (System.in.read() >= 0) {
            // Only its end matters.
        }
        System.exit(0);
    }

    /** Runs on the end of standard input and on SIGTERM alike. */
    private void finish(Thread producer, Thread consumer, Thread main) {
        try {
            stopping = true;
            producer.join();
            drained = true;
            consumer.join();
            System.out.println(summary());
            System.out.flush();
        } catch (InterruptedException e) {
            main.interrupt();
        }
    }

    private void createTopic() throws InterruptedException, ExecutionException {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", servers))) {
            NewTopic wanted = new NewTopic(topic, Optional.of(PARTITIONS), Optional.of((short) 3));
            wanted.configs(Map.of("min.insync.replicas", "2"));
            admin.createTopics(List.of(wanted)).all().get();
        } catch (ExecutionException e) {
            if (!(e.getCause() instanceof TopicExistsException)) {
                throw e;
            }
        }
    }

    private void produce(int perSecond) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", servers);
        settings.put("acks", "all");
        settings.put("enable.idempotence", "true");
        settings.put("linger.ms", "5");
        settings.put("request.timeout.ms", "5000");
        settings.put("delivery.timeout.ms", String.valueOf(DELIVERY_MS));
        settings.put("max.block.ms", String.valueOf(DELIVERY_MS));
        long next = System.nanoTime();
        try (var producer =
                new KafkaProducer<>(settings, new VoidSerializer(), new LongSerializer())) {
            for (long number = 0; !stopping; number++) {
                long sent = number;
                int partition = (int) (number % PARTITIONS);
                producer.send(
                        new ProducerRecord<>(topic, partition, null, number),
                        (metadata, error) -> answered(sent, error));
                next += 1_000_000_000L / perSecond;
                long waitMs = (next - System.nanoTime()) / 1_000_000L;
                if (waitMs > 0) {
                    Thread.sleep(waitMs);
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private synchronized void answered(long number, Exception error) {
        if (error != null) {
            failed++;
            System.err.println("not acknowledged: " + number + ": " + error);
            return;
        }
        long now = System.currentTimeMillis();
        if (!acknowledged.isEmpty()) {
            longestAckGapMs = Math.max(longestAckGapMs, now - lastAckMs);
        }
        lastAckMs = now;
        acknowledged.set(Math.toIntExact(number));
        write(acknowledgedFile, number);
    }

    private void consume() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", servers);
        // Offsets are committed so that the offsets topic is a real one, and never read back.
        settings.put("group.id", topic + "-readers");
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "true");
        settings.put("request.timeout.ms", "5000");
        settings.put("default.api.timeout.ms", String.valueOf(DELIVERY_MS));
        long last = 0;
        long deadline = 0;
        try (var consumer =
                new KafkaConsumer<>(settings, new VoidDeserializer(), new LongDeserializer())) {
            List<TopicPartition> all = IntStream.range(0, PARTITIONS)
                    .mapToObj(index -> new TopicPartition(topic, index))
                    .collect(Collectors.toList());
            consumer.assign(all);
            consumer.seekToBeginning(all);
            while (true) {
                for (var record : consumer.poll(Duration.ofMillis(200))) {
                    long now = System.currentTimeMillis();
                    longestConsumeGapMs = last == 0 ? 0 : Math.max(longestConsumeGapMs, now - last);
                    last = now;
                    took(record.value());
                }
                if (drained) {
                    deadline = deadline == 0 ? System.nanoTime() + DRAIN.toNanos() : deadline;
                    if (lost() == 0 || System.nanoTime() > deadline) {
                        return;
                    }
                }
            }
        }
    }

    private synchronized void took(long number) {
        int index = Math.toIntExact(number);
        if (consumed.get(index)) {
            duplicated++;
        }
        consumed.set(index);
        consumedCount++;
        write(consumedFile, number);
        ready.countDown();
    }

    private static void write(OutputStream file, long number) {
        try {
            file.write((number + "\n").getBytes(StandardCharsets.US_ASCII));
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    /** Acknowledged numbers that have not come back. */
    private synchronized int lost() {
        BitSet missing = (BitSet) acknowledged.clone();
        missing.andNot(consumed);
        return missing.cardinality();
    }

    private synchronized String summary() {
        return String.format(
                "{\"acknowledged\":%d,\"consumed\":%d,\"lost\":%d,\"duplicated\":%d,"
                        + "\"failed\":%d,\"longest_gap_ms\":%d,\"longest_consume_gap_ms\":%d,"
                        + "\"seconds\":%d}",
                acknowledged.cardinality(),
                consumedCount,
                lost(),
                duplicated,
                failed,
                longestAckGapMs,
                longestConsumeGapMs,
                (System.currentTimeMillis() - startedMs) / 1000);
    }
}
