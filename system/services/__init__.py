"""The services: pure functions of (state, request), hosted by one Flink job (`job.py`)."""
