from hypothesis import given
from hypothesis import strategies as st

from system import request_id as ids
from system.wire import ID_PATTERN, born_ms

PARAMS = st.dictionaries(
    st.from_regex(r"[a-z_]{1,9}", fullmatch=True),
    st.one_of(st.from_regex(ID_PATTERN, fullmatch=True), st.integers(0, 2**53 - 1)),
    max_size=3,
)
REQUESTS = st.tuples(st.sampled_from(["user", "order"]), st.sampled_from(["find", "add"]), PARAMS)


@given(REQUESTS, REQUESTS)
def test_an_id_certifies_its_own_request_only(one, other):
    request_id = ids.Mint()(ids.fingerprint(*one))
    assert ID_PATTERN.fullmatch(request_id)
    assert ids.is_minted(request_id)
    assert ids.certifies(request_id, ids.fingerprint(*one))
    same = one[:2] == other[:2] and list(one[2].items()) == list(other[2].items())
    assert ids.certifies(request_id, ids.fingerprint(*other)) == same


def test_ids_differ_across_batches_of_randomness():
    mint = ids.Mint()
    assert len({mint("f" * 16) for _ in range(1000)}) == 1000


@given(st.integers(0, 2**28 - 1), st.floats(0, 59.9))
def test_an_id_tells_the_minute_in_which_it_was_made(minute, second):
    request_id = ids.Mint(lambda: minute * 60 + second)("f" * 16)
    assert ids.is_minted(request_id)
    assert born_ms(request_id) == minute * 60_000


def test_a_clients_own_id_tells_no_minute():
    for request_id in ("my-key", f"kf_{'r' * 16}_{'f' * 16}", f"kf_000000g_{'r' * 16}_{'f' * 16}"):
        assert born_ms(request_id) is None


def test_an_entity_id_follows_from_service_and_request():
    assert ids.entity_id("user", "r1") == ids.entity_id("user", "r1")
    assert len({ids.entity_id(s, r) for s in ("user", "order") for r in ("r1", "r2")}) == 4
    assert ID_PATTERN.fullmatch(ids.entity_id("user", "r1"))


@given(st.text(max_size=40))
def test_other_forms_are_the_clients_own(text):
    assert not ids.is_minted("x" + text)


def test_a_trailing_newline_is_not_our_form():
    assert not ids.is_minted(ids.Mint()("f" * 16) + "\n")
