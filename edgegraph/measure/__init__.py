"""What a program takes in fact: clock, statistics, latency, isolated layers."""
