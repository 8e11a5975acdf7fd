package kaflinkshop;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.types.Row;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/**
 * A Kafka record as a row of state key and frame, which PyFlink's keyed streams are made of. The
 * frame is what a Python function would have to ask Java for, as system/flink_job/frames.py reads
 * it. The compiler, Janino, knows no generics.
 */
public class InputRecord implements KafkaRecordDeserializationSchema {

    /** As in the contract: 1 to 64 of [A-Za-z0-9_-]. Any other key names no entity. */
    static final int KEY_BYTES_MAX = 64;

    static final int HEAD_BYTES = 1 + 4 + 8 + 4;

    private final int prefixLength;

    /** The prefix is how all topics of the system begin; behind this, none has it. */
    public InputRecord(String topicPrefix) {
        prefixLength = topicPrefix.length();
    }

    public void deserialize(ConsumerRecord record, Collector out) {
        String topic = record.topic().substring(prefixLength);
        byte[] key = (byte[]) record.key();
        byte[] value = (byte[]) record.value();
        int keyBytes = key == null ? 0 : key.length;
        int valueBytes = value == null ? 0 : value.length;
        ByteBuffer frame = ByteBuffer.allocate(HEAD_BYTES + topic.length() + keyBytes + valueBytes);
        frame.put((byte) topic.length());
        frame.putInt(record.partition());
        frame.putLong(record.timestamp());
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
