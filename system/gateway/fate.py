"""A broker's answer tells what became of the records of a produce request."""

from typing import Literal

from aiokafka.errors import (
    KafkaStorageError,
    NoError,
    NotEnoughReplicasAfterAppendError,
    NotLeaderForPartitionError,
    ReplicaNotAvailableError,
    RequestTimedOutError,
    UnknownError,
    for_code,
)

Fate = Literal["acknowledged", "not_sent", "unknown", "in_doubt"]
IN_ONE_LOG = (RequestTimedOutError, NotEnoughReplicasAfterAppendError)
"""The leader has the records, which its copies did not confirm: to send them again adds nothing."""
IN_DOUBT = (
    *(KafkaStorageError, UnknownError),
    *(NotLeaderForPartitionError, ReplicaNotAvailableError),
)
"""The broker failed while it wrote, or in a way that this client can't name; or it leads no more,
which it may have found out after it wrote, while it waited for the copies (Kafka's
`DelayedProduce`). Either may be so."""


def fate_of(code: int) -> Fate:
    """`fate_of` returns what an error code of Kafka's protocol says; all others refuse the records
    before anything is written.

    Of two fates nobody knows the end: what is in doubt is to be sent again, as it may be nowhere.
    """
    error = for_code(code)
    if error is NoError:
        return "acknowledged"
    if error in IN_ONE_LOG:
        return "unknown"
    return "in_doubt" if error in IN_DOUBT else "not_sent"
