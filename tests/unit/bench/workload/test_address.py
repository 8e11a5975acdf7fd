"""URLs of servers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.workload.address import Address, AddressError, in_target


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8000", ("127.0.0.1", 8000, "127.0.0.1:8000", "", False)),
        ("http://a.example/", ("a.example", 80, "a.example", "", False)),
        ("https://A.example/v1/", ("a.example", 443, "a.example", "/v1", True)),
        ("https://[::1]:8443/é b", ("::1", 8443, "[::1]:8443", "/%C3%A9%20b", True)),
        ("http://bücher.example:80", ("xn--bcher-kva.example", 80, "xn--bcher-kva.example:80", "",
                                      False)),
    ],
)  # fmt: skip
def test_an_address(url: str, address: tuple) -> None:
    assert Address.of(url) == address


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:99999", "port out of range"),
        ("http://127.0.0.1:0", "port 0"),
        ("http://127.0.0.1:x", "port could not be cast"),
        ("http://user:secret@127.0.0.1", "Authorization header"),
        ("http://user@127.0.0.1", "Authorization header"),
        ("ftp://127.0.0.1", "http://HOST:PORT or https://HOST:PORT"),
        ("127.0.0.1:8000", "http://HOST:PORT"),
        ("http://", "http://HOST:PORT"),
        ("http://a?b=c", "without"),
        ("http://a/#c", "without"),
        ("http://[::1", "invalid ipv6"),
        (f"http://{'é' * 70}.example", "no name of a host"),
        (f"http://{'e' * 70}.example", "no name of a host"),
        ("http://10.0.0..2:8080", "no name of a host"),
        ("http://.example", "no name of a host"),
        ("http://[fe80::1%eth0]:8000", "no address with a zone"),
    ],
)
def test_what_is_no_address(url: str, message: str) -> None:
    with pytest.raises(AddressError, match=message) as raised:
        Address.of(url)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for url in (text, f"http://{text}"):
        try:
            address = Address.of(url)
        except AddressError:
            continue
        assert address.host.isascii()
        address.host.encode("idna")  # as who looks it up does
        assert 0 < address.port < 2**16


@given(st.text())
def test_what_stands_in_a_target(text: str) -> None:
    found = in_target(text)
    assert found.isascii()
    assert found.isprintable()
    assert " " not in found
    assert in_target(found) == found
