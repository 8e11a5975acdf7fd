package kaflinkshop;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Properties;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;

/**
 * Writes what services send to the topics that it is for, at least once.
 *
 * Flink's own sink waits a minute for a topic that does not exist, all tasks with it, and then fails
 * the job. Here such a record costs nobody else anything, see OutboxWriter.
 */
public class Outbox implements Sink {

    private final Properties kafka = new Properties();
    private final HashSet required = new HashSet();
    private final HashMap names = new HashMap();
    private final String topicPrefix;

    /** The prefix is how all topics of the system begin; the services know nothing of it. */
    public Outbox(String bootstrapServers, String topicPrefix) {
        kafka.setProperty("bootstrap.servers", bootstrapServers);
        this.topicPrefix = topicPrefix;
    }

    public Outbox set(String name, String value) {
        kafka.setProperty(name, value);
        return this;
    }

    /** A topic of the system's own. */
    public Outbox own(String topic) {
        names.put(topic, topicPrefix + topic);
        return this;
    }

    /** One of them of which a record that can't be written fails the job. */
    public Outbox require(String topic) {
        required.add(topicPrefix + topic);
        return own(topic);
    }

    public SinkWriter createWriter(WriterInitContext context) {
        return new OutboxWriter(
            kafka, names, required, context.getMailboxExecutor(), context.metricGroup());
    }
}
