"""This package hosts the services in one Flink job; it alone knows PyFlink."""
