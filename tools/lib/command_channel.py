"""The host's side of the command channel: a disk that carries one command into a guest and its output
and exit status out. The format, with its reasons: docs/command-channel.md."""
import os
import struct
import zlib

MAGIC = b"motecmd1"
SECTOR = 512
ACKNOWLEDGEMENT = 512
REQUEST = 4096
MAX_REQUEST = 1 << 20
RING = 2 << 20
RING_LENGTH = 16 << 20
FRAME = struct.Struct("<4sIQIIQ")  # magic, CRC-32 of what follows, sequence, type, length, position
MAX_PAYLOAD = 128 * 1024 - FRAME.size

STDOUT, STDERR, END, SKIP = 1, 2, 3, 4


class ChannelError(Exception):
    """The guest wrote something that the format does not allow; the text is one line for the user."""


def make_disk(path, arguments, environment=(), cwd=None):
    """Creates the (sparse) disk image `path` with one request in it. Raises ValueError when it is too long."""
    strings = [f"arg={argument}" for argument in arguments] + [f"env={entry}" for entry in environment]
    if cwd:
        strings.append(f"cwd={cwd}")
    request = b"".join(os.fsencode(string) + b"\0" for string in strings)
    if len(request) > MAX_REQUEST:
        raise ValueError(f"the command is {len(request)} bytes long; {MAX_REQUEST} are possible")
    header = struct.pack("<8sIIIIQQ", MAGIC, REQUEST, len(request), zlib.crc32(request), 0, RING, RING_LENGTH)
    with open(path, "wb") as disk:
        disk.truncate(RING + RING_LENGTH)
        disk.write(header)
        disk.seek(ACKNOWLEDGEMENT)
        disk.write(struct.pack("<QQ", 0, 2**64 - 1))
        disk.seek(REQUEST)
        disk.write(request)


class Reader:
    """Follows the frames in a disk while a guest writes them."""

    def __init__(self, path):
        self.disk = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.sequence = 0
        self.position = 0
        self.status = None  # the command's exit status, once it has ended

    def close(self):
        os.close(self.disk)

    def next(self):
        """The next complete frame as (STDOUT or STDERR, bytes); None when there is none yet, or no more."""
        while self.status is None:
            frame = self._read()
            if frame is None:
                return None
            kind, payload = frame
            if kind in (STDOUT, STDERR):
                return frame
            if kind == END:
                if len(payload) != 4:
                    raise ChannelError("the guest's last frame has no exit status")
                self.status = struct.unpack("<I", payload)[0] & 0xFF
        return None

    def _read(self):
        """One frame of any kind, which is thereby consumed; None when it is not there in full."""
        at = self.position % RING_LENGTH
        start = os.pread(self.disk, FRAME.size, RING + at)
        if len(start) < FRAME.size:
            return None
        magic, crc, sequence, kind, length, position = FRAME.unpack(start)
        # What an earlier lap left here has an earlier position.
        if magic != b"mfrm" or sequence != self.sequence or position != self.position:
            return None
        size = -(-(FRAME.size + length) // SECTOR) * SECTOR
        left = RING_LENGTH - at
        if length > MAX_PAYLOAD or size > left or kind not in (STDOUT, STDERR, END, SKIP):
            raise ChannelError(f"frame {sequence}: type {kind} with {length} bytes is not possible")
        payload = os.pread(self.disk, length, RING + at + FRAME.size)
        if zlib.crc32(start[8:] + payload) != crc:
            return None  # a write of it is still under way
        self.sequence += 1
        self._acknowledge(left if kind == SKIP else size)
        return kind, payload

    def _acknowledge(self, size):
        self.position += size
        os.pwrite(self.disk, struct.pack("<QQ", self.position, 2**64 - 1 - self.position), ACKNOWLEDGEMENT)
