package kaflinkshop;

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

    public Outbox(String bootstrapServers) {
        kafka.setProperty("bootstrap.servers", bootstrapServers);
    }

    public Outbox set(String name, String value) {
        kafka.setProperty(name, value);
        return this;
    }

    /** A topic of the system's own: a record that can't be written there fails the job. */
    public Outbox require(String topic) {
        required.add(topic);
        return this;
    }

    public SinkWriter createWriter(WriterInitContext context) {
        return new OutboxWriter(kafka, required, context.getMailboxExecutor(), context.metricGroup());
    }
}
