"""What tests look at in a report's HTML: its tags, text and figures."""

from html.parser import HTMLParser
from typing import Any

import orjson

VOID = {"meta"}


class Report(HTMLParser):
    """Raises `AssertionError` for tags that do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        """All that is read, without scripts and styles."""
        self.headings: list[str] = []
        """Of the sections."""
        self.figures: list[dict[str, Any]] = []
        self.styles: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "h2":
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside == "script":
            self._script(data)
        elif inside == "style":
            self.styles.append(data)
        else:
            self.text += data
            if inside == "h2":
                self.headings[-1] += data

    def _script(self, content: str) -> None:
        kind = self.tags[-1][1].get("type")
        if kind == "application/json":
            value = orjson.loads(content)
            if "data" in value:
                self.figures.append(value)

    def attributes(self, name: str) -> list[str | None]:
        return [attrs[name] for _, attrs in self.tags if name in attrs]
