package kaflinkshop;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * What a service sends, topic, key and value with a line end after the first two, as a Kafka record.
 * PyFlink's own way to choose a topic for each record puts a Python function before the sink.
 */
public class RoutedRecord implements KafkaRecordSerializationSchema {

    public ProducerRecord serialize(Object routed, KafkaSinkContext context, Long timestamp) {
        byte[] bytes = (byte[]) routed;
        int topicEnd = lineEnd(bytes, 0);
        int keyEnd = lineEnd(bytes, topicEnd + 1);
        return new ProducerRecord(
            new String(bytes, 0, topicEnd, StandardCharsets.US_ASCII),
            Arrays.copyOfRange(bytes, topicEnd + 1, keyEnd),
            Arrays.copyOfRange(bytes, keyEnd + 1, bytes.length));
    }

    private static int lineEnd(byte[] bytes, int from) {
        while (bytes[from] != '\n') {
            from++;
        }
        return from;
    }
}
