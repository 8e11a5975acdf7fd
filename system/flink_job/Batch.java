package kaflinkshop;

import java.nio.ByteBuffer;
import java.util.ArrayList;

/** Records and timers that go through Python in one call, with the keys of their state. */
public class Batch {

    private final int recordsMax;
    private final int bytesMax;
    private final ArrayList keys = new ArrayList();
    private final ArrayList frames = new ArrayList();
    private int bytes = 0;

    /** It is full with so many records, or when their frames have so many bytes together. */
    public Batch(int recordsMax, int bytesMax) {
        this.recordsMax = recordsMax;
        this.bytesMax = bytesMax;
    }

    public void add(Object key, byte[] frame) {
        keys.add(key);
        frames.add(frame);
        bytes += frame.length;
    }

    public boolean isFull() {
        return frames.size() >= recordsMax || bytes >= bytesMax;
    }

    public boolean isEmpty() {
        return frames.isEmpty();
    }

    public Object key(int number) {
        return keys.get(number);
    }

    /** As system/flink_job/batches.py reads it. */
    public byte[] toBytes() {
        ByteBuffer all = ByteBuffer.allocate(4 * frames.size() + bytes);
        for (int i = 0; i < frames.size(); i++) {
            byte[] frame = (byte[]) frames.get(i);
            all.putInt(frame.length);
            all.put(frame);
        }
        return all.array();
    }

    public void clear() {
        keys.clear();
        frames.clear();
        bytes = 0;
    }
}
