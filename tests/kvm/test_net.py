"""Frames between a bare guest (guest/bare/net.c) and a real TAP, in a network namespace of each test's own."""

import os
import subprocess
import time

import pytest

from support_py import network

VARIANTS = ["", "bare.mrg=0", "bare.event_idx=0"]


@pytest.fixture(autouse=True)
def own_network():
    reason = network.why_not()
    if reason:
        pytest.skip(f"NETWORK DEVICES NOT TESTED: {reason}")
    with network.namespace():
        yield


@pytest.fixture
def tap():
    made = []

    def make(**options):
        made.append(network.Tap(**options).open())
        return made[-1]

    yield make
    for one in made:
        one.close()


def start(guest, words, tap, options=""):
    machine = guest("net", words, "--net", f"tap={tap.name}{options}")
    machine.expect(b"ready\n")
    return machine


def settled(tap):
    """Sends until the guest answers: its receive buffers are there."""
    for _ in range(100):
        tap.send(b"hello" * 10)
        if tap.receive(0.2) is not None:
            break
    while tap.receive(0.3) is not None:
        pass


def devices_cpu(machine):
    """Seconds of CPU that mote's devices thread has used."""
    for task in os.listdir(f"/proc/{machine.pid}/task"):
        with open(f"/proc/{machine.pid}/task/{task}/stat") as file:
            name, fields = file.read().rsplit(")", 1)
        if name.endswith("(devices"):
            return sum(map(int, fields.split()[11:13])) / os.sysconf("SC_CLK_TCK")
    raise AssertionError("mote has no devices thread")


def idle(machine, seconds=1):
    before = devices_cpu(machine)
    time.sleep(seconds)
    return devices_cpu(machine) - before < 0.05 * seconds


def test_what_the_guest_sees(guest, tap):
    name = tap().name
    machine = guest("net", "bare.mode=info", "--net", f"tap={name},mac=52:54:00:ab:cd:ef,mtu=9000")
    assert machine.wait() == 0
    result = machine.result()
    assert result["mac"] == "525400abcdef" and result["mtu"] == "9000"
    offered = int(result["offered"])
    for bit in (0, 1, 3, 5, 7, 8, 10, 11, 12, 14, 15, 28, 29, 32):
        assert offered >> bit & 1, (bit, hex(offered))
    assert offered >> 54 in (0, 7), "USO is offered whole or not at all"


@pytest.mark.parametrize("variant", VARIANTS)
def test_frames_both_ways(guest, tap, variant):
    """Each frame comes back as it was sent, from the smallest to the largest a buffer takes."""
    wire = tap()
    machine = start(guest, f"bare.mode=echo {variant}", wire)
    settled(wire)
    for i in range(300):
        payload = i.to_bytes(4, "big") + os.urandom(42 + i * 4)
        wire.send(payload)
        assert wire.receive() == payload
    wire.send(b"end" + bytes(43))
    machine.good()


def test_long_frames_take_several_buffers(guest, tap):
    wire = tap(mtu=65521)
    machine = start(guest, "bare.mode=echo", wire)
    settled(wire)
    for size in (1500, 2022, 2023, 4070, 9000, 30000, 65521):
        payload = size.to_bytes(4, "big") + os.urandom(size - 4)
        wire.send(payload)
        assert wire.receive() == payload, size
    wire.send(b"end" + bytes(43))
    machine.good(longest=65535)


