"""The virtio console beside COM1, and instead of it: files, sockets, the terminal."""

import socket

import pytest

FLOOD = 1 << 20
FLOODED = b"".join(b"%07d\n" % line for line in range(FLOOD // 8))  # what guest/bare/console.c sends


@pytest.fixture
def console(guest):
    """console(DESTINATION, words, *options): the bare guest console with a virtio console at DESTINATION."""

    def run(destination, words="", *options, terminal=False):
        return guest("console", words, "--virtio-console", destination, *options, terminal=terminal)

    return run


def test_output_is_whole_and_in_order(console, tmp_path):
    path = tmp_path / "console.txt"
    result = console(f"file:{path}", f"bare.mode=flood bare.bytes={FLOOD}").good(sent=FLOOD, columns=0)
    assert path.read_bytes() == FLOODED
    assert int(result["kicks"]) <= FLOOD // 4096


def test_a_socket_both_ways(console, tmp_path):
    path = tmp_path / "hvc.sock"
    machine = console(f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        while client.connect_ex(str(path)):
            assert machine.process.poll() is None, machine.messages
        seen = b""
        while not seen.endswith(b"ready\n"):
            seen += client.recv(4096)
        text = b"x" * 10_000 + b"q"
        client.sendall(text)
        seen = b""
        while len(seen) < len(text):
            seen += client.recv(65536)
        assert seen == text
    machine.good(received=len(text))
    assert not path.exists()


def test_the_terminal(console, tmp_path):
    """It is raw, tells its size, and Ctrl-A works: as with COM1, which is in a file here."""
    com1 = tmp_path / "com1.txt"
    machine = console("tty", "", "--console", f"file:{com1}", terminal=True)
    machine.expect(b"ready\n")
    machine.send(b"abc\x01a")
    machine.expect(b"abc\x01")
    machine.send(b"q")
    assert machine.wait_unread() == 0
    assert "columns=80 rows=24" in com1.read_text()


def test_ctrl_a_x(console):
    machine = console("tty", "", "--console", "off", terminal=True)
    machine.expect(b"ready\n")
    machine.send(b"\x01x")
    assert machine.wait_unread() == 245


def test_two_consoles_have_two_ends(launch, bare, tmp_path):
    where = ("--kernel", bare("console"))
    assert "the terminal is the console's already" in launch.refuse(*where, "--virtio-console", "tty")
    path = f"file:{tmp_path / 'one'}"
    line = launch.refuse(*where, "--console", path, "--virtio-console", path)
    assert "is the console's path already" in line
    assert not (tmp_path / "one").exists()
    (tmp_path / "one").touch()
    (tmp_path / "two").symlink_to("one")
    line = launch.refuse(*where, "--console", path, "--virtio-console", f"file:{tmp_path / 'two'}")
    assert line.endswith("is also console; give another path")
