"""tools/bench's own arithmetic: ratios, verdicts, and what counts as guest memory."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "lib"))
from bench import report  # noqa: E402
from bench.boot import rows_of  # noqa: E402
from bench.memory import overhead_bytes  # noqa: E402
from bench.guest import result_of  # noqa: E402
from bench.process import BenchError  # noqa: E402
from bench.tracing import parse  # noqa: E402


def row_of(mote, firecracker, target):
    row = report.Row("section", "name", "unit", target=target)
    for value in mote:
        row.add("mote", value)
    for value in firecracker:
        row.add("firecracker", value)
    return row


@pytest.mark.parametrize("mote, firecracker, target, verdict", [
    ([1, 2, 9], [4, 4, 4], ("ratio", 0.5), "met"),
    ([3], [4], ("ratio", 0.5), "missed"),
    ([40], [], ("value", 40), "met"),
    ([41], [], ("value", 40), "missed"),
    ([6], [4], ("at least", 1.5), "met"),
    ([5], [4], ("at least", 1.5), "missed"),
    ([1], [], ("ratio", 0.5), ""),
    ([], [4], ("ratio", 0.5), ""),
    ([1], [1], None, ""),
])  # fmt: skip
def test_verdict(mote, firecracker, target, verdict):
    assert row_of(mote, firecracker, target).verdict() == verdict


def test_table_and_json_agree():
    row = row_of([1, 2, 9], [4], ("ratio", 0.5))
    line = report.table([row]).splitlines()[2]
    assert line.split() == ["name", "unit", "2", "4", "-", "-", "0.50", "-", "-", "<=", "0.5", "x", "fc", "met"]
    assert row.as_json()["monitors"]["mote"] == {"median": 2, "min": 1, "max": 9, "runs": [1, 2, 9]}


MIB = 1 << 20


def test_guest_memory_in_one_mapping():
    mappings = [[0, MIB, 100], [16 * MIB, 32 * MIB, 5000], [40 * MIB, 41 * MIB, 7]]
    assert overhead_bytes(mappings, 16 * MIB) == 107


def test_guest_memory_with_a_kernel_mapped_into_it():
    mappings = [[0, MIB, 100], [16 * MIB, 17 * MIB, 10], [17 * MIB, 20 * MIB, 500], [20 * MIB, 32 * MIB, 5000],
                [33 * MIB, 34 * MIB, 7]]  # fmt: skip
    assert overhead_bytes(mappings, 16 * MIB) == 107


def test_guest_memory_not_found():
    with pytest.raises(BenchError):
        overhead_bytes([[0, MIB, 1], [2 * MIB, 3 * MIB, 1]], 16 * MIB)


def test_devices_added():
    def sample(variant, exits):
        return {"monitor": "mote", "variant": variant, "user exits": exits, "exits": 1, "instructions": 1}

    samples = [sample("", 30), sample("", 32), sample("console", 99), sample("entropy", 40)]
    samples += [sample("balloon", 50), sample("no pvpanic", 28)]
    rows = rows_of(samples)
    figures = {row.name: row.median("mote") for row in rows}
    assert figures["user exits"] == 31
    assert figures["user exits, console on"] == 99
    assert figures["user exits that entropy adds"] == 9
    assert figures["user exits that balloon adds"] == 19
    assert figures["user exits that pvpanic adds"] == 3


def test_a_guests_result_and_its_errors():
    assert result_of(b"ready\nresult mode=read ops=12 tx-kicks=0x3 errors=0\n")["ops"] == "12"
    for text in (b"ready\n", b"result ops=1 errors=2\n", b"result needs-reset=1\n"):
        with pytest.raises(BenchError):
            result_of(text)


def test_counted_system_calls():
    assert parse("\n20391,,raw_syscalls:sys_enter,1000,100.00,,\n") == 20391
    assert parse("<not counted>,,raw_syscalls:sys_enter,0,0.00,,\n") == -1
