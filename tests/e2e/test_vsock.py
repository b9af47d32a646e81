"""AF_VSOCK sockets of a real Linux guest against Unix sockets of the host."""

import os
import re
import selectors
import subprocess
import threading
import time

import pytest

from support_py.machine import PATIENCE
from support_py.vsock import Vsock, allow_many_files, numbered_blocks, read_all, sum_of_numbered

MIB = 1 << 20
CONNECTIONS = 1000
# Each way. A GiB takes minutes in the lab; guest/bare/vsock.c moves it at the machine's own speed (tests/kvm).
BULK = int(os.environ.get("MOTE_TEST_BULK_MIB", "16")) * MIB


@pytest.fixture
def vsock(tmp_path):
    made = Vsock(tmp_path)
    yield made
    made.close()


@pytest.fixture
def shell(boot, vsock, repository, tmp_path):
    """A guest's shell with a vsock device, and tests/e2e/vsock_peer.c as /tmp/peer."""
    program = tmp_path / "peer"
    subprocess.run(
        ["gcc", "-static", "-O2", "-Wall", "-Wextra", "-Werror", "-s", "-o", program, repository / "tests/e2e/vsock_peer.c"],
        check=True,
    )
    program.write_bytes(program.read_bytes() + bytes(-program.stat().st_size % 512))
    made = boot("own", "--disk", f"{program},ro", "--vsock", f"path={vsock.path},cid=42")
    made.run("cat /dev/vdb > /tmp/peer; chmod +x /tmp/peer")
    return made


def patiently(connect, limit=20):
    """What `connect` gives once the guest listens."""
    deadline = time.monotonic() + limit * PATIENCE
    while True:
        try:
            return connect()
        except (AssertionError, ConnectionError):
            assert time.monotonic() < deadline, "the guest does not listen"
            time.sleep(0.2)


def peer(text):
    """The pairs of the line `peer key=value ...`."""
    assert "peer failed" not in text, text
    return dict(re.findall(r"(\w+)=(\S+)", re.search(r"^peer (.*)$", text, re.MULTILINE)[1]))


def test_bulk_both_ways(shell, vsock):
    size = BULK
    listener = vsock.listen(52)
    results = {}

    def serve():
        connection = vsock.accept(listener)
        results["got"] = read_all(connection)
        connection.sendall(b"well-heard")
        connection.close()
        connection = vsock.accept(listener)
        for block in numbered_blocks(size):
            connection.sendall(block)
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    sent = peer(shell.run(f"/tmp/peer send 52 {size}"))
    expected = sum_of_numbered(size)
    assert results["got"] == (size, expected) and int(sent["sum"]) == expected
    assert sent["last"] == "well-heard"  # after the guest had ended its own direction
    received = peer(shell.run("/tmp/peer receive 52"))
    assert received == {"bytes": str(size), "sum": str(expected)}
    thread.join()
    assert "failed: connect: Connection reset" in shell.run("/tmp/peer receive 53")
    assert shell.end("poweroff") == 0


def test_a_thousand_connections_each_way(shell, vsock):
    allow_many_files(4 * CONNECTIONS)
    shell.run(f"(/tmp/peer echo 1024 {CONNECTIONS} > /tmp/echo &)")
    clients = [patiently(lambda: vsock.connect(1024))]
    clients += [vsock.connect(1024) for _ in range(CONNECTIONS - 1)]
    for i, client in enumerate(clients):
        client.sendall(b"%d" % i)
    for i, client in enumerate(clients):
        assert client.recv(10) == b"%d" % i
    for client in clients:
        client.close()
    assert peer(shell.run("until grep peer /tmp/echo; do sleep 1; done")) == {"most": str(CONNECTIONS)}
    # A port that nobody listens on any more.
    assert vsock.client(b"CONNECT 1024\n").recv(1) == b""

    listener = vsock.listen(52)
    stop = threading.Event()

    def echo():
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            while not stop.is_set():
                for key, _ in selector.select(0.2):
                    if key.fileobj is listener:
                        selector.register(vsock.accept(listener), selectors.EVENT_READ)
                    elif data := key.fileobj.recv(4096):
                        key.fileobj.sendall(data)
                    else:
                        selector.unregister(key.fileobj)

    thread = threading.Thread(target=echo)
    thread.start()
    try:
        assert peer(shell.run(f"/tmp/peer many 52 {CONNECTIONS}")) == {"right": str(CONNECTIONS)}
    finally:
        stop.set()
        thread.join()
    assert shell.end("poweroff") == 0
