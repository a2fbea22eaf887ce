"""The run database: every result in one SQLite file, and what it says over time."""

from edgegraph.store.store import STORE_VARIABLE, Run, Store, load_address, open_store

__all__ = ["STORE_VARIABLE", "Run", "Store", "load_address", "open_store"]
