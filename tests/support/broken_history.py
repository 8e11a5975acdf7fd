"""A sound history, to be broken in one place by a test."""

import copy
import random
from typing import Any

from bench.judge.reply_contract import ROUTE_OF, Final
from bench.records.request_log import Row
from support.recorded_shop import ROUND_NS, RecordedShop
from system.wire import HTTP_STATUS


class Broken:
    """A copy of a sound history, to be broken; a mutant says whether it found what to break."""

    def __init__(self, shop: RecordedShop, seed: int) -> None:
        self.rows = copy.deepcopy(shop.rows)
        self.final: Final = copy.deepcopy(shop.final)
        self.chance = random.Random(seed)

    def pick(self, *operations: str, status: int = 200, code: str | None = None) -> int | None:
        """The place of a row, or None where there is none."""
        fitting = [
            place
            for place, row in enumerate(self.rows)
            if row.operation in operations and row.status == status and row.code == code
        ]
        return self.chance.choice(fitting) if fitting else None

    def append(
        self, operation: str, path: str, body: dict[str, Any], key: str | None = None
    ) -> None:
        sent_ns = max(row.done_ns for row in self.rows) + ROUND_NS
        body = {"request_id": key or f"m{len(self.rows)}", **body}
        self.rows.append(Row(operation, path, key, sent_ns, sent_ns + 1, 200, body))

    def refuse(self, operation: str, code: str, **params: Any) -> None:
        """One request more, which is refused with this code; its path has some of the `params`."""
        path = ROUTE_OF[operation].path.format(**params)
        self.append(operation, path, {"error": {"code": code, "message": ""}})
        self.rows[-1] = self.rows[-1]._replace(status=HTTP_STATUS[code])

    def entity(self, kind: dict[str, Any], **wanted: Any) -> Any:
        """A final entity with these values, or None."""
        found = [
            each
            for each in kind.values()
            if each and all(each[name] == value for name, value in wanted.items())
        ]
        return self.chance.choice(found) if found else None
