package kaflinkshop;

import java.nio.charset.StandardCharsets;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.types.Row;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/**
 * A Kafka record as a row of key and value, which PyFlink's keyed streams are made of. The value
 * begins with the key and a line end, as a Python function would have to ask Java for it. The
 * compiler, Janino, knows no generics.
 */
public class KeyedRecord implements KafkaRecordDeserializationSchema {

    /** As in the contract: 1 to 64 of [A-Za-z0-9_-]. Any other key names no entity. */
    static final int KEY_BYTES_MAX = 64;

    public void deserialize(ConsumerRecord record, Collector out) {
        byte[] key = (byte[]) record.key();
        byte[] value = (byte[]) record.value();
        if (value == null) {
            value = new byte[0];
        }
        if (key == null || !isId(key)) {
            key = new byte[0];
        }
        byte[] line = new byte[key.length + 1 + value.length];
        System.arraycopy(key, 0, line, 0, key.length);
        line[key.length] = '\n';
        System.arraycopy(value, 0, line, key.length + 1, value.length);
        out.collect(Row.of(new Object[] {new String(key, StandardCharsets.US_ASCII), line}));
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
