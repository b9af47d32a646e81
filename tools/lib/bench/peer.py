"""tests/bench/peer.c: what guests exchange data with, and the floor: the same work by a plain host process."""

import contextlib
import functools
import os
import re
import subprocess
import tempfile
from pathlib import Path

from .process import BenchError


@functools.cache
def program(root, work):
    """The compiled peer."""
    path = Path(work) / "peer"
    source = Path(root) / "tests" / "bench" / "peer.c"
    subprocess.run(["gcc", "-O2", "-o", str(path), str(source)], check=True)
    return path


def first_cpu():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@contextlib.contextmanager
def peer(env, *words):
    """Runs the peer until the block ends, from its `ready` on; on the first CPU, as the monitors' devices are."""
    command = [str(program(env.root, env.work)), *map(str, words)]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, preexec_fn=first_cpu)
        try:
            if process.stdout.readline() != b"ready\n":
                errors.seek(0)
                raise BenchError(f"peer {words[0]}: {errors.read().decode().strip()}")
            yield process
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def floor_ns(env, *words):
    """The nanoseconds of one of the peer's floors."""
    command = [str(program(env.root, env.work)), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r"^floor ns=(\d+)$", done.stdout, re.MULTILINE)
    if not found:
        raise BenchError(f"peer {words[0]}: {done.stderr.strip()}")
    return int(found[1])
