"""The reference system is an HTTP gateway in front of PyFlink services, joined by Kafka topics."""

__version__ = "0.1.0"
