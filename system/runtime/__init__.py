"""This package brings up Kafka, Flink, the job and the gateway on loopback.

Kafka, Flink, the job and the gateway.
"""
