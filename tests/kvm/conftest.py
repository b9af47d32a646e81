"""KVM tests: the real mote binary runs bare guests (guest/bare) on this machine's /dev/kvm."""

import contextlib
import os
from pathlib import Path

import pytest

from support_py.pattern import pattern


def pytest_collection_modifyitems(items):
    if not os.path.exists("/dev/kvm"):
        for item in items:
            if "tests/kvm/" in str(item.fspath):
                item.add_marker(pytest.mark.skip(reason="no /dev/kvm on this machine: NO BARE GUEST WAS RUN"))


@pytest.fixture(scope="session")
def bare(mote):
    """bare(NAME): the path of a bare guest, from $MOTE_BARE or mote's own build folder."""
    folder = Path(os.environ.get("MOTE_BARE") or mote.parent / "guest" / "bare")

    def path(name):
        program = folder / name
        if not program.is_file():
            pytest.fail(f"{program} does not exist; run tools/build, or set MOTE_BARE=FOLDER", pytrace=False)
        return program

    return path


@pytest.fixture
def guest(launch, bare):
    """guest(NAME, words, *options): runs a bare guest; `words` go to its command line; `errors` as in Launcher.run."""

    def run(name, words="", *options, terminal=False, errors=None):
        start = launch.run_on_terminal if terminal else launch.run
        return start("--kernel", bare(name), "--cmdline", f"bare.exit=acpi {words}", "--no-acpi", "--no-entropy",
                     "--no-balloon", "--mem", "64M", *options, errors=errors)  # fmt: skip

    return run


@pytest.fixture
def full_pipe():
    """The writing end of a pipe that takes no byte more and that nobody reads."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"." * 4096)
    os.set_blocking(writer, True)
    yield writer
    os.close(reader)
    os.close(writer)


@pytest.fixture
def disk(tmp_path):
    """disk(NAME, size=BYTES, content=None): makes a raw image, patterned where no content is given."""

    def make(name="disk.raw", size=1 << 20, content=None):
        path = tmp_path / name
        path.write_bytes(pattern(0, size) if content is None else content)
        return path

    return make
