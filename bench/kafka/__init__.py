"""The bench speaks to Kafka's topics here: a record and its reply, without HTTP."""
