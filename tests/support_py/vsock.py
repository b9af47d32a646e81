"""The host's side of a guest's vsock device: Unix sockets at PATH and PATH_PORT."""

import contextlib
import os
import resource
import socket
import zlib

from support_py.machine import PATIENCE

LIMIT = 20  # seconds


def _socket():
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(LIMIT * PATIENCE)
    return made


class Vsock:
    """Gives out sockets, and closes all of them with the test."""

    def __init__(self, folder):
        self.path = folder / "vsock"
        self._sockets = []

    def _keep(self, made):
        self._sockets.append(made)
        return made

    def client(self, greeting=b""):
        """A client that has said `greeting` and read nothing."""
        made = self._keep(_socket())
        made.connect(str(self.path))
        if greeting:  # a connection that was closed already fails even for nothing
            made.sendall(greeting)
        return made

    def connect(self, port):
        """A connection to `port` of the guest."""
        made = self.client(b"CONNECT %d\n" % port)
        line = read_line(made)
        assert line.startswith(b"OK ") and line.endswith(b"\n"), line
        return made

    def listen(self, port, backlog=1024):
        made = self._keep(_socket())
        made.bind(f"{self.path}_{port}")
        made.listen(backlog)
        return made

    def accept(self, listener):
        made = self._keep(listener.accept()[0])
        made.settimeout(LIMIT * PATIENCE)
        return made

    def close(self):
        for one in self._sockets:
            one.close()
        for name in self.path.parent.glob(self.path.name + "_*"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


def read_line(connection):
    """The line up to and with its end, and not a byte more."""
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            break
        line += byte
    return line


def read_all(connection):
    """Reads up to the end of the stream: (bytes, their Adler-32)."""
    size, total = 0, 1
    while part := connection.recv(1 << 18):
        size += len(part)
        total = zlib.adler32(part, total)
    return size, total


def numbered_blocks(size):
    """numbered(size), in blocks of a MiB and a rest."""
    block = numbered(min(size, 1 << 20))
    for _ in range(size >> 20):
        yield block
    if size % (1 << 20):
        yield block[: size % (1 << 20)]


def sum_of_numbered(size):
    total = 1
    for block in numbered_blocks(size):
        total = zlib.adler32(block, total)
    return total


def allow_many_files(count):
    """Raises this process's limit of open files where it is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def numbered(size):
    """What guest/bare/vsock.c sends: bytes that tell where they belong."""
    period = bytes((i * 31 >> 3) & 0xFF for i in range(2048))
    return (period * (size // 2048 + 1))[:size]
