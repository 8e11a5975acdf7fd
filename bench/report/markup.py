"""HTML is made by construction: text is escaped, unless it has been made markup."""

from collections.abc import Iterable
from html import escape
from typing import Any, TypeAlias

import orjson

VOID = frozenset({"meta"})
"""These elements have no content."""


class Html(str):
    """An `Html` is markup."""


Content: TypeAlias = "str | Iterable[Content] | None"


def tag(name: str, /, *content: Content, **attributes: str | float | bool | None) -> Html:
    """`tag` returns an element. `class_` is the attribute class, `aria_label` is aria-label.

    An attribute that is True has no value; one that is None or False is left out.
    """
    parts = [name]
    for key, value in attributes.items():
        word = key.rstrip("_").replace("_", "-")
        if value is True:
            parts.append(word)
        elif value is not None and value is not False:
            parts.append(f'{word}="{escape(str(value))}"')
    opened = f"<{' '.join(parts)}>"
    return Html(opened if name in VOID else f"{opened}{markup(content)}</{name}>")


def markup(content: Content) -> Html:
    """`markup` joins parts; plain strings are escaped."""
    if content is None:
        return Html()
    if isinstance(content, str):
        return content if isinstance(content, Html) else Html(escape(content))
    return Html("".join(map(markup, content)))


def data(value: Any, **attributes: str) -> Html:
    """`data` returns a value for scripts. In JSON `<` is in strings only, so that nothing in it
    ends the tag."""
    text = orjson.dumps(value).decode().replace("<", "\\u003c")
    return tag("script", Html(text), type="application/json", **attributes)
