"""The command channel's two sides against each other, and the host's side against a hostile guest."""
import os
import struct
import subprocess
import time
import zlib
from pathlib import Path

import pytest

from command_channel import FRAME, MAX_PAYLOAD, RING, RING_LENGTH, STDERR, STDOUT, ChannelError, Reader, make_disk

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "command"
    make_disk(path, ["echo", "a b"], ["TERM=xterm"])
    return path


@pytest.fixture
def reader(disk):
    reader = Reader(disk)
    yield reader
    reader.close()


def frame(sequence, kind, payload, position, length=None):
    length = len(payload) if length is None else length
    rest = struct.pack("<QIIQ", sequence, kind, length, position) + payload
    return b"mfrm" + struct.pack("<I", zlib.crc32(rest)) + rest


def put(disk, data, at=0):
    with open(disk, "r+b") as image:
        image.seek(RING + at)
        image.write(data)


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    program = tmp_path_factory.mktemp("writer") / "channel_writer"
    subprocess.run(["gcc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program,
                    ROOT / "tests/tools/channel_writer.c", ROOT / "guest/agent/channel.c"], check=True)
    return program


def test_frames_arrive_in_order_over_several_laps_of_the_ring(disk, reader, writer):
    frames = 900  # about 59 MB through a ring of 16 MiB
    with subprocess.Popen([writer, disk, str(frames)], stdout=subprocess.PIPE) as process:
        seen, total = 0, 0
        while reader.status is None:
            got = reader.next()
            if got is None:
                time.sleep(0.001)
                assert process.poll() in (None, 0)
                continue
            kind, payload = got
            assert kind == (STDERR if seen % 2 else STDOUT)
            assert len(payload) == seen * 7919 % (MAX_PAYLOAD + 1)
            expected = bytes((total + i) % 251 for i in range(min(300, len(payload))))
            assert payload[:300] == expected
            seen, total = seen + 1, total + len(payload)
        assert process.stdout.readline() == b"32 arg=echo\n"
        assert process.wait() == 0
    assert seen == frames and total > 3 * RING_LENGTH
    assert reader.status == 42


def test_a_slow_reader_holds_the_writer_back(disk, reader, writer):
    with subprocess.Popen([writer, disk, "900"], stdout=subprocess.DEVNULL) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
        assert os.stat(disk).st_size == RING + RING_LENGTH
        while reader.status is None:
            reader.next()
        assert process.wait() == 0


def test_an_empty_ring_has_no_frame(reader):
    assert reader.next() is None and reader.status is None


def test_a_frame_written_in_part_is_not_there_yet(disk, reader):
    whole = frame(0, STDOUT, b"x" * 5000, 0)
    put(disk, whole[:3000])
    assert reader.next() is None
    put(disk, whole)
    assert reader.next() == (STDOUT, b"x" * 5000)


@pytest.mark.parametrize("sequence, position", [(1, 0), (0, RING_LENGTH), (2**63, 2**63)])
def test_a_frame_of_another_place_or_lap_is_not_taken(disk, reader, sequence, position):
    put(disk, frame(sequence, STDOUT, b"old", position))
    assert reader.next() is None


@pytest.mark.parametrize("kind, length", [(STDOUT, MAX_PAYLOAD + 1), (STDOUT, 2**32 - 1), (0, 0), (5, 0), (2**32 - 1, 0)])
def test_an_impossible_frame_ends_the_reading(disk, reader, kind, length):
    put(disk, frame(0, kind, b"", 0, length))
    with pytest.raises(ChannelError):
        reader.next()


def test_an_end_without_a_status_ends_the_reading(disk, reader):
    put(disk, frame(0, 3, b"\x07", 0))
    with pytest.raises(ChannelError):
        reader.next()


def test_the_status_is_eight_bits(disk, reader):
    put(disk, frame(0, 3, struct.pack("<I", 0x12345607), 0))
    assert reader.next() is None and reader.status == 7


def test_the_frame_header_has_the_documented_size():
    assert FRAME.size == 32


def test_a_command_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(ValueError):
        make_disk(tmp_path / "command", ["x" * (1 << 20)])
