package kaflinkshop;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.flink.api.common.operators.MailboxExecutor;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.groups.SinkWriterMetricGroup;
import org.apache.flink.util.function.ThrowingRunnable;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.clients.producer.BufferExhaustedException;

/**
 * A producer that never waits for a topic.
 *
 * Records for a topic that was not written to before are put aside while TopicLookup asks for it; so
 * are those for one that was deleted meanwhile. What has no topic is dropped and counted
 * (`undelivered_records`). What the broker had no time for, in a topic of the system's own, fails the
 * job, which then writes it again. All methods but those of Delivery run in Flink's task thread.
 */
public class OutboxWriter implements SinkWriter {

    /** Records put aside for all topics that are asked for; of more, the newest are dropped. */
    static final int ASIDE_MAX = 10000;

    /** A flush that sees nothing written for so long asks whether the topics are still there. */
    static final long STALLED_MS = 200;

    static final String REASON = "reason";

    private final KafkaProducer producer;
    private final TopicLookup lookup;
    /** The topics of the system, by the services' names for them. */
    private final Map names;
    /** All topics of the system, and those of them that must be there. */
    private final Set own;
    private final Set required;
    private final MailboxExecutor mailbox;
    private final Counter undelivered;
    private final Counter sent;

    private final Set known = new HashSet();
    /** Topic to the list of its records that wait for TopicLookup. */
    private final Map aside = new HashMap();
    /** Topics aside that were not there when first asked for: a flush does not wait for them. */
    private final Set doubtful = new HashSet();
    private int asideCount = 0;
    /** Topics that the last flush found deleted, with records on their way: none waits for them. */
    private Set gone = new HashSet();

    /** Guards what follows, which Kafka's thread changes. */
    private final Object lock = new Object();
    /** Topic to the number of its records that the broker has not acknowledged. */
    private final Map inFlight = new HashMap();
    private Exception failure = null;

    OutboxWriter(
            Properties kafka,
            Map names,
            Set required,
            MailboxExecutor mailbox,
            SinkWriterMetricGroup metrics) {
        Properties settings = new Properties();
        settings.putAll(kafka);
        // A topic that the producer does not know is an error at once, not a wait.
        settings.setProperty("max.block.ms", "0");
        String serializer = "org.apache.kafka.common.serialization.ByteArraySerializer";
        settings.setProperty("key.serializer", serializer);
        settings.setProperty("value.serializer", serializer);
        this.producer = new KafkaProducer(settings);
        this.names = names;
        this.own = new HashSet(names.values());
        this.required = required;
        this.mailbox = mailbox;
        this.undelivered = metrics.counter("undelivered_records");
        this.sent = metrics.getNumRecordsSendCounter();
        this.lookup = new TopicLookup(kafka, this);
    }

    public void write(Object element, SinkWriter.Context context) throws IOException, InterruptedException {
        throwFailure();
        ByteBuffer frame = ByteBuffer.wrap((byte[]) element);
        int topicBytes = frame.get() & 0xFF;
        int keyBytes = frame.getInt();
        int reasonBytes = frame.getShort() & 0xFFFF;
        String named = new String(bytes(frame, topicBytes), StandardCharsets.US_ASCII);
        String topic = (String) names.getOrDefault(named, named);
        byte[] key = keyBytes < 0 ? null : bytes(frame, keyBytes);
        byte[] reason = bytes(frame, reasonBytes);
        ProducerRecord record = new ProducerRecord(topic, key, bytes(frame, frame.remaining()));
        if (reasonBytes > 0) {
            record.headers().add(REASON, reason);
        }
        if (aside.containsKey(topic)) {
            putAside(topic, record);
        } else if (!known.contains(topic)) {
            ask(topic, record);
        } else {
            send(topic, record);
        }
    }

    private static byte[] bytes(ByteBuffer frame, int count) {
        byte[] found = new byte[count];
        frame.get(found);
        return found;
    }

    private void send(String topic, ProducerRecord record) throws IOException, InterruptedException {
        while (true) {
            Delivery delivery = new Delivery(topic);
            synchronized (lock) {
                inFlight.put(topic, Integer.valueOf(count(topic) + 1));
            }
            producer.send(record, delivery);
            Exception refusal = delivery.told();
            if (refusal == null) {
                sent.inc();
                return;
            }
            if (refusal instanceof BufferExhaustedException) {
                synchronized (lock) {
                    lock.wait(10);  // everything waits for the broker: so do Flink's sources then
                }
                throwFailure();
            } else if (refusal instanceof TimeoutException) {
                known.remove(topic);
                ask(topic, record);
                return;
            } else {
                drop(topic, 1, refusal);
                return;
            }
        }
    }

