"""A stack waits for so long at most."""

STEP_TIMEOUT_S = 120.0
"""Each step of a start takes at most this long. It only ends what hangs: a process that dies is
noticed at once, and a crowded machine takes a minute for what an idle one does in seconds."""

REACH_TIMEOUT_S = 15.0
"""An existing cluster answers within this time, or the start ends."""

PROBE_TIMEOUT_S = 6.0
"""One request takes at most this long while coming up: longer than a gateway's usual timeout."""
MEND_PROBE_TIMEOUT_S = 1.0
"""One request takes at most this long while something is mended: what dies meanwhile is noticed
that much later."""

DRAIN_TIMEOUT_S = 75.0
"""The gateway answers what it has accepted, at most this long: it ends by itself as soon as it has,
and waits for replies for a minute at most (`TIMEOUT_S_MAX`)."""

STOP_TIMEOUT_S = 10.0
"""Kafka and Flink end within this time after SIGTERM, or are killed."""
RECORD_TIMEOUT_S = 60.0
"""Ending the first stack takes at most this long: its Java processes record the classes that they
had loaded."""
