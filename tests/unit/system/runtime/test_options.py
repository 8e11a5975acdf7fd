"""What a stack is started with."""

import pytest

from system.runtime.options import GATEWAY_OPTIONS, StackOptions


@pytest.mark.parametrize("option", [*GATEWAY_OPTIONS, "--timeout-s=60", "--time=60", "--topic"])
def test_what_the_stack_gives_its_gateways_is_no_option_of_theirs(option: str) -> None:
    """With another time than the saga's, checkouts would be undone that a gateway waits for."""
    name = option.partition("=")[0]
    with pytest.raises(ValueError, match=f"{name} is not for --gateway-option"):
        StackOptions(gateway_options=("--in-flight-max=100", option))


def test_other_options_are_the_gateways_own() -> None:
    options = ("--in-flight-max", "100", "--when-silent=refuse", "--host-name-max=--port")
    assert StackOptions(gateway_options=options).gateway_options == options
