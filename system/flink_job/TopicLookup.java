package kaflinkshop;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.TopicAuthorizationException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/**
 * Asks Kafka whether topics exist, in a thread of its own, for OutboxWriter.
 *
 * A topic that was made a moment ago may be unknown to the broker that is asked: a missing one is
 * asked for again before that is certain. Where no broker answers nothing is certain.
 */
class TopicLookup implements Runnable {

    /** Times that a topic is missing before it counts as missing. */
    static final int TRIES = 4;

    /** Between them: a new topic is known to all brokers within milliseconds. */
    static final long RETRY_MS = 50;

    /** Between looks whether the producer has heard of a topic. */
    static final long PRIME_MS = 2;

    /** Topics in one question. */
    static final int BATCH_MAX = 100;

    /** Kafka's answer is waited for so long; without one nothing is certain. */
    static final int TIMEOUT_MS = 1000;

    private final Admin admin;
    private final OutboxWriter writer;
    private final Thread thread;
    /** Topic to its `Look`, in the order in which they were last asked. Guarded by itself. */
    private final Map asked = new LinkedHashMap();
    private boolean isOpen = true;

    TopicLookup(Properties kafka, OutboxWriter writer) {
        Properties settings = new Properties();
        settings.setProperty("bootstrap.servers", kafka.getProperty("bootstrap.servers"));
        for (Iterator names = kafka.stringPropertyNames().iterator(); names.hasNext(); ) {
            String name = (String) names.next();
            if (name.startsWith("ssl.") || name.startsWith("sasl.") || name.startsWith("security.")) {
                settings.setProperty(name, kafka.getProperty(name));
            }
        }
        this.admin = Admin.create(settings);
        this.writer = writer;
        this.thread = new Thread(this, "topic-lookup");
        thread.setDaemon(true);
        thread.start();
    }

    void ask(String topic) {
        synchronized (asked) {
            asked.put(topic, new Look(0));
            asked.notifyAll();
        }
    }

    public void run() {
        try {
            while (true) {
                List topics;
                synchronized (asked) {
                    for (topics = due(); isOpen && topics.isEmpty(); topics = due()) {
                        asked.wait(asked.isEmpty() ? 0 : RETRY_MS);
                    }
                    if (!isOpen) {
                        return;
                    }
                }
                settle(topics);
            }
        } catch (InterruptedException closed) {
            return;
        } catch (RuntimeException failure) {
            synchronized (asked) {
                if (!isOpen) {
                    return;
                }
            }
            writer.failed(failure);
        }
    }

    /** Those that were not asked for lately; one that never was does not wait for the others. */
    private List due() {
        List topics = new ArrayList();
        Iterator each = asked.entrySet().iterator();
        while (each.hasNext() && topics.size() < BATCH_MAX) {
            Map.Entry entry = (Map.Entry) each.next();
            if (((Look) entry.getValue()).isDue()) {
                topics.add(entry.getKey());
            }
        }
        return topics;
    }

    /** How often a topic was missing, and when that was found. */
    private static class Look {

        final int tries;
        private final long atNs = System.nanoTime();

        Look(int tries) {
            this.tries = tries;
        }

        boolean isDue() {
            return tries == 0 || System.nanoTime() - atNs >= RETRY_MS * 1000000;
        }
    }

    private void settle(List topics) throws InterruptedException {
        Map found = describe(topics);
        for (Iterator each = topics.iterator(); each.hasNext(); ) {
            String topic = (String) each.next();
            Boolean exists = (Boolean) found.get(topic);
            if (exists == null) {
                again(topic, 1);
            } else if (exists.booleanValue()) {
                if (isPrimed(topic)) {
                    done(topic, Boolean.TRUE);
                } else {
                    again(topic, 1);
                }
            } else if (again(topic, tries(topic) + 1) >= TRIES) {
                done(topic, Boolean.FALSE);
            } else {
                writer.answered(topic, null);
            }
        }
    }

    /** Whether the producer has heard of the topic, which takes a question of its own. */
    private boolean isPrimed(String topic) throws InterruptedException {
        for (long waited = 0; waited < RETRY_MS; waited += PRIME_MS) {
            if (writer.isPrimed(topic)) {
                return true;
            }
            Thread.sleep(PRIME_MS);
        }
        return false;
    }

    private int tries(String topic) {
        synchronized (asked) {
            return ((Look) asked.get(topic)).tries;
        }
    }

    private int again(String topic, int tries) {
        synchronized (asked) {
            asked.remove(topic);
            asked.put(topic, new Look(tries));
        }
        return tries;
    }

    private void done(String topic, Boolean exists) {
        synchronized (asked) {
            asked.remove(topic);
        }
        writer.answered(topic, exists);
    }

    /** Topic to whether it exists; those of which Kafka says nothing are left out. */
    private Map describe(Collection topics) throws InterruptedException {
        Map found = new HashMap();
        DescribeTopicsOptions options = new DescribeTopicsOptions();
        options.timeoutMs(Integer.valueOf(TIMEOUT_MS));
        Map futures = admin.describeTopics(topics, options).topicNameValues();
        for (Iterator each = topics.iterator(); each.hasNext(); ) {
            Object topic = each.next();
            try {
                ((KafkaFuture) futures.get(topic)).get();
                found.put(topic, Boolean.TRUE);
            } catch (ExecutionException failed) {
                Throwable cause = failed.getCause();
                if (cause instanceof UnknownTopicOrPartitionException
                        || cause instanceof InvalidTopicException
                        || cause instanceof TopicAuthorizationException) {
                    found.put(topic, Boolean.FALSE);
                }
            }
        }
        return found;
    }

    /** Those of the topics that are surely not there any more. */
    Set missing(Set topics) throws InterruptedException {
        Set gone = new HashSet();
        Map found = topics.isEmpty() ? Collections.EMPTY_MAP : describe(topics);
        for (Iterator each = topics.iterator(); each.hasNext(); ) {
            Object topic = each.next();
            if (Boolean.FALSE.equals(found.get(topic))) {
                gone.add(topic);
            }
        }
        return gone;
    }

    void close() {
        synchronized (asked) {
            isOpen = false;
        }
        thread.interrupt();
        admin.close(Duration.ZERO);
    }
}
