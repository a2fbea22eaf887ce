"""Sites that can be rewritten, and the registry of rewrite rules."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import jax
import numpy as np
from jax.extend import core

from edgegraph.errors import InputError

Exactness = Literal["exact", "reassociating", "lower precision"]
"""How a form's results differ: not at all, by the order of summation, or by a narrower dtype."""

LOWER = "lower precision"
PERMISSIONS = ("bf16", "int8", "fast-math")
"""What forms of lower precision may do where it is allowed: use a narrower dtype, or functions that
are off by more than a few units in the last place."""

Form = Callable[..., Any]
"""Computes a site's results from its operands; one array, or a tuple where there are several."""

_MODULES = (
    "convolution",
    "reshaped",
    "narrow",
    "pooling",
    "products",
    "powers",
    "remainders",
    "scans",
    "selection",
    "resizing",
    "linear",
)
"""The modules of this package that hold rules."""

_NO_DIFFERENCE = frozenset({"sharding", "out_sharding"})
"""Parameters that say where a result is placed, not what it is."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """One equation of a traced program, or two where the second reads a result of the first.

    Attributes:
        primitive: What is computed, as JAX binds it.
        params: The parameters of the equation.
        operands: Shape and dtype of each operand.
        results: Shape and dtype of each result.
        literals: For each operand its value where the program states it, else None.
        first: The equation that computes the first operand, where both are one site; its operands
            take the place of that one.
        taken: Which result of `first` it is.
    """

    primitive: core.Primitive
    params: Mapping[str, Any]
    operands: tuple[jax.ShapeDtypeStruct, ...]
    results: tuple[jax.ShapeDtypeStruct, ...]
    literals: tuple[Any, ...] = ()
    first: Site | None = None
    taken: int = 0

    @property
    def name(self) -> str:
        """Name of the primitive; of two, as ``sort>slice``."""
        return f"{self.first.name}>{self.primitive.name}" if self.first else self.primitive.name

    @cached_property
    def signature(self) -> str:
        """A key that is the same for sites that compute the same, in every process."""
        literals = self.literals or (None,) * len(self.operands)
        arrays = ",".join(map(_short, self.operands, literals))
        params = _words(self.params)
        if self.first:
            params = f"{_words(self.first.params)}][{self.taken}][{params}"
        return f"{self.name}({arrays})[{params}]"

    @property
    def elements(self) -> int:
        """How many numbers it reads and writes."""
        return sum(math.prod(each.shape) for each in (*self.operands, *self.results))

    @property
    def work(self) -> float:
        """A rough amount of work: sites with the most of it are tried first."""
        result = math.prod(self.results[0].shape) if self.results else 0
        if self.primitive.name == "conv_general_dilated":
            made = self.operands[1].shape[self.params["dimension_numbers"].rhs_spec[0]]
            return float(result * math.prod(self.operands[1].shape) / max(made, 1))
        if self.primitive.name == "dot_general":
            (contracted, _), _ = self.params["dimension_numbers"]
            return float(result * math.prod(self.operands[0].shape[d] for d in contracted))
        return float(self.elements)

    @property
    def default_precision(self) -> bool:
        """Whether the product asks for no more precision than its dtype has."""
        asked = self.params["precision"]
        each = asked if isinstance(asked, tuple) else (asked,)
        return all(one in (None, jax.lax.Precision.DEFAULT) for one in each)

    def plain(self, *operands: Any) -> Any:
        """Compute it as the program does, with the literals of the program."""
        literals = self.literals or (None,) * len(operands)
        operands = tuple(
            given if literal is None else literal
            for given, literal in zip(operands, literals, strict=True)
        )
        if self.first:
            count = len(self.first.operands)
            made = self.first.plain(*operands[:count])
            made = made[self.taken] if self.first.primitive.multiple_results else made
            operands = (made, *operands[count:])
        bound = self.primitive.get_bind_params(dict(self.params))
        functions, params = bound if isinstance(bound, tuple) else ((), bound)
        return self.primitive.bind(*functions, *operands, **params)


Maker = Callable[[Site], Form | None]
"""Returns a site's form, or None where a rule does not apply."""


def site_of(equation: core.JaxprEqn) -> Site:
    """Return an equation without its variables."""
    return Site(
        primitive=equation.primitive,
        params=equation.params,
        operands=tuple(_struct(each.aval) for each in equation.invars),
        results=tuple(_struct(each.aval) for each in equation.outvars),
        literals=tuple(map(_literal, equation.invars)),
    )


