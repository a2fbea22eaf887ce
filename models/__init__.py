"""The model zoo: each function returns a Workload that knows its own input."""
