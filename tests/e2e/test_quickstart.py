"""tools/quickstart as a person calls it: one command in a guest, its output byte for byte, its status."""

import hashlib
import subprocess

import pytest

pytestmark = pytest.mark.host


def quickstart(repository, *command):
    return subprocess.run([repository / "tools" / "quickstart", "--", *command], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=600, check=False)  # fmt: skip


def test_prints_what_the_command_prints(repository):
    done = quickstart(repository, "uname", "-a")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"Linux mote ") and done.stdout.count(b"\n") == 1
    assert done.stderr == b""


def test_passes_status_and_streams_byte_for_byte(repository):
    script = "head -c 300000 /dev/urandom | tee /tmp/x; sha256sum /tmp/x | cut -d' ' -f1 >&2; exit 7"
    done = quickstart(repository, "sh", "-c", script)
    assert done.returncode == 7
    assert len(done.stdout) == 300000
    assert done.stderr.decode().strip() == hashlib.sha256(done.stdout).hexdigest()
