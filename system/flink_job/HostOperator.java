package kaflinkshop;

import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.flink.api.common.operators.MailboxExecutor;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.metrics.Counter;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.streaming.api.operators.InternalTimer;
import org.apache.flink.streaming.api.operators.InternalTimerService;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.operators.Triggerable;
import org.apache.flink.streaming.api.operators.python.embedded.AbstractEmbeddedPythonFunctionOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.types.Row;
import org.apache.flink.util.ExceptionUtils;
import org.apache.flink.util.function.ThrowingRunnable;

/**
 * Gives the services the records and timers that are there, all in one call, and does what they
 * answer: see system/flink_job/batches.py.
 *
 * A batch ends when nothing is there to be read, when it is full, and before a checkpoint; Flink's
 * own operators for Python have it end once a second too, which changes nothing. It never waits for
 * more. Each call into Python takes the interpreter lock, as PyFlink's own do several times a record.
 */
public class HostOperator extends AbstractEmbeddedPythonFunctionOperator
        implements OneInputStreamOperator, Triggerable, ThrowingRunnable {

    private static final String FLUSH = "flush";
    /** No topic's length, which other frames begin with. */
    private static final byte TIMER = 0;

    private final String configured;
    private final int recordsMax;
    private final int bytesMax;

    private transient ValueState value;
    private transient MapState map;
    private transient InternalTimerService timers;
    private transient Counter deadLetters;
    private transient MailboxExecutor mailbox;
    private transient Batch batch;
    /** How many records and timers have come, and how many had when `run` last looked. */
    private transient long came;
    private transient long seen;
    private transient boolean isMailed;
    private transient Object python;
    private transient Method call;

    public HostOperator(Configuration python, String configured, int recordsMax, int bytesMax) {
        super(python);
        this.configured = configured;
        this.recordsMax = recordsMax;
        this.bytesMax = bytesMax;
    }

    public void open() throws Exception {
        TypeInformation bytes = PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO;
        value = getRuntimeContext().getState(new ValueStateDescriptor("entity", bytes));
        map = getRuntimeContext().getMapState(new MapStateDescriptor("memory", Types.STRING, bytes));
        timers = getInternalTimerService("timers", VoidNamespaceSerializer.INSTANCE, this);
        deadLetters = getRuntimeContext().getMetricGroup().counter("dead_letters");
        mailbox =
            getContainingTask()
                .getMailboxExecutorFactory()
                .createExecutor(getOperatorConfig().getChainIndex());
        batch = new Batch(recordsMax, bytesMax);
        super.open();
    }

    /**
     * Flink has made the interpreter. Its class is reached by reflection: a job has a loader of its
     * own, which where Flink's Python is among a job's jars finds another class of that name.
     */
    public void openPythonInterpreter() {
        try {
            Field field = AbstractEmbeddedPythonFunctionOperator.class.getDeclaredField("interpreter");
            field.setAccessible(true);
            python = field.get(this);
            Class type = python.getClass();
            Method set = type.getMethod("set", new Class[] {String.class, Object.class});
            Method exec = type.getMethod("exec", new Class[] {String.class});
            set.invoke(python, new Object[] {"configured", configured});
            set.invoke(python, new Object[] {"operator", this});
            exec.invoke(python, new Object[] {"from system.flink_job.batches import batches"});
            exec.invoke(python, new Object[] {"batches = batches(configured, operator)"});
            Class[] named = new Class[] {String.class, String.class, Object[].class};
            call = type.getMethod("invokeMethod", named);
        } catch (InvocationTargetException failed) {
            throw new IllegalStateException(failed.getCause());
        } catch (ReflectiveOperationException other) {
            throw new IllegalStateException("Flink's Python is of another version", other);
        }
    }

    /** Python lets go of what it has of this task: its collector may not come for long. */
    public void close() throws Exception {
        try {
            if (call != null) {
                ask("end", new Object[0]);
            }
        } finally {
            super.close();
        }
    }

    public void processElement(StreamRecord element) throws Exception {
        add(getCurrentKey(), (byte[]) ((Row) element.getValue()).getField(1));
    }

    public void onProcessingTime(InternalTimer timer) throws Exception {
        Row key = (Row) timer.getKey();
        byte[] name = ((String) key.getField(0)).getBytes(StandardCharsets.US_ASCII);
        ByteBuffer frame = ByteBuffer.allocate(1 + 8 + name.length);
        frame.put(TIMER);
        frame.putLong(timer.getTimestamp());
        frame.put(name);
        add(key, frame.array());
    }

    public void onEventTime(InternalTimer timer) {
        throw new IllegalStateException("no timer goes by the time of events");
    }

    private void add(Object key, byte[] frame) throws Exception {
        batch.add(key, frame);
        came++;
        if (batch.isFull()) {
            flush();
        } else if (!isMailed) {
            isMailed = true;
            mailbox.execute(this, FLUSH);
        }
    }

    /** Comes again while records come in between: the task reads one after each mail, if it can. */
    public void run() throws Exception {
        isMailed = !batch.isEmpty() && seen != came;
        seen = came;
        if (isMailed) {
            mailbox.execute(this, FLUSH);
        } else {
            flush();
        }
    }

    /** Flink calls it before a checkpoint and at the end. */
    protected void invokeFinishBundle() throws Exception {
        flush();
    }

    private void flush() throws Exception {
        if (!batch.isEmpty()) {
            apply(ask("take", new Object[] {batch.toBytes()}));
            batch.clear();
        }
    }

    private byte[] ask(String method, Object[] arguments) throws Exception {
        try {
            return (byte[]) call.invoke(python, new Object[] {"batches", method, arguments});
        } catch (InvocationTargetException failed) {
            ExceptionUtils.rethrowException(failed.getCause());
            throw failed;
        }
    }

    /** For Python. */
    public byte[] read(byte[] done, int number) throws Exception {
        apply(done);
        setCurrentKey(batch.key(number));
        return (byte[]) value.value();
    }

    /** For Python. */
    public byte[] get(byte[] done, int number, String name) throws Exception {
        apply(done);
        setCurrentKey(batch.key(number));
        return (byte[]) map.get(name);
    }

    private void apply(byte[] done) throws Exception {
        ByteBuffer in = ByteBuffer.wrap(done);
        while (in.hasRemaining()) {
            switch (in.get()) {
                case 0:
                    setCurrentKey(batch.key(in.getInt()));
                    break;
                case 1:
                    int length = in.getInt();
                    if (length < 0) {
                        value.clear();
                    } else {
                        value.update(bytes(in, length));
                    }
                    break;
                case 2:
                    int nameLength = in.getInt();
                    int valueLength = in.getInt();
                    String name = text(in, nameLength);
                    map.put(name, bytes(in, valueLength));
                    break;
                case 3:
                    map.remove(text(in, in.getInt()));
                    break;
                case 4:
                    timers.registerProcessingTimeTimer(VoidNamespace.INSTANCE, in.getLong());
                    break;
                case 5:
                    output.collect(new StreamRecord(bytes(in, in.getInt())));
                    break;
                case 6:
                    deadLetters.inc();
                    break;
                default:
                    throw new IllegalStateException("batches.py is of another version");
            }
        }
    }

    private static byte[] bytes(ByteBuffer in, int length) {
        byte[] found = new byte[length];
        in.get(found);
        return found;
    }

    private static String text(ByteBuffer in, int length) {
        return new String(bytes(in, length), StandardCharsets.UTF_8);
    }
}
