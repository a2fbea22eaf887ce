"""For tests and doctests alike: nothing is read from or written to the user's own folders."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

# Compilers for other platforms, where they are installed, are not for running on.
os.environ.setdefault("JAX_PLATFORMS", "cpu")


@pytest.fixture(scope="session", autouse=True)
def _own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep calibrations, turns and results of this machine out of the tests, and these off them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        patch.delenv("EDGEGRAPH_STORE", raising=False)
        yield
