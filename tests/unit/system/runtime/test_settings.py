"""Settings as Kafka and Flink read them, wherever the folders of a stack are."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from system.runtime.settings import file_uri, render_properties


def test_flink_s_paths_take_no_escapes() -> None:
    assert file_uri(Path("/srv/my shop é%20")) == "file:///srv/my shop é%20"


@given(st.text(st.characters(exclude_characters="\\\r\n", exclude_categories=["Cs"])))
def test_properties_are_read_as_they_were(value: str) -> None:
    """As `java.util.Properties` does it: ISO 8859-1, and an escape for each unit of UTF-16."""
    line = render_properties({"log.dirs": value})
    assert line.isascii()
    found = line.removeprefix("log.dirs=").removesuffix("\n")
    assert (
        found.encode().decode("unicode_escape").encode("utf-16", "surrogatepass").decode("utf-16")
        == value
    )
