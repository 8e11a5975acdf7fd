"""The generators are processes that send, and record every latency."""
