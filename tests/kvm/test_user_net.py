"""--net user: how mote starts passt, speaks with it and ends it, with a stand-in for passt (the real one: tests/e2e)."""

import os
import signal
import sys
import time

import pytest

# Sends frames to guest/bare/net.c in pieces, checks that each comes back, and stays until its socket is closed.
STAND_IN = """\
import os, socket, sys
wire = socket.socket(fileno=3)
folder = os.path.dirname(sys.argv[0])
def note(text):
    with open(folder + "/notes", "a") as file:
        file.write(text + "\\n")
def exactly(count):
    data = b""
    while len(data) < count:
        chunk = wire.recv(count - len(data))
        if not chunk:
            note("closed")
            sys.exit()
        data += chunk
    return data
note("arguments " + " ".join(sys.argv[1:]))
note("group " + str(os.getpgrp() == os.getpid()))
note("descriptors " + " ".join(sorted(os.listdir("/proc/self/fd"))))
def frame(payload):
    return b"\\xff" * 6 + b"\\x02" + bytes(5) + b"\\x88\\xb5" + payload
def send(payload):
    whole = frame(payload)
    whole = len(whole).to_bytes(4, "big") + whole
    for at in range(0, len(whole), 1000):
        wire.send(whole[at:at + 1000])
good = 0
for i in range(200):
    payload = i.to_bytes(4, "big") + os.urandom(46 + i * 50)
    send(payload)
    got = exactly(int.from_bytes(exactly(4), "big"))
    good += got[14:] == payload
note(f"echoed {good}")
if "stay" not in open(folder + "/mode").read():
    send(b"end" + bytes(43))
exactly(1)
"""


@pytest.fixture
def passt(tmp_path, monkeypatch):
    """A stand-in first in PATH; calling it gives the lines it has noted so far."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "mode").write_text("")
    program = folder / "passt"
    program.write_text(f"#!{sys.executable}\n{STAND_IN}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def notes(expected=None):
        deadline = time.monotonic() + 20
        while True:
            text = (folder / "notes").read_text() if (folder / "notes").exists() else ""
            if expected is None or expected in text.splitlines() or time.monotonic() > deadline:
                return text.splitlines()
            time.sleep(0.02)

    notes.mode = (folder / "mode").write_text
    return notes


def test_frames_both_ways(guest, passt):
    machine = guest("net", "bare.mode=echo", "--net", "user,mtu=4000")
    assert machine.wait(60) == 0, machine.messages
    assert machine.result()["frames"] == "200"
    notes = passt("closed")
    assert "arguments --foreground --quiet --no-map-gw --fd 3 --mtu=4000" in notes
    assert "echoed 200" in notes and "closed" in notes and "group True" in notes
    listing = next(line for line in notes if line.startswith("descriptors"))
    assert listing in ("descriptors 0 1 2 3", "descriptors 0 1 2 3 4"), listing  # 4: the listing's own


def test_it_ends_with_mote_however_that_ends(guest, passt):
    passt.mode("stay")
    machine = guest("net", "bare.mode=echo", "--net", "user")
    assert "echoed 200" in passt("echoed 200")
    machine.send_signal(signal.SIGKILL)
    assert "closed" in passt("closed")


def test_the_guest_outlives_it(guest, tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "passt").write_text("#!/bin/sh\nexit 1\n")
    (folder / "passt").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    machine = guest("net", "bare.mode=send bare.ops=1000", "--net", "user")
    machine.expect(b"ready\n")
    time.sleep(0.3)
    machine.send(b"g")
    assert machine.wait(30) == 0
    assert machine.result()["frames"] == "1000"
    assert machine.messages.count("gone") == 1, machine.messages


def test_without_passt_the_message_says_how_to_get_it(launch, bare, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    line = launch.refuse("--kernel", bare("hello"), "--no-acpi", "--net", "user")
    assert "net0: cannot start passt" in line and "sudo apt install passt" in line
