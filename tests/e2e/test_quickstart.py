"""tools/quickstart as a person calls it: one command in a guest, its output byte for byte, its status."""

import hashlib
import os
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


def test_a_guest_that_ends_without_the_status(repository):
    done = quickstart(repository, "poweroff", "-f")
    assert done.returncode == 246
    assert done.stderr.decode().splitlines()[-1].startswith("quickstart: the guest powered off before"), done.stderr


def test_a_set_up_that_fails(repository, tmp_path):
    """No folder for the cache can be made: one line, and a status that is no command's."""
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    done = subprocess.run([repository / "tools" / "quickstart", "--", "true"], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=60, check=False, env={**os.environ, "MOTE_CACHE": str(blocker / "cache")})  # fmt: skip
    assert done.returncode == 247
    assert done.stdout == b""
    assert done.stderr.decode().count("\n") == 1 and str(blocker) in done.stderr.decode(), done.stderr


def test_passes_status_and_streams_byte_for_byte(repository):
    script = "head -c 300000 /dev/urandom | tee /tmp/x; sha256sum /tmp/x | cut -d' ' -f1 >&2; exit 7"
    done = quickstart(repository, "sh", "-c", script)
    assert done.returncode == 7
    assert len(done.stdout) == 300000
    assert done.stderr.decode().strip() == hashlib.sha256(done.stdout).hexdigest()
