"""The list of the zoo."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import models
from models.published import NETWORKS

FOLDER = Path(models.__file__).parent
NOT_NETWORKS = {"blocks"}


def test_listing_the_zoo_imports_no_jax() -> None:
    code = "import sys, models; models.catalogue(); assert not {'jax', 'flax'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=FOLDER.parent)


def test_a_row_has_what_the_command_shows() -> None:
    rows = json.loads(json.dumps(models.catalogue()))
    assert len(rows) == len(NETWORKS)
    (resnet,) = (row for row in rows if row["name"] == "models.resnet:resnet50")
    assert resnet == {
        "name": "models.resnet:resnet50",
        "params": 25_557_032,
        "macs": 4_089_184_256,
        "input": [224, 224, 3],
        "source": "torchvision ResNet50_Weights: 25,557,032, 4.089G",
    }


def test_every_network_is_listed() -> None:
    written = {
        f"models.{path.stem}:{node.name}"
        for path in FOLDER.glob("*.py")
        if path.stem not in NOT_NETWORKS
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef)
        and node.returns is not None
        and ast.unparse(node.returns) == "eg.Workload"
        and not node.name.startswith("_")
        and not node.name.endswith("_train")
    }
    assert written == {network.spec for network in NETWORKS}
