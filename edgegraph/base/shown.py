"""How a name is shown, whoever chose it."""

from __future__ import annotations


def shown(name: str, *, keep: str = "") -> str:
    r"""Return a name, or a text that has names in it, with what cannot be seen written out.

    Control characters move a terminal's cursor, direction marks turn the order of letters around,
    XML has no place for some, and lone surrogates cannot be written at all. Those to `keep` are a
    text's own, such as the ends of its lines.

    Example:
        >>> shown("step\x1b[0m"), shown("a\u202eb"), shown("größe 層")
        ('step\\x1b[0m', 'a\\u202eb', 'größe 層')
    """
    if name.isprintable():
        return name
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode()
        for each in name
    )
