"""The services are pure functions of (state, request), hosted by one Flink job (`flink_job/`)."""