    private void ask(String topic, ProducerRecord record) throws IOException {
        aside.put(topic, new ArrayList());
        putAside(topic, record);
        lookup.ask(topic);
    }

    private void putAside(String topic, ProducerRecord record) throws IOException {
        if (asideCount >= ASIDE_MAX && !required.contains(topic)) {
            drop(topic, 1, null);
            return;
        }
        asideCount++;
        ((List) aside.get(topic)).add(record);
    }

    private void drop(String topic, int count, Exception cause) throws IOException {
        if (required.contains(topic)) {
            throw new IOException("no records can be written to " + topic, cause);
        }
        synchronized (lock) {
            undelivered.inc(count);
        }
    }

    /** In the thread of TopicLookup, which has ended: nothing more will be answered. */
    void failed(final RuntimeException cause) {
        mailbox.execute(
            new ThrowingRunnable() {
                public void run() throws Exception {
                    throw new IOException("topics can't be looked up", cause);
                }
            },
            "topics can't be looked up");
    }

    /** In the thread of TopicLookup: `exists` is null while that is not certain. */
    void answered(final String topic, final Boolean exists) {
        mailbox.execute(
            new ThrowingRunnable() {
                public void run() throws Exception {
                    settle(topic, exists);
                }
            },
            "topic looked up");
    }

    private void settle(String topic, Boolean exists) throws IOException, InterruptedException {
        if (exists == null) {
            doubtful.add(topic);
            return;
        }
        doubtful.remove(topic);
        List records = (List) aside.remove(topic);
        asideCount -= records.size();
        if (exists.booleanValue()) {
            known.add(topic);
            for (Iterator each = records.iterator(); each.hasNext(); ) {
                ProducerRecord record = (ProducerRecord) each.next();
                if (aside.containsKey(topic)) {
                    putAside(topic, record);
                } else {
                    send(topic, record);
                }
            }
        } else {
            drop(topic, records.size(), null);
        }
    }

    /** Returns when the broker has all that was written, but for what has no topic. */
    public void flush(boolean endOfInput) throws IOException, InterruptedException {
        while (waitsForAnswer()) {
            mailbox.yield();
        }
        synchronized (lock) {
            gone.retainAll(inFlight.keySet());
        }
        gone = lookup.missing(gone);
        while (true) {
            Set open = new HashSet();
            synchronized (lock) {
                open.addAll(inFlight.keySet());
                open.removeAll(gone);
                if (failure == null && !open.isEmpty()) {
                    int before = total(open);
                    lock.wait(STALLED_MS);
                    if (total(open) < before) {
                        continue;
                    }
                }
            }
            throwFailure();
            if (open.isEmpty()) {
                return;
            }
            open.removeAll(required);
            gone.addAll(lookup.missing(open));
        }
    }

    private boolean waitsForAnswer() {
        for (Iterator topics = aside.keySet().iterator(); topics.hasNext(); ) {
            Object topic = topics.next();
            if (required.contains(topic) || !doubtful.contains(topic)) {
                return true;
            }
        }
        return false;
    }

    private int total(Set topics) {
        int sum = 0;
        for (Iterator each = topics.iterator(); each.hasNext(); ) {
            sum += count((String) each.next());
        }
        return sum;
    }

    private int count(String topic) {
        Integer found = (Integer) inFlight.get(topic);
        return found == null ? 0 : found.intValue();
    }

    private void throwFailure() throws IOException {
        synchronized (lock) {
            if (failure != null) {
                throw new IOException("records of the services' own were not written", failure);
            }
        }
    }

    public void close() {
        lookup.close();
        producer.close(Duration.ZERO);
    }

    /** Primes the producer with a topic that exists; false while it has not heard of it. */
    boolean isPrimed(String topic) {
        try {
            return !producer.partitionsFor(topic).isEmpty();
        } catch (TimeoutException notYet) {
            return false;
        }
    }

    /** What became of a record: told by Kafka's thread, or within `send`. */
    private class Delivery implements Callback {

        private final String topic;
        private boolean isSending = true;
        private Exception refusal = null;

        Delivery(String topic) {
            this.topic = topic;
        }

        /** Why `send` refused the record, null where it took it. */
        Exception told() {
            synchronized (lock) {
                isSending = false;
                return refusal;
            }
        }

        public void onCompletion(RecordMetadata metadata, Exception error) {
            synchronized (lock) {
                int left = count(topic) - 1;
                if (left == 0) {
                    inFlight.remove(topic);
                } else {
                    inFlight.put(topic, Integer.valueOf(left));
                }
                lock.notifyAll();
                if (error == null) {
                    return;
                }
                if (isSending) {
                    refusal = error;
                } else if (required.contains(topic)
                        || own.contains(topic) && error instanceof RetriableException) {
                    failure = error;
                } else {
                    undelivered.inc();
                }
            }
        }
    }
}
