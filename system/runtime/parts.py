"""The parts of a stack have names; of several of a kind all but the first end with their number."""

KAFKA, GATEWAY = "kafka", "gateway"
JOBMANAGER, TASKMANAGER = "flink_jobmanager", "flink_taskmanager"


def numbered(kind: str, number: int) -> str:
    """`numbered` returns the name of one of several, which count from 1."""
    return kind if number == 1 else f"{kind}_{number}"


def names(kind: str, count: int) -> tuple[str, ...]:
    """`names` returns those of all of a kind."""
    return tuple(numbered(kind, number) for number in range(1, count + 1))


def kind_of(name: str) -> str:
    """`kind_of` returns the kind of a part; any other name as it is."""
    kind, _, number = name.rpartition("_")
    return kind if number.isdecimal() else name
