"""A file as a bare guest's memory: what each side writes the other one sees; what cannot be is told."""

import os

import pytest

from support_py.pattern import pattern

MIB = 1 << 20
START = 512 << 30


@pytest.fixture
def start(guest):
    def run(mode, path, *options, span=MIB, words="", part=""):
        return guest("pmem", f"bare.mode={mode} bare.span={span} {words}", "--pmem", f"{path}{part}", *options)

    return run


def test_the_guest_reads_what_the_file_holds(start, disk):
    start("verify", disk()).good(start=START, size=2 * MIB, mismatches=0, padding=0, failed=0)


def test_what_the_guest_writes_is_in_the_file(start, disk):
    path = disk(content=bytes(3 * MIB))
    start("fill", path, span=3 * MIB, words="bare.seed=7 bare.flushes=5").good(size=4 * MIB, mismatches=0, failed=0)
    assert path.read_bytes() == pattern(0, 3 * MIB, seed=7)


def test_a_read_only_file_is_not_written(start, disk):
    """The guest's writes are lost, its flushes have nothing to do."""
    path = disk()
    before = path.read_bytes()
    path.chmod(0o444)
    result = start("fill", path, part=",ro", words="bare.seed=7").good(failed=0)
    assert int(result["mismatches"]) == MIB // 8
    assert path.read_bytes() == before


def test_a_file_that_is_no_whole_number_of_pages(start, disk):
    path = disk(size=MIB + 512)
    start("verify", path, span=MIB + 512).good(size=2 * MIB, mismatches=0, padding=0)


def test_no_device_reaches_it(start, disk):
    path = disk()
    before = path.read_bytes()
    machine = start("dma", path)
    assert machine.wait(60) == 0
    assert machine.result()["needs-reset"] == "1"
    assert path.read_bytes() == before


@pytest.mark.parametrize("part", ["", ",ro"])
def test_a_file_that_became_shorter_ends_the_machine(start, disk, part):
    path = disk()
    machine = start("wait", path, part=part)
    machine.expect(b"ready\n")
    os.truncate(path, 4096)
    machine.send(b".")
    assert machine.wait(60) == 241, machine.messages
    assert "pmem0: its file was cut from 1048576 to 4096 bytes while the guest used it" in machine.messages


def test_a_file_in_use_by_another_machine(start, launch, bare, disk):
    path = disk()
    machine = start("wait", path)
    machine.expect(b"ready\n")
    line = launch.refuse("--kernel", bare("pmem"), "--no-acpi", "--pmem", path)
    assert f"pmem0: {path} is used for writing by another process; end that one" in line
    line = launch.refuse("--kernel", bare("pmem"), "--no-acpi", "--disk", f"{path},ro")
    assert f"disk0: {path} is used for writing by another process" in line
    machine.send(b".")
    machine.good(mismatches=0)


def test_a_file_that_is_too_large(launch, bare, tmp_path):
    path = tmp_path / "large"
    path.write_bytes(b"")
    os.truncate(path, 5 << 40)
    line = launch.refuse("--kernel", bare("pmem"), "--no-acpi", "--pmem", path)
    assert f"pmem0: its file of {5 << 40} bytes is too large, the limit is 4T; use it as a disk" in line
