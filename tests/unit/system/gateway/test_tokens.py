import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.gateway.errors import StartError
from system.gateway.tokens import Tokens

BOTH = Tokens.read({"KAFLINKSHOP_TOKEN": "shop", "KAFLINKSHOP_METRICS_TOKEN": "metrics"})


def test_without_tokens_anybody_may():
    tokens = Tokens.read({})
    assert tokens == Tokens()
    assert tokens.allow_shop(None)
    assert tokens.allow_metrics(None)


def test_who_may_do_what():
    assert [BOTH.allow_shop(f"Bearer {token}") for token in ("shop", "metrics", "x")] == [
        True,
        True,
        False,
    ]
    assert [BOTH.allow_metrics(f"Bearer {token}") for token in ("shop", "metrics", "x")] == [
        False,
        True,
        False,
    ]


def test_one_token_guards_only_its_own():
    shop = Tokens.read({"KAFLINKSHOP_TOKEN": "shop"})
    assert not shop.allow_shop(None)
    assert shop.allow_metrics(None)
    metrics = Tokens.read({"KAFLINKSHOP_METRICS_TOKEN": "metrics"})
    assert metrics.allow_shop(None)
    assert not metrics.allow_metrics(None)


@pytest.mark.parametrize("given", ["bearer shop", "BEARER shop", "Bearer  shop ", "Bearer shop"])
def test_the_scheme_counts_in_any_case(given):
    assert BOTH.allow_shop(given)


@given(st.text(max_size=40))
def test_nothing_else_is_a_token(text):
    for value in (text, f"Bearer {text}"):
        scheme, _, token = value.partition(" ")
        right = scheme.lower() == "bearer" and token.strip() in ("shop", "metrics")
        assert BOTH.allow_shop(value) == right


@pytest.mark.parametrize("token", ["two words", "é", "a\nb", "=", "a,b"])
def test_a_token_that_no_header_could_carry(token):
    with pytest.raises(StartError, match="KAFLINKSHOP_TOKEN is no token") as cause:
        Tokens.read({"KAFLINKSHOP_TOKEN": token})
    assert f"{token}:" not in str(cause.value)


@pytest.mark.parametrize("variable", ["KAFLINKSHOP_TOKEN", "KAFLINKSHOP_METRICS_TOKEN_FILE"])
def test_a_token_that_was_named_and_is_empty(variable):
    """As of a command that failed: the gateway was open, and nobody was told."""
    with pytest.raises(StartError, match=f"{variable} is set, and empty"):
        Tokens.read({variable: ""})


def test_a_token_from_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StartError, match="KAFLINKSHOP_TOKEN_FILE can't be read"):
        Tokens.read({"KAFLINKSHOP_TOKEN_FILE": str(tmp_path / "none")})
