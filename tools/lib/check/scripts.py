"""Shell and Python scripts."""
import os
import re
import subprocess

from check import files


def _run(arguments):
    done = subprocess.run([str(a) for a in arguments], cwd=files.ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def shell():
    for path, name in files.shell():
        status, output = _run([name if name == "bash" else "dash", "-n", path])
        if status:
            yield f"{path}:1: {output.strip()}"
    status, output = _run(["shellcheck", "-x", "-f", "gcc", "-S", "warning", *(path for path, _ in files.shell())])
    if status:
        yield from output.splitlines()


def python():
    status, output = _run(["/usr/bin/python3", "-m", "pyflakes", *files.python()])
    if status:
        yield from output.splitlines()


def executable():
    """A file with #! can be executed, one without cannot."""
    for path in files.all_files():
        starts = (files.ROOT / path).read_bytes()[:2] == b"#!"
        may = os.access(files.ROOT / path, os.X_OK)
        if starts != may and not re.search(r"(^|/)(rootfs|corpus)/", str(path)):
            yield f"{path}:1: " + ("starts with #! but is not executable" if starts else "is executable without #!")


def includes():
    status, output = _run(["tools/check-includes"])
    if status:
        yield from output.splitlines()
