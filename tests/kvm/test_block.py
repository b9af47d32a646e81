"""Block requests of a bare guest, checked from both sides: in the guest and in the file."""

import os
import resource
import time
from pathlib import Path

import pytest

from support_py.machine import Machine
from support_py.pattern import pattern

VARIANTS = ["", "bare.indirect=1", "bare.event_idx=0", "bare.irq=1"]


good = Machine.without_errors


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("bs, depth", [(512, 1), (4096, 1), (4096, 32), (65536, 8)])
def test_reads_what_the_file_holds(guest, disk, variant, bs, depth):
    machine = guest("block", f"bare.mode=verify bare.bs={bs} bare.depth={depth} {variant}", "--disk", disk())
    good(machine, ops=(1 << 20) // bs)


@pytest.mark.parametrize("cache", ["", ",cache=unsafe", ",cache=direct"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_writes_reach_the_file(guest, disk, variant, cache):
    path = disk(content=bytes(1 << 20))
    machine = guest("block", f"bare.mode=fill bare.seed=77 bare.depth=16 {variant}", "--disk", f"{path}{cache}")
    good(machine)
    assert path.read_bytes() == pattern(0, 1 << 20, seed=77)


def test_writes_stay_where_they_belong(guest, disk):
    path = disk(content=bytes(1 << 20))
    good(guest("block", "bare.mode=fill bare.start=100 bare.span=8K", "--disk", path))
    content = path.read_bytes()
    start = 100 * 512
    assert content[start : start + 8192] == pattern(start, 8192)
    assert not any(content[:start]) and not any(content[start + 8192 :])
    assert len(content) == 1 << 20


def test_flush(guest, disk):
    good(guest("block", "bare.mode=flush bare.ops=20", "--disk", disk()), ops=20)


@pytest.mark.parametrize("size", [512, 4096, 1 << 20])
def test_capacity(guest, disk, size):
    good(guest("block", "bare.mode=info", "--disk", disk(size=size)), sectors=size // 512)


def test_incomplete_last_sector_is_hidden(guest, disk):
    machine = guest("block", "bare.mode=info", "--disk", disk(content=bytes(1000)))
    good(machine, sectors=1)


def test_read_only_disk(guest, disk):
    """A read-only disk says so, refuses writes, and reads on."""
    path = disk()
    before = path.read_bytes()
    machine = guest("block", "bare.mode=info", "--disk", f"{path},ro")
    assert int(good(machine)["offered"]) & 1 << 5
    machine = guest("block", "bare.mode=write bare.ops=10", "--disk", f"{path},ro")
    assert machine.wait() == 0
    assert machine.result()["errors"] == "10"
    good(guest("block", "bare.mode=verify", "--disk", f"{path},ro"))
    assert path.read_bytes() == before


def test_a_file_size_limit_is_an_error_in_the_guest(guest, disk):
    """What `ulimit -f` refuses fails as a write does; SIGXFSZ does not end the machine."""
    path = disk(content=bytes(1 << 20))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512 << 10, hard))
    try:
        machine = guest("block", "bare.mode=write bare.depth=4 bare.ops=256", "--disk", path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert machine.wait(120) == 0, machine.messages
    assert machine.result()["errors"] == "128"


def test_several_disks(guest, disk):
    """Disks appear in the order of the options, and do not mix."""
    paths = [disk(f"disk{i}.raw", size=(i + 1) * 8192, content=pattern(0, (i + 1) * 8192, seed=i)) for i in range(3)]
    options = [word for path in paths for word in ("--disk", path)]
    for i in range(3):
        good(guest("block", f"bare.mode=verify bare.disk={i} bare.seed={i}", *options), ops=(i + 1) * 2)


def test_identity(guest, disk):
    machine = guest("block", "bare.mode=id bare.disk=1", "--disk", disk("a.raw"), "--disk", disk("b.raw"))
    good(machine, status=0, id="disk1")


@pytest.mark.parametrize("unmap", [0, 1])
def test_write_zeroes(guest, disk, unmap):
    path = disk()
    good(guest("block", f"bare.mode=zeroes bare.start=16 bare.span=64K bare.unmap={unmap}", "--disk", path), status=0)
    content, start = path.read_bytes(), 16 * 512
    assert not any(content[start : start + 65536])
    assert content[:start] == pattern(0, start)
    assert content[start + 65536 :] == pattern(start + 65536, (1 << 20) - start - 65536)


def test_discard_frees_the_file(guest, disk):
    path = disk(size=4 << 20)
    before = path.stat().st_blocks
    good(guest("block", "bare.mode=discard bare.start=0 bare.span=4M", "--disk", path), status=0)
    assert path.stat().st_size == 4 << 20
    assert path.stat().st_blocks < before // 2


def test_a_disk_in_use_by_another_machine(launch, guest, bare, disk):
    path = disk()
    machine = guest("spin", "", "--disk", path)
    machine.expect(b"spinning\n")
    line = launch.refuse("--kernel", bare("hello"), "--no-acpi", "--disk", path)
    assert str(path) in line
    readers = [guest("spin", "", "--disk", f"{disk('shared.raw')},ro") for _ in range(2)]
    for reader in readers:
        reader.expect(b"spinning\n")


# What each case of guest/bare/hostile.c must answer. N: the device asks for a reset, and no request is completed;
# S: the request is answered with an error status; OK: it succeeds; K: the device may take it either way. A reset
# makes the device whole after all of them.
HOSTILE = {
    "N": """avail_jump avail_backwards head_range head_max next_range chain_loop self_loop address_hole address_beyond
            address_wraps header_hole status_hole length_huge read_after_write indirect_unoffered indirect_ragged
            indirect_with_next indirect_nested indirect_next_range indirect_loop indirect_hole indirect_huge
            size_zero size_three size_too_large size_huge desc_in_hole desc_beyond desc_unaligned driver_in_hole
            device_in_hole device_wraps""",
    "S": "length_ragged sector_beyond sector_wraps sector_overflows type_unknown",
    "OK": "notify_absent frozen_queue",
    "K": """same_head_twice header_short header_only status_missing write_as_read live_without_features_ok
            status_all_ones""",
}


def test_hostile_driver(guest, disk):
    """Every broken rule costs the guest its device until it resets it, and nothing else."""
    path = disk()
    before = path.read_bytes()
    machine = guest("hostile", "", "--disk", path, "--disk", disk("other.raw"))
    assert machine.wait(180) == 0, machine.messages
    expected = {case: kind for kind, cases in HOSTILE.items() for case in cases.split()}
    wrong, seen = [], set()
    for line in machine.lines("case"):
        _, case, *pairs = line.split()
        values = {key: int(value) for key, value in (pair.split("=") for pair in pairs)}
        seen.add(case)
        right = {
            "N": values["needs-reset"] == 1 and values["used"] == 0,
            "S": values["needs-reset"] == 0 and values["used"] == 1 and values["status"] in (1, 2),
            "OK": values["needs-reset"] == 0 and values["used"] == 1 and values["status"] == 0,
            "K": True,
        }[expected[case]]
        if not right or values["recovered"] != 1 or values["other"] != 1:
            wrong.append(f"{expected[case]}: {line}")
    assert not wrong, "\n".join(wrong)
    assert seen == set(expected)
    assert path.read_bytes() == before


def test_a_hostile_driver_does_not_flood_the_log(guest, disk):
    """What a guest does wrong is told five times in a second, however often it does it."""
    began = time.monotonic()
    machine = guest("hostile", "bare.case=0 bare.repeat=2000", "--disk", disk())
    assert machine.wait(180) == 0
    seconds = time.monotonic() - began
    assert len(machine.lines("case")) == 2000
    told = machine.messages.count("needs a reset")
    assert 5 <= told <= 5 * (seconds + 2)
    assert told < 500, f"{seconds} s: too few offences a second for the limit to count"


def test_a_hostile_driver_with_standard_error_full(guest, disk, full_pipe):
    """Messages that nobody takes hold up neither a vCPU nor the devices' worker."""
    machine = guest("hostile", "", "--disk", disk(), errors=full_pipe)
    assert machine.wait(180) == 0
    assert machine.result() == {"cases": "46", "lost": "0"}


@pytest.mark.parametrize("limit, bs, ops", [("iops=200", 512, 700), ("bps=1M", 65536, 56)])
def test_a_limited_disk_takes_its_time(guest, disk, limit, bs, ops):
    """Two seconds' worth at once at most, then as fast as the limit: 1.5 s or more for three and a half."""
    machine = guest("block", f"bare.mode=read bare.bs={bs} bare.depth=8 bare.ops={ops}", "--disk", f"{disk()},{limit}")
    machine.expect(b"begin\n")
    began = time.monotonic()
    good(machine, ops=ops)
    assert 1.2 < time.monotonic() - began < 15


def threads_of(pid):
    return {Path(f"/proc/{pid}/task/{task}/comm").read_text().strip() for task in os.listdir(f"/proc/{pid}/task")}


def test_a_worker_of_its_own(guest, disk):
    """The disk that has one works as ever, also beside one that has none."""
    path, other = disk(), disk("other.raw")
    for which in (0, 1):
        machine = guest("block", f"bare.mode=verify bare.disk={which} bare.linger=500M",
                        "--disk", f"{path},own_worker", "--disk", other)  # fmt: skip
        machine.expect(b"begin\n")
        assert {"devices", "disk0"} <= threads_of(machine.pid)
        assert "disk1" not in threads_of(machine.pid)
        good(machine)
