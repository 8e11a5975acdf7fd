package kaflinkshop;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.types.Row;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.utils.Utils;

/**
 * A Kafka record as a row of state key and frame, which PyFlink's keyed streams are made of. The
 * frame is what a Python function would have to ask Java for, as system/flink_job/frames.py reads
 * it. The compiler, Janino, knows no generics.
 *
 * A record in another partition than Kafka's own clients choose for its key is as good as one without
 * a key: it is sent on once, to where the key's other records are. Read there it has its place among
 * them; read here it would have one before a crash, and maybe another after it.
 */
public class InputRecord implements KafkaRecordDeserializationSchema {

    /** As in the contract: 1 to 64 of [A-Za-z0-9_-]. Any other key names no entity. */
    static final int KEY_BYTES_MAX = 64;

    static final int HEAD_BYTES = 1 + 4 + 8 + 8 + 4;

    /**
     * What was sent on has a header of this name, with a value that begins so: the time in ms at which
     * it was first written follows. Its request is as old as that, and it is never sent on again. Dead
     * letters have the header too, with other values.
     */
    static final String REASON = "reason";

    static final String SENT_ON = "sent on, first written at ";

    private final int prefixLength;
    private final Properties kafka = new Properties();
    private final List topics = new ArrayList();

    /** Of a topic, to the number of its partitions. */
    private transient Map partitions;

    /** The prefix is how all topics of the system begin; behind this, none has it. */
    public InputRecord(String bootstrapServers, String topicPrefix) {
        kafka.setProperty("bootstrap.servers", bootstrapServers);
        prefixLength = topicPrefix.length();
    }

    public InputRecord set(String name, String value) {
        kafka.setProperty(name, value);
        return this;
    }

    public InputRecord read(String topic) {
        topics.add(topic);
        return this;
    }

    public void open(DeserializationSchema.InitializationContext context) throws Exception {
        partitions = new HashMap();
        Admin admin = Admin.create(kafka);
        try {
            Map found = (Map) admin.describeTopics(topics).allTopicNames().get();
            for (Iterator each = found.values().iterator(); each.hasNext(); ) {
                TopicDescription topic = (TopicDescription) each.next();
                partitions.put(topic.name(), Integer.valueOf(topic.partitions().size()));
            }
        } finally {
            admin.close(Duration.ZERO);
        }
    }

    public void deserialize(ConsumerRecord record, Collector out) {
        String topic = record.topic().substring(prefixLength);
        byte[] key = (byte[]) record.key();
        byte[] value = (byte[]) record.value();
        int keyBytes = key == null ? 0 : key.length;
        int valueBytes = value == null ? 0 : value.length;
        ByteBuffer frame = ByteBuffer.allocate(HEAD_BYTES + topic.length() + keyBytes + valueBytes);
        frame.put((byte) topic.length());
        long firstWritten = firstWritten(record);
        boolean isElsewhere = firstWritten < 0 && isElsewhere(record);
        frame.putInt(isElsewhere ? ~record.partition() : record.partition());
        frame.putLong(record.timestamp());
        frame.putLong(firstWritten);
        frame.putInt(key == null ? -1 : keyBytes);
        frame.put(topic.getBytes(StandardCharsets.US_ASCII));
        if (key != null) {
            frame.put(key);
        }
        if (value != null) {
            frame.put(value);
        }
        String entity = key != null && isId(key) ? new String(key, StandardCharsets.US_ASCII) : "";
        out.collect(Row.of(new Object[] {topic + "/" + entity, frame.array()}));
    }

    private boolean isElsewhere(ConsumerRecord record) {
        byte[] key = (byte[]) record.key();
        Integer count = (Integer) partitions.get(record.topic());
        return count != null // else of a service that was hosted once
            && count.intValue() > 1
            && key != null
            && isId(key)
            && Utils.toPositive(Utils.murmur2(key)) % count.intValue() != record.partition();
    }

    /** When a record that was sent on was first written, in ms since 1970; -1 for any other. */
    private static long firstWritten(ConsumerRecord record) {
        Header reason = record.headers().lastHeader(REASON);
        if (reason == null || reason.value() == null) {
            return -1;
        }
        String told = new String(reason.value(), StandardCharsets.UTF_8);
        if (!told.startsWith(SENT_ON)) {
            return -1;
        }
        try {
            return Long.parseLong(told.substring(SENT_ON.length()));
        } catch (NumberFormatException forged) {
            return -1;
        }
    }

    private static boolean isId(byte[] key) {
        if (key.length == 0 || key.length > KEY_BYTES_MAX) {
            return false;
        }
        for (int i = 0; i < key.length; i++) {
            byte b = key[i];
            boolean known = b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9';
            if (!known && b != '_' && b != '-') {
                return false;
            }
        }
        return true;
    }

    public TypeInformation getProducedType() {
        return Types.ROW(
            new TypeInformation[] {
                Types.STRING, PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO
            });
    }
}
