"""Batch.java as it is: its limits at their edges, and its bytes as Python reads them."""

import json
import subprocess
import sys
from pathlib import Path

from system.flink_job.pipeline import BATCH_BYTES_MAX, BATCH_RECORDS_MAX

ROOT = Path(__file__).parents[2]
FILLED = """\
import json, sys
from pathlib import Path
from pyflink.java_gateway import get_gateway
from pyflink.util.java_utils import add_jars_to_context_class_loader
from system.flink_job.java_sources import compile_java

jar = Path(sys.argv[1], "batch.jar")
compile_java([Path("system/flink_job/Batch.java")], jar, {})
add_jars_to_context_class_loader([jar.as_uri()])
told = []
for sizes in json.loads(sys.argv[4]):
    batch = get_gateway().jvm.kaflinkshop.Batch(int(sys.argv[2]), int(sys.argv[3]))
    full = []
    for number, size in enumerate(sizes):
        batch.add(f"key{number}", bytes([number % 256]) * size)
        full.append(batch.isFull())
    keys = [batch.key(number) for number in range(len(sizes))]
    content = bytes(batch.toBytes()).hex()
    batch.clear()
    told.append([full, keys, content, batch.isEmpty() and not batch.isFull(), len(batch.toBytes())])
print(json.dumps(told))
"""


def filled(tmp_path: Path, records_max: int, bytes_max: int, sizes: list[list[int]]) -> list[list]:
    arguments = [tmp_path, records_max, bytes_max, json.dumps(sizes)]
    command = [sys.executable, "-c", FILLED, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_a_batch_is_full_at_its_limits(tmp_path):
    most = BATCH_RECORDS_MAX
    sizes = [[1] * most, [BATCH_BYTES_MAX - 1, 1], [BATCH_BYTES_MAX], [0, 3, 2]]
    many, two, one, few = filled(tmp_path, most, BATCH_BYTES_MAX, sizes)
    assert many[0] == [False] * (most - 1) + [True]
    assert two[0] == [False, True]
    assert one[0] == [True]
    assert few[0] == [False, False, False]
    assert few[1] == ["key0", "key1", "key2"]
    assert few[2] == "00000000" + "00000003010101" + "000000020202"
    assert all(each[3:] == [True, 0] for each in (many, two, one, few)), "it can be used again"
