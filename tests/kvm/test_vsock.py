"""Streams between a bare guest (guest/bare/vsock.c) and real Unix sockets of the host."""

import socket
import stat
import threading

import pytest

from support_py.vsock import Vsock, numbered_blocks, read_all, sum_of_numbered

MIB = 1 << 20
GIB = 1 << 30


@pytest.fixture
def vsock(tmp_path):
    made = Vsock(tmp_path)
    yield made
    made.close()


@pytest.fixture
def start(guest, vsock):
    """start(words): a bare guest with a vsock device, whose driver is up."""

    def run(words, options=""):
        machine = guest("vsock", words, "--vsock", f"path={vsock.path}{options}")
        machine.expect(b"ready\n")
        return machine

    return run


@pytest.mark.parametrize("words", ["", "bare.event_idx=0"])
def test_a_client_of_the_host_gets_its_words_back(start, vsock, words):
    machine = start(f"bare.mode=echo bare.conns=1 {words}")
    client = vsock.connect(1025)
    for i in range(100):
        message = b"message %d" % i
        client.sendall(message)
        assert client.recv(100) == message
    client.close()
    machine.good(bytes=sum(len(b"message %d" % i) for i in range(100)))


def test_a_port_that_nobody_listens_on_closes_the_client(start, vsock):
    machine = start("bare.mode=echo bare.conns=1")
    assert vsock.client(b"CONNECT 1024\n").recv(1) == b""
    vsock.connect(1025).close()
    machine.good(refused=1)


def test_what_is_no_connect_line_closes_the_client(start, vsock):
    machine = start("bare.mode=echo bare.conns=1")
    assert vsock.client(b"GET / HTTP/1.1\r\n").recv(1) == b""
    vsock.connect(1025).close()
    machine.good(bytes=0)


def test_two_hundred_connections_at_once(start, vsock):
    machine = start("bare.mode=echo bare.conns=200")
    clients = [vsock.connect(2 * i + 1) for i in range(200)]
    for i, client in enumerate(clients):
        client.sendall(b"%d" % i)
    for i, client in enumerate(clients):
        assert client.recv(10) == b"%d" % i
    for client in clients:
        client.close()
    machine.good()


def test_more_clients_than_allowed_are_closed(start, vsock):
    machine = start("bare.mode=echo bare.conns=3", ",connections=3")
    clients = [vsock.connect(1025) for _ in range(3)]
    assert vsock.client().recv(1) == b""
    for client in clients:
        client.close()
    machine.good()


@pytest.mark.parametrize("words", ["", "bare.event_idx=0"])
@pytest.mark.parametrize("bs, size", [(65536, 64 * MIB), (4096, 16 * MIB), (1, 5000), (64999, 5 * MIB + 7)])
def test_bulk_of_the_guest_arrives_whole(start, vsock, bs, size, words):
    listener = vsock.listen(52)
    machine = start(f"bare.mode=send bare.bytes={size} bare.bs={bs} {words}")
    assert read_all(vsock.accept(listener)) == (size, sum_of_numbered(size))
    vsock.close()
    machine.good(bytes=size, sum=sum_of_numbered(size))


@pytest.mark.parametrize("words", ["", "bare.event_idx=0"])
@pytest.mark.parametrize("size", [0, 1, 65536, 64 * MIB + 11])
def test_bulk_of_the_host_arrives_whole(start, vsock, size, words):
    listener = vsock.listen(52)
    machine = start(f"bare.mode=receive {words}")
    connection = vsock.accept(listener)
    for block in numbered_blocks(size):
        connection.sendall(block)
    connection.close()
    machine.good(bytes=size, sum=sum_of_numbered(size))


def test_a_gibibyte_each_way(start, vsock):
    listener = vsock.listen(52)
    machine = start(f"bare.mode=send bare.bytes={GIB}")
    connection = vsock.accept(listener)
    assert read_all(connection) == (GIB, sum_of_numbered(GIB))
    connection.close()
    machine.good(bytes=GIB)
    vsock.path.unlink(missing_ok=True)
    machine = start("bare.mode=receive")
    connection = vsock.accept(listener)
    for block in numbered_blocks(GIB):
        connection.sendall(block)
    connection.close()
    machine.good(bytes=GIB, sum=sum_of_numbered(GIB))


def test_a_slow_reader_gets_everything(start, vsock):
    listener = vsock.listen(52)
    machine = start(f"bare.mode=send bare.bytes={4 * MIB}")
    connection = vsock.accept(listener)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    size = 0
    while part := connection.recv(10_000):
        size += len(part)
    assert size == 4 * MIB
    connection.close()
    machine.good(bytes=4 * MIB)


def test_round_trips_of_the_guest(start, vsock):
    listener = vsock.listen(52)
    machine = start("bare.mode=pingpong bare.ops=2000 bare.bs=64")
    connection = vsock.accept(listener)

    def echo():
        while data := connection.recv(64):
            connection.sendall(data)

    thread = threading.Thread(target=echo)
    thread.start()
    machine.good(ops=2000)
    thread.join()


def test_the_socket_is_the_owners_and_goes_with_the_machine(start, vsock):
    machine = start("bare.mode=echo bare.conns=1")
    assert stat.S_IMODE(vsock.path.stat().st_mode) == 0o600
    vsock.connect(1025).close()
    machine.good()
    assert not vsock.path.exists()


def test_a_socket_in_use_or_left_over_is_refused(launch, bare, vsock):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(vsock.path))
        other.listen()
        line = launch.refuse("--kernel", bare("hello"), "--vsock", f"path={vsock.path}")
        assert line == f"mote: error: vsock: {vsock.path} is in use by another process; give another path"
    line = launch.refuse("--kernel", bare("hello"), "--vsock", f"path={vsock.path}")
    assert line.endswith(f"vsock: {vsock.path} is left over from a process that has ended; remove it, or give another path")
    assert vsock.path.is_socket()
    vsock.path.unlink()
    vsock.path.write_text("precious")
    assert "is no socket" in launch.refuse("--kernel", bare("hello"), "--vsock", f"path={vsock.path}")
    assert vsock.path.read_text() == "precious"


def test_a_machine_that_cannot_be_made_leaves_no_socket(launch, tmp_path, vsock):
    kernel = tmp_path / "kernel"
    kernel.write_bytes(b"no kernel\n" * 100)
    launch.refuse("--kernel", kernel, "--vsock", f"path={vsock.path}")
    assert not vsock.path.exists()