def test_two_devices_do_not_mix(guest, tap):
    first, second = tap(name="first"), tap(name="second")
    machine = guest("net", "bare.mode=echo bare.net=1", "--net", "tap=first", "--net", "tap=second")
    machine.expect(b"ready\n")
    settled(second)
    first.send(b"nobody answers".ljust(46))
    second.send(b"answer".ljust(46))
    assert second.receive() == b"answer".ljust(46)
    assert first.receive(0.2) is None
    second.send(b"end" + bytes(43))
    machine.good()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_flood_with_a_full_ring(guest, tap, variant):
    """A guest without buffers and a host that does not stop: mote rests; with buffers, all goes on."""
    wire = tap()
    machine = start(guest, f"bare.mode=stuck {variant}", wire)
    for i in range(5000):
        wire.send(i.to_bytes(4, "big") + bytes(1000))
    assert idle(machine)
    machine.send(b"g")
    time.sleep(0.5)
    for i in range(20000):
        wire.send(i.to_bytes(4, "big") + bytes(1000))
    deadline = time.monotonic() + 20
    while machine.process.poll() is None and time.monotonic() < deadline:
        wire.send(b"end" + bytes(43))
        time.sleep(0.05)
    assert int(machine.good()["frames"]) >= 1000


def test_what_the_guest_sends_arrives_in_order(guest, tap):
    wire = tap()
    machine = start(guest, "bare.mode=send bare.ops=2000 bare.bs=400", wire)
    machine.send(b"g")
    for i in range(2000):
        assert int.from_bytes(wire.receive()[:8], "little") == i
    result = machine.good(frames=2000)
    assert int(result["tx-kicks"]) <= 2000


def test_a_tap_that_is_down(guest, tap):
    """Frames are dropped while the TAP is down; nothing waits or fails; it is used again once it is up."""
    wire = tap()
    machine = start(guest, "bare.mode=send bare.ops=20000 bare.bs=200", wire)
    wire.set("down")
    machine.send(b"g")
    machine.good(frames=20000)
    machine = guest("net", "bare.mode=echo", "--net", f"tap={wire.name}")
    machine.expect(b"ready\n")
    assert f"{wire.name} is down" in machine.messages
    wire.set("up")
    wire.open()
    settled(wire)
    for _ in range(3):
        wire.set("down")
        assert idle(machine, 0.3)
        wire.set("up")
        wire.open()
        wire.send(b"again".ljust(46))
        assert wire.receive() == b"again".ljust(46)
    wire.send(b"end" + bytes(43))
    machine.good()


def test_a_tap_that_is_deleted(guest, tap):
    """The link goes quiet with one line in the log; the guest runs on."""
    wire = tap()
    machine = start(guest, "bare.mode=echo", wire)
    settled(wire)
    wire.delete()
    assert idle(machine)
    assert machine.process.poll() is None
    assert machine.messages.count("gone") == 1 and machine.messages.count("\n") == 1, machine.messages


def test_a_tap_that_is_deleted_while_the_guest_sends(guest, tap):
    wire = tap()
    machine = start(guest, "bare.mode=send bare.ops=300000", wire)
    machine.send(b"g")
    assert wire.receive() is not None
    wire.delete()
    machine.good(frames=300000)
    assert machine.messages.count("gone") == 1 and machine.messages.count("\n") == 1, machine.messages


def test_an_idle_link_costs_nothing(guest, tap):
    wire = tap()
    machine = start(guest, "bare.mode=echo", wire)
    settled(wire)
    before = devices_cpu(machine)
    time.sleep(2)
    assert devices_cpu(machine) - before <= 0.01


def test_taps_that_cannot_be_used(launch, bare, tap):
    def refuse(*options):
        return launch.refuse("--kernel", bare("hello"), "--no-acpi", *options)

    assert "there is no network device absent; make one: sudo ip tuntap add" in refuse("--net", "tap=absent")
    assert "is no TAP" in refuse("--net", "tap=lo")
    with open("/dev/net/tun", "r+b", buffering=0):
        name = tap().name
        subprocess.run(["ip", "tuntap", "add", "dev", "many", "mode", "tap", "multi_queue"], check=True)
        assert "with several queues" in refuse("--net", "tap=many")
        machine = launch.run("--kernel", bare("spin"), "--no-acpi", "--net", f"tap={name}")
        machine.expect(b"spinning\n")
        assert "another program has it" in refuse("--net", f"tap={name}")
    assert "names no network" in refuse("--net", "mtu=1500")
