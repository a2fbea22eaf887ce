"""The run database: every result in one SQLite file, and what it says over time."""

from edgegraph.store.history import Run
from edgegraph.store.store import Store, load_address, open_store

__all__ = ["Run", "Store", "load_address", "open_store"]
