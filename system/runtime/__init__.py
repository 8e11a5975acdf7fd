"""Brings up the reference system on loopback: Kafka, Flink, the job and the gateway."""
