"""Latency and throughput over the batch size."""
