import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.router import Router, integer
from system.routes import OWN_ROUTES, ROUTES, Route
from system.wire import AMOUNT_MAX, ID_PATTERN, RefusedError

ROUTER = Router(ROUTES)
IDS = st.from_regex(ID_PATTERN, fullmatch=True)


def code(verb: str, target: str) -> str:
    with pytest.raises(RefusedError) as refused:
        ROUTER.match(verb, target)
    return refused.value.code


@given(st.sampled_from(ROUTES), IDS, st.integers(1, AMOUNT_MAX))
def test_each_route_is_found_with_its_parameters(route, id_, amount):
    values = {"amount": amount}
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    path = route.path
    for name in names:
        path = path.replace("{" + name + "}", str(values.setdefault(name, id_)))
    found, params = ROUTER.match(route.verb, path)
    assert found is route
    defaults = {name: kind.default for name, kind in route.query.items()}
    assert params == {name: values[name] for name in names} | defaults


@given(st.text(max_size=30), st.text(max_size=60))
def test_any_target_is_a_route_or_refused(verb, target):
    try:
        outcome = ROUTER.match(verb, "/" + target).route.path
    except RefusedError as refused:
        outcome = refused.code
    assert outcome in {"bad_request", "not_found"} | {route.path for route in ROUTES}


@pytest.mark.parametrize(
    ("verb", "target"),
    [
        ("GET", "/nothing"),
        ("POST", "/users/find/u"),
        ("GET", "/users/find"),
        ("GET", "/users/find/u/"),
        ("GET", "/users//find/u"),
        ("GET", "/users/{}/u"),
        ("GET", ""),
        ("GET", "xusers/find/u"),
        ("get", "/users/find/u"),
    ],
)
def test_unknown_routes_are_not_found(verb, target):
    assert code(verb, target) == "not_found"


@pytest.mark.parametrize(
    ("verb", "target"),
    [
        ("GET", "/users/find/"),
        ("GET", "/users/find/" + "u" * 65),
        ("GET", "/users/find/a%20b"),
        ("GET", "/users/find/{}"),
        ("GET", "/users/find/ü"),
        ("GET", "/users/find/u?x=1"),
        ("POST", "/users/credit/add/u/0"),
        ("POST", "/users/credit/add/u/-1"),
        ("POST", "/users/credit/add/u/+1"),
        ("POST", "/users/credit/add/u/1.0"),
        ("POST", "/users/credit/add/u/1_0"),
        ("POST", "/users/credit/add/u/\u0661"),
        ("POST", "/users/credit/add/u/"),
        ("POST", f"/users/credit/add/u/{AMOUNT_MAX + 1}"),
        ("POST", "/users/credit/add/u/" + "9" * 5000),
        ("POST", "/stock/item/create?price=0"),
        ("POST", "/stock/item/create?price=1&price=2"),
        ("POST", "/stock/item/create?price="),
        ("POST", "/stock/item/create?price"),
        ("POST", "/stock/item/create?stock=-1"),
        ("POST", "/stock/item/create?colour=1"),
        ("POST", "/stock/item/create?price=1&stock=1&x=1"),
        ("POST", "/stock/item/create?&"),
    ],
)
def test_bad_parameters_are_refused(verb, target):
    assert code(verb, target) == "bad_request"


def test_query_parameters_have_defaults():
    assert ROUTER.match("POST", "/stock/item/create").params == {"price": 1, "stock": 0}
    assert ROUTER.match("POST", "/stock/item/create?").params == {"price": 1, "stock": 0}
    assert ROUTER.match("POST", "/stock/item/create?stock=7").params == {"price": 1, "stock": 7}


@given(st.text(max_size=20), st.integers(0, 1))
def test_integers_are_plain_digits(text, minimum):
    try:
        value = integer("n", text, minimum)
    except RefusedError:
        return
    assert minimum <= value <= AMOUNT_MAX
    assert text.lstrip("0") == (str(value) if value else "")


def test_an_id_may_be_a_word_of_another_route():
    """Who was made as "all" could never be asked for."""
    paths = ("/kv/{kv_id}", "/kv/all/{kv_id}", "/kv/all/{kv_id}/x")
    routes = [Route("GET", path, "kv", f"m{number}", "kv_id") for number, path in enumerate(paths)]
    router = Router(routes)
    for target, method, id_ in (
        ("/kv/all", "m0", "all"),
        ("/kv/all/all", "m1", "all"),
        ("/kv/all/all/x", "m2", "all"),
        ("/kv/b", "m0", "b"),
    ):
        for verb in ("GET", "HEAD"):
            found = router.match(verb, target)
            assert (found.route.method, found.params) == (method, {"kv_id": id_})
    for target in ("/kv", "/kv/a/b", "/kv/all/all/y", "/kv/all/b/x/x"):
        with pytest.raises(RefusedError, match="no such route"):
            router.match("GET", target)


def test_two_routes_for_one_path_are_a_mistake():
    with pytest.raises(ValueError, match="two routes"):
        Router([Route("GET", "/a/{x}", "s", "m", "x"), Route("GET", "/a/{y}", "s", "n", "y")])


OWN_ROUTER = Router((*OWN_ROUTES, *ROUTES))


@pytest.mark.parametrize(
    ("verb", "target", "method"),
    [
        ("GET", "/", "index"),
        ("GET", "/?", "index"),
        ("HEAD", "/health/live", "live"),
        ("GET", "/health/ready?x=1&x=2&&=", "ready"),
        ("GET", "/metrics?name[]=a", "metrics"),
        ("GET", "http://h", "index"),
        ("GET", "https://user@h:80/metrics", "metrics"),
        ("GET", "HTTP://h/users/find/u1", "find_user"),
        ("HEAD", "/users/find/u1", "find_user"),
        ("GET", "/%75sers/find/%75%31", "find_user"),
    ],
)
def test_targets_of_every_legal_form(verb, target, method):
    found, params = OWN_ROUTER.match(verb, target)
    assert found.method == method
    assert params == ({"user_id": "u1"} if method == "find_user" else {})


@pytest.mark.parametrize(
    ("verb", "target", "refusal"),
    [
        ("GET", "*", "not_found"),
        ("GET", "", "not_found"),
        ("GET", "health/live", "not_found"),
        ("GET", "ftp://h/health/live", "not_found"),
        ("GET", "http:///health/live", "not_found"),
        ("GET", "//health/live", "not_found"),
        ("GET", "/health%2Flive", "not_found"),
        ("HEAD", "/users/create", "not_found"),
        ("GET", "/users/find/a%2Fb", "bad_request"),
        ("GET", "/users/find/%E9", "bad_request"),
        ("GET", "/users/find/%zz", "bad_request"),
    ],
)
def test_targets_that_are_refused(verb, target, refusal):
    with pytest.raises(RefusedError) as refused:
        OWN_ROUTER.match(verb, target)
    assert refused.value.code == refusal
