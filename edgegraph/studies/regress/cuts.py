"""Parts of a traced function as scripts; a version cuts its own, in its own process.

So nothing here needs more than jax, and the modules of EdgeGraph that need no more either.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgegraph.measure.groups import LayerGroup, cut
from edgegraph.measure.regions import find_regions, variables
from edgegraph.studies.regress.script import Script, write_script

MOST_CUTS = 40
"""Parts that a version hands over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A part that may show it: a layer as a whole, or one equation of it."""

    layer: str
    whole: bool
    script: Script

    @property
    def what(self) -> str:
        """Name its operations."""
        return ", ".join(self.script.operations)


def candidates(jaxpr: Any, layers: Sequence[str], ops: str) -> Iterator[Candidate]:
    """Yield parts of a traced function: single equations of the layers, then the layers.

    Args:
        jaxpr: The traced function.
        layers: Where it became slower, the worst first; all layers where none is named.
        ops: Text in which the opcodes stand that changed; equations of those come first.
    """
    groups = cut(find_regions(jaxpr))
    chosen = [each for layer in layers for each in groups if _in(each, layer)]
    chosen = chosen or list(groups)
    single = [(each, equation) for each in chosen for equation in each.jaxpr.eqns]
    single.sort(key=lambda each: (not _named(each[1], ops), -_work(each[1])))
    seen: set[Script] = set()
    for group, equation in single:
        inputs = list(dict.fromkeys(variables(equation.invars)))
        made = write_script([equation], inputs, equation.outvars) if _work(equation) else None
        if made is not None and made not in seen:
            seen.add(made)
            yield Candidate(layer=group.layer or "", whole=False, script=made)
    for group in chosen:
        made = write_script(group.jaxpr.eqns, group.inputs, group.outputs)
        if made is not None:
            yield Candidate(layer=group.layer or "", whole=True, script=made)


def _in(group: LayerGroup, layer: str) -> bool:
    return f"{group.layer}/".startswith(f"{layer}/")


def _named(equation: Any, ops: str) -> bool:
    """Return whether XLA's opcode for a primitive stands in a text, or begins like it."""
    stem = equation.primitive.name.partition("_")[0]
    return bool(re.search(rf"\b{re.escape(stem)}", ops))


def _work(equation: Any) -> float:
    """Return about how much an equation has to do; 0 for what only renames or reshapes."""
    name = equation.primitive.name
    if name in ("reshape", "squeeze", "broadcast_in_dim", "convert_element_type"):
        return 0.0
    atoms = [*variables(equation.invars), *equation.outvars]
    sizes = [float(np.prod(each.aval.shape, dtype=np.float64)) for each in atoms]
    if name in ("dot_general", "conv_general_dilated"):
        # Twice the square root of both operands and the result is a matrix product's FLOPs.
        return 2.0 * math.sqrt(math.prod(sizes))
    return sum(sizes)


def cut_scripts(jaxpr: Any, layers: Sequence[str], ops: str) -> list[dict[str, Any]]:
    """Return the first parts of a traced function as JSON, and every layer as a whole."""
    found = list(candidates(jaxpr, layers, ops))
    single = [each for each in found if not each.whole][:MOST_CUTS]
    return [asdict(each) for each in (*single, *(each for each in found if each.whole))]
