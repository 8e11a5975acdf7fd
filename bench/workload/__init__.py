"""The workload is what is sent, and when."""
