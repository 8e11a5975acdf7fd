"""The processes that send, and record every latency."""