def joined(first: core.JaxprEqn, second: core.JaxprEqn) -> Site:
    """Return two equations as one site; the second takes a result of the first."""
    one, other = site_of(first), site_of(second)
    return replace(
        other,
        operands=one.operands + other.operands[1:],
        literals=one.literals + other.literals[1:],
        first=one,
        taken=next(n for n, made in enumerate(first.outvars) if made is second.invars[0]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One equivalent form.

    Attributes:
        name: How decisions and tables name it.
        title: What becomes what, in a few words: ``depthwise conv -> shifted products``.
        primitive: Name of the primitive that it replaces; of two, as ``sort>slice``.
        exactness: How its results differ from the plain ones.
        special: What it does to NaN, infinities, ties and signed zeros.
        source: Where the formula comes from.
        make: Returns the form for a site, or None where the rule does not apply.
        needs: The permission that a form of lower precision needs, one of `PERMISSIONS`.
    """

    name: str
    title: str
    primitive: str
    exactness: Exactness
    special: str
    source: str
    make: Maker
    needs: str | None = None


_registered: dict[str, Rule] = {}


def register_rewrite(
    name: str,
    *,
    primitive: str,
    title: str,
    exactness: Exactness,
    special: str,
    source: str,
    needs: str | None = None,
) -> Callable[[Maker], Maker]:
    """Register a rule, by decorating the function that makes its forms.

    Args:
        name: A name that no other rule has.
        primitive: Name of the JAX primitive whose equations it looks at, or ``first>second``
            for an equation together with the one that makes its first operand.
        title: What becomes what, in a few words.
        exactness: ``exact``, ``reassociating`` or ``lower precision``.
        special: What the form does to NaN, infinities, ties and signed zeros.
        source: Where the formula comes from.
        needs: The permission that a form of lower precision needs: ``bf16``, ``int8`` or
            ``fast-math``.

    Returns:
        A decorator for a function from a `Site` to a form, or to None where it does not apply.

    Raises:
        InputError: There is a rule of that name, or one of lower precision names no permission.

    Example:
        >>> @register_rewrite(
        ...     "square-as-product", primitive="integer_pow", title="x ** 2 -> x * x",
        ...     exactness="exact", special="as the plain form", source="definition",
        ... )
        ... def square_as_product(site):
        ...     return (lambda x: x * x) if site.params["y"] == 2 else None
        >>> "square-as-product" in rules()
        True
        >>> unregister_rewrite("square-as-product")
    """
    if (needs in PERMISSIONS) != (exactness == LOWER):
        raise InputError(
            f"the rewrite {name!r} is {exactness} and needs {needs!r}; one of lower precision, and"
            f" no other, needs one of {', '.join(PERMISSIONS)}"
        )

    def refuse(known: Mapping[str, Rule]) -> None:
        if name in known:
            raise InputError(f"a rewrite {name!r} is already registered; choose another name")

    refuse(_registered)

    def register(make: Maker) -> Maker:
        # The rules of this package are being loaded while they register.
        if not make.__module__.startswith(f"{__package__}."):
            refuse(rules())
        _registered[name] = Rule(
            name=name, title=title, primitive=primitive, exactness=exactness, special=special,
            source=source, make=make, needs=needs,
        )  # fmt: skip
        return make

    return register


def unregister_rewrite(name: str) -> None:
    """Remove a rule."""
    del _registered[name]


def rules() -> Mapping[str, Rule]:
    """Return all rules by name, the built-in ones first."""
    if not _loading:
        _loading.append(True)
        for module in _MODULES:
            importlib.import_module(f"{__package__}.{module}")
    return _registered


_loading: list[bool] = []


def joins() -> frozenset[str]:
    """Return the pairs of primitives that some rule replaces together."""
    return frozenset(rule.primitive for rule in rules().values() if ">" in rule.primitive)


def forms(site: Site, allow: Collection[str] = PERMISSIONS) -> Iterator[tuple[Rule, Form]]:
    """Yield every rule that applies to a site, with its form.

    Args:
        site: What is to be replaced.
        allow: Permissions; rules that need another are left out.
    """
    for rule in tuple(rules().values()):
        if rule.primitive != site.name or (rule.needs and rule.needs not in allow):
            continue
        if (form := rule.make(site)) is not None:
            yield rule, form


def form_named(site: Site, name: str) -> Form:
    """Return the form of one rule for a site.

    Raises:
        InputError: There is no such rule, or it does not apply here.
    """
    rule = rules().get(name)
    form = rule.make(site) if rule is not None and rule.primitive == site.name else None
    if form is None:
        known = ", ".join(sorted(rules()))
        raise InputError(
            f"the rewrite {name!r} does not apply to {site.signature[:120]}; known are {known}"
        )
    return form


def derived_as(plain: Form, form: Form) -> Form:
    """Return a form whose derivative is that of the plain one.

    For forms without a derivative, or with another one at kinks: XLA's rule for ties is kept.
    """
    again: Form = jax.custom_jvp(form)

    def derivative(primals: Any, tangents: Any) -> Any:
        return form(*primals), jax.jvp(plain, primals, tangents)[1]

    again.defjvp(derivative)  # type: ignore[attr-defined]
    return again


def _struct(aval: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(getattr(aval, "shape", ()), getattr(aval, "dtype", jax.float0))


def _words(params: Mapping[str, Any]) -> str:
    return ",".join(
        f"{name}={value}" for name, value in sorted(params.items()) if name not in _NO_DIFFERENCE
    )


def _literal(atom: Any) -> Any:
    return atom.val if isinstance(atom, core.Literal) and not np.shape(atom.val) else None


def _short(struct: jax.ShapeDtypeStruct, literal: Any) -> str:
    value = "" if literal is None else f"={literal}"
    return f"{struct.dtype}[{','.join(map(str, struct.shape))}]{value}"
