"""tools/lab: what goes in, what comes out, and that nothing else does (docs/lab.md)."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.host

LAB = Path(__file__).resolve().parent.parent.parent / "tools" / "lab"
LIMIT = 240  # seconds; a lab takes 4 to 10 on an idle machine


def lab(*arguments, **options):
    return subprocess.run([LAB, *arguments], capture_output=True, timeout=LIMIT, check=False, **options)


def folders(process):
    """The folder of a running lab, which its machine's command line names."""
    return list(Path("/tmp").glob(f"mote-lab.{process.pid}.*"))


@pytest.fixture
def started():
    """started(*arguments): a lab whose command has written its first line."""
    running = []

    def start(*arguments):
        process = subprocess.Popen([LAB, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        running.append(process)
        assert process.stdout.readline() == b"up\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def test_streams_pass_byte_for_byte_and_apart():
    data = os.urandom(1_000_000)
    done = lab("sh", "-c", "tee /dev/stderr; exit 7", input=data)
    assert (done.returncode, done.stdout, done.stderr) == (7, data, data)


def test_a_lab_that_sleeps_is_woken():
    """QEMU loses interrupts of guests that use SVM; without a heartbeat a lab whose timer is lost sleeps for ever."""
    count = "awk '/virtio0-virtqueues/ {print $2}' /proc/interrupts"
    done = lab("sh", "-c", f"{count}; sleep 3; {count}")
    before, after = map(int, done.stdout.split())
    assert after - before >= 5


def test_the_lab_has_a_kvm_user_namespaces_tracepoints_and_the_callers_surroundings(tmp_path):
    script = ('test -c /dev/kvm && unshare -Ur true && test -d /sys/kernel/tracing/events/kvm && test -c /dev/net/tun '
              '&& pwd && echo "$GREETING" && nproc')
    done = lab("--cpus", "2", "sh", "-c", script, cwd=tmp_path, env={**os.environ, "GREETING": "good day"})
    assert done.stderr == b""
    assert done.stdout.decode().split("\n") == [str(tmp_path), "good day", "2", ""]
    assert done.returncode == 0


def test_writes_stay_inside_except_below_out(tmp_path):
    kept, out = tmp_path / "kept", tmp_path / "out"
    kept.write_text("old")
    out.mkdir()
    done = lab("--out", out, "sh", "-c", f"echo new >{kept}; touch {tmp_path}/more; cat {kept}; echo result >{out}/file")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"new\n", b"")
    assert kept.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "out"]
    assert (out / "file").read_text() == "result\n"


@pytest.mark.parametrize("command, status", [(["sh", "-c", "kill -9 $$"], 137), (["/no/such/program"], 127),
                                             (["/etc/passwd"], 126)])
def test_the_status_is_a_shells(command, status):
    assert lab("--", *command).returncode == status


def test_a_lab_that_fails_says_so_in_one_line_with_status_248():
    done = lab("sh", "-c", "echo b >/proc/sysrq-trigger; sleep 100")
    assert done.returncode == 248
    assert done.stderr.startswith(b"tools/lab: ") and done.stderr.count(b"\n") == 1


def test_a_time_limit_ends_the_command():
    done = lab("--timeout", "1", "sleep", "100")
    assert (done.returncode, done.stderr) == (248, b"tools/lab: no end after 1 s\n")


def test_sigterm_goes_to_the_command_and_nothing_is_left(started):
    process = started("sh", "-c", 'trap "exit 9" TERM; echo up; sleep 100 & wait')
    assert folders(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT) == 9
    assert not folders(process)


def test_a_killed_lab_takes_its_machine_along(started):
    process = started("sh", "-c", "echo up; sleep 1000")
    folder, = folders(process)
    process.kill()
    end = time.monotonic() + 20
    while subprocess.run(["pgrep", "-f", str(folder)], stdout=subprocess.DEVNULL, check=False).returncode == 0:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_labs_run_side_by_side():
    both = [subprocess.Popen([LAB, "sh", "-c", f"sleep 1; exit {status}"], stdin=subprocess.DEVNULL) for status in (3, 4)]
    assert [process.wait(LIMIT) for process in both] == [3, 4]


def test_a_terminal_is_passed_on_and_given_back():
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    before = termios.tcgetattr(theirs)

    def take_terminal():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    with subprocess.Popen([LAB, "sh", "-c", "stty size; sleep 100; read line; echo got $line; exit 5"], stdin=theirs,
                          stdout=theirs, stderr=theirs, preexec_fn=take_terminal) as process:
        seen = b""
        while b"33 101" not in seen:
            seen += os.read(ours, 4096)
        assert not termios.tcgetattr(theirs)[3] & (termios.ECHO | termios.ISIG)
        os.write(ours, b"\x1a")  # a key that would stop a program on this side
        os.write(ours, b"\x03")  # ends the shell there, as it leads the terminal's group
        process.wait(LIMIT)
    assert process.returncode == 128 + signal.SIGINT
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)
