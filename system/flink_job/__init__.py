"""Hosts the services in one Flink job: the only package that knows PyFlink."""
