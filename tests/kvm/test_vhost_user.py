"""Disks that another process serves: bare guests against qemu-storage-daemon, and against back ends that are none."""

import contextlib
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from support_py.pattern import pattern
from support_py.vhost_user import StorageDaemon

MIB = 1 << 20
VARIANTS = ["", "bare.indirect=1", "bare.event_idx=0", "bare.irq=1"]


@pytest.fixture
def serve(tmp_path):
    """serve(path, writable=True): a StorageDaemon of the test's; it takes the place of the one before."""
    daemons = []

    def start(path, writable=True):
        for daemon in daemons:
            daemon.kill()
        daemons.append(StorageDaemon(path, tmp_path / f"b{len(daemons)}", writable))
        return daemons[-1]

    yield start
    for daemon in daemons:
        daemon.kill()


def good(machine, **expected):
    result = machine.without_errors(**expected)
    assert machine.messages == ""
    return result


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("bs, depth", [(512, 1), (4096, 32), (65536, 8)])
def test_reads_what_the_file_holds(guest, disk, serve, variant, bs, depth):
    daemon = serve(disk())
    machine = guest("block", f"bare.mode=verify bare.bs={bs} bare.depth={depth} {variant}", "--disk", daemon.option)
    good(machine, ops=MIB // bs)


@pytest.mark.parametrize("variant", VARIANTS)
def test_writes_reach_the_file(guest, disk, serve, variant):
    path = disk(content=bytes(MIB))
    good(guest("block", f"bare.mode=fill bare.seed=77 bare.depth=16 {variant}", "--disk", serve(path).option))
    assert path.read_bytes() == pattern(0, MIB, seed=77)


def test_flush_and_write_zeroes(guest, disk, serve):
    path = disk()
    good(guest("block", "bare.mode=flush bare.ops=20", "--disk", serve(path).option), ops=20)
    good(guest("block", "bare.mode=zeroes bare.start=16 bare.span=64K", "--disk", serve(path).option), status=0)
    content = path.read_bytes()
    assert not any(content[8192:73728])
    assert content[:8192] == pattern(0, 8192) and content[73728:] == pattern(73728, MIB - 73728)


def test_what_the_guest_is_offered(guest, disk, serve):
    """No queue but one, no cache that the guest could configure, and no bit of the socket's."""
    result = good(guest("block", "bare.mode=info", "--disk", serve(disk(size=3 * MIB)).option), sectors=3 * MIB // 512)
    offered = int(result["offered"])
    assert offered & 1 << 32 and offered & 1 << 9
    assert not offered & (1 << 5 | 1 << 11 | 1 << 12 | 1 << 30)
    assert result["queue"] == "256"


def test_a_read_only_export(guest, disk, serve):
    path = disk()
    before = path.read_bytes()
    result = good(guest("block", "bare.mode=info", "--disk", serve(path, writable=False).option))
    assert int(result["offered"]) & 1 << 5
    machine = guest("block", "bare.mode=write bare.ops=10", "--disk", serve(path, writable=False).option)
    assert machine.wait() == 0
    assert machine.result()["errors"] == "10"
    assert path.read_bytes() == before


def test_beside_a_disk_of_the_machines_own(guest, disk, serve):
    """In the order of the options, each with its own data; both reach the shared memory."""
    first, second = disk("a.raw", content=pattern(0, MIB, seed=1)), disk("b.raw", content=pattern(0, MIB, seed=2))
    for i in (0, 1):
        words = f"bare.mode=verify bare.disk={i} bare.seed={i + 1}"
        good(guest("block", words, "--disk", first, "--disk", serve(second).option))


def test_a_reset_with_requests_in_flight_and_a_new_start(guest, disk, serve):
    good(guest("block", "bare.mode=verify bare.restarts=50", "--disk", serve(disk()).option))


def test_memory_above_four_gibibytes(launch, bare, disk, serve):
    """The back end takes two regions of one file."""
    if os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < 5 << 30:
        pytest.skip("NOT TESTED: this machine has less than 5 GiB")
    good(launch.run("--kernel", bare("block"), "--cmdline", "bare.exit=acpi bare.mode=verify", "--no-acpi", "--mem", "5G",
                    "--disk", serve(disk()).option))  # fmt: skip


def test_a_back_end_serves_one_machine(launch, guest, bare, disk, serve):
    daemon = serve(disk())
    machine = guest("block", "bare.mode=read bare.ops=100000000", "--disk", daemon.option)
    machine.expect(b"begin\n")
    line = launch.refuse("--kernel", bare("hello"), "--no-acpi", "--disk", daemon.option)
    assert line.startswith(f"mote: error: disk0: the vhost-user back end at {daemon.socket} ")
    assert line.endswith(" while the disk is set up; see that it runs, serves disks and serves nobody else")
    machine.send_signal(signal.SIGQUIT)
    assert machine.wait() == 245


def test_a_back_end_that_is_killed(guest, disk, serve):
    """The guest gets no answer any more, one line tells why, and mote lives until it is ended."""
    daemon = serve(disk())
    machine = guest("block", "bare.mode=read bare.ops=100000000 bare.depth=8", "--disk", daemon.option, "--grace", 1)
    machine.expect(b"begin\n")
    assert machine.messages == ""
    daemon.kill()
    deadline = time.monotonic() + 20
    while "\n" not in machine.messages:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.3)
    assert machine.messages == (
        "mote: warning: device 'disk0': needs a reset by the guest's driver: the vhost-user back end at "
        f"{daemon.socket} has hung up; the disk is gone for this machine, start it anew\n")  # fmt: skip
    assert machine.process.poll() is None
    machine.send_signal(signal.SIGTERM)
    assert machine.wait() == 245
    assert b"result" not in machine.console


def test_a_hostile_driver_costs_itself_the_disk(guest, disk, serve):
    """The back end gives up where rings make no sense; mote's own disk beside it works through all of it."""
    machine = guest("hostile", "", "--disk", serve(disk()).option, "--disk", disk("other.raw"))
    assert machine.wait(180) == 0, machine.messages
    cases = machine.lines("case")
    assert cases and all("other=1" in line.split() for line in cases)


def test_a_back_end_that_hangs_does_not_hold_up_the_end(guest, disk, serve):
    daemon = serve(disk())
    machine = guest("block", "bare.mode=read bare.ops=100000000 bare.depth=8", "--disk", daemon.option, "--grace", 0)
    machine.expect(b"begin\n")
    daemon.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    machine.send_signal(signal.SIGTERM)
    assert machine.wait() == 245
    assert time.monotonic() - began < 10
    assert "device 'disk0': requests are still in flight; is its storage hung?" in machine.messages


def test_a_back_end_that_hangs_does_not_hold_up_a_reset(guest, disk, serve):
    """The guest's driver starts anew and finds that the disk is gone."""
    daemon = serve(disk())
    machine = guest("block", "bare.restarts=1 bare.hold=4000000000", "--disk", daemon.option)
    machine.expect(b"restarting\n")
    daemon.send_signal(signal.SIGSTOP)
    assert machine.wait(60) == 0
    assert machine.lines("fail") == ["fail a read after a restart failed"]
    assert "does not stop serving the disk in time" in machine.messages


def shared_bytes(pid):
    """What the guest's memory takes of the host's, whoever has it mapped: that of a memfd."""
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        if os.readlink(fd).startswith("/memfd:guest memory"):
            return os.stat(fd).st_blocks * 512
    raise AssertionError("the guest's memory is in no memfd")


@pytest.mark.parametrize("mode", ["inflate", "report"])
def test_shared_memory_goes_back_to_the_host(launch, bare, disk, serve, mode):
    """Not out of mote's page tables alone."""
    machine = launch.run("--kernel", bare("balloon"), "--no-acpi", "--no-entropy", "--mem", "64M",
                         "--disk", serve(disk()).option, "--cmdline", f"bare.exit=acpi bare.mode={mode}")  # fmt: skip
    gone, come = machine.memory_given_back(shared_bytes)
    assert gone > 31 * MIB and come > 31 * MIB, (gone, come)
    assert machine.result()["nonzero"] == "0"


def test_memory_is_shared_only_where_it_must_be(guest, disk):
    machine = guest("spin", "", "--disk", disk())
    machine.expect(b"spinning\n")
    assert not any(os.readlink(fd).startswith("/memfd:") for fd in Path(f"/proc/{machine.pid}/fd").iterdir())


# --- What is refused -----------------------------------------------------------------------------------------


@pytest.fixture
def refuse(launch, bare):
    def run(option):
        return launch.refuse("--kernel", bare("hello"), "--no-acpi", "--disk", option)

    return run


def test_sockets_that_cannot_be_used(refuse, tmp_path):
    path = tmp_path / "b.sock"
    assert refuse(f"socket={path}") == (
        f"mote: error: disk0: there is no socket {path}; start its server first, or check the path")  # fmt: skip
    path.touch()
    assert refuse(f"socket={path}") == f"mote: error: disk0: {path} is no socket; give that of a running server"
    path.unlink()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert refuse(f"socket={path}") == f"mote: error: disk0: nobody serves the socket {path}; start its server first"
    assert refuse(f"socket={path},ro") == (
        "mote: error: disk0: ro, cache, iops, bps and own_worker are not for a disk with a socket; ask its back end for them")  # fmt: skip


@pytest.fixture
def server(tmp_path):
    """server(serve): a server whose one client is handed to `serve`; the path of its socket."""
    path = tmp_path / "odd.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)

        def start(serve):
            def run():
                with contextlib.suppress(OSError):
                    client, _ = listener.accept()
                    with client:
                        serve(client)

            threading.Thread(target=run, daemon=True).start()
            return path

        yield start


def test_a_silent_server(refuse, server):
    began = time.monotonic()
    path = server(lambda client: client.recv(1 << 20) and time.sleep(30))
    assert refuse(f"socket={path}") == (
        f"mote: error: disk0: the vhost-user back end at {path} does not answer request 1 in time while the disk is set up; "
        "see that it runs, serves disks and serves nobody else")  # fmt: skip
    assert 4 < time.monotonic() - began < 20


def test_a_server_of_something_else(refuse, server):
    path = server(lambda client: client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n") or client.recv(1 << 20))
    assert refuse(f"socket={path}").startswith(
        f"mote: error: disk0: the vhost-user back end at {path} answers request 1347703880 where 1 was sent")  # fmt: skip
