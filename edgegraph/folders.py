"""Where EdgeGraph keeps what it may make again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

CACHE_FOLDER_VARIABLE = "EDGEGRAPH_CACHE_DIR"


def cache_folder() -> Path:
    """Return the user's cache folder, or the one that ``EDGEGRAPH_CACHE_DIR`` names.

    It need not exist.
    """
    return Path(os.environ.get(CACHE_FOLDER_VARIABLE) or platformdirs.user_cache_dir("edgegraph"))
