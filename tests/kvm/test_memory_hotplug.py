"""Memory that a bare guest plugs and unplugs while it runs."""

import pytest

from support_py.host import resident_kib

MIB = 1 << 20
START = 512 << 30


@pytest.fixture
def start(guest):
    def run(mode, blocks, memory, *options):
        return guest("memory", f"bare.mode={mode} bare.blocks={blocks}", "--hotplug-mem", memory, *options)

    return run


def test_plugged_memory_is_memory(start):
    """64 blocks of 2 MiB fill the first slot, the 65th lies in the next."""
    start("plug", 65, "total=512M,requested=256M").good(
        addr=START, region=512 * MIB, requested=256 * MIB, plugged=130 * MIB, mismatches=0, refused=0
    )


def test_no_more_than_requested_is_plugged(start):
    start("plug", 4, "total=128M,requested=8M,block=4M").good(plugged=8 * MIB, refused=2)


def test_a_device_reaches_plugged_blocks_and_no_others(start):
    machine = start("dma", 3, "total=128M,requested=128M")
    assert machine.wait(60) == 0, machine.messages
    result = machine.result()
    assert (result["refused"], result["needs-reset"]) == ("0", "1")
    assert "memory" in machine.messages and "not in RAM" in machine.messages


def test_unplugged_memory_is_the_hosts_again(start):
    machine = start("unplug", 32, "total=256M,requested=256M")
    machine.expect(b"ready\n")
    full = resident_kib(machine.pid)
    machine.send(b".")
    machine.expect(b"unplugged\n")
    gone = resident_kib(machine.pid)
    machine.send(b".")
    machine.good(plugged=0, mismatches=0, refused=0, reached=0)
    assert full - gone > 63 * 1024, (full, gone)


def test_what_a_hostile_driver_asks_for(start):
    start("hostile", 0, "total=128M,requested=128M").good(plugged=0, refused=9, reached=0)


def test_beside_files_as_memory(start, disk):
    start("plug", 2, "total=128M,requested=4M", "--pmem", disk()).good(
        addr=START + (2 << 30), plugged=4 * MIB, mismatches=0, refused=0
    )
