"""Echo shows what a service costs that does nothing; the gateway asks it whether it is ready."""

from system.service import Call, Entity, Outcome, Reply, Service

ECHO = Service("echo", key="echo_id", stateless=True)


@ECHO.read
def echo(_entity: Entity | None, call: Call) -> Outcome:
    return Outcome(None, (Reply({"echo_id": call.id("echo_id")}),))


@ECHO.read
def silence(_entity: Entity | None, _call: Call) -> Outcome:
    """This method never answers, as a service that has lost its request: for probes of timeouts."""
    return Outcome(None)
