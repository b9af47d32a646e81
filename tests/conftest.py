"""Fixtures that all pytest suites share (tests/kvm, tests/e2e)."""

import os
from pathlib import Path

import pytest

from support_py.machine import Launcher

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def mote():
    """The mote binary under test: $MOTE, or what tools/build leaves."""
    path = Path(os.environ.get("MOTE") or ROOT / "build" / "mote")
    if not path.is_file():
        pytest.fail(f"{path} does not exist; run tools/build, or set MOTE=PATH", pytrace=False)
    return path.resolve()


@pytest.fixture
def launch(mote, tmp_path):
    """Starts `mote run` (see support_py.machine.Launcher); whatever still runs at the end is killed."""
    launcher = Launcher(mote, tmp_path)
    yield launcher
    launcher.close()
