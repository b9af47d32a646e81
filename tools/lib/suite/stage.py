"""Stages of the test suite: what one is, what it yields, and how a command of one is run."""
import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parent.parent.parent.parent


@dataclass
class Outcome:
    """What a stage found: counts of test cases, a line for each failure and each skip."""
    passed: int = 0
    failures: list = field(default_factory=list)
    skips: list = field(default_factory=list)

    def add(self, other):
        self.passed += other.passed
        self.failures += other.failures
        self.skips += other.skips


@dataclass
class Stage:
    """One step. `run(context)` returns an Outcome; it is called once all of `needs` have succeeded.

    `cores` is what it keeps busy; `alone` is for tests that measure time and need a quiet machine.
    """
    name: str
    title: str
    run: Callable
    needs: tuple = ()
    cores: int = 1
    alone: bool = False
    quick: bool = False


_live = set()  # processes of commands that run now


class StageFailed(Exception):
    """A command of a stage failed; the text says how."""


class Context:
    """What a stage gets: its log, its folder for results, and a way to run commands."""

    def __init__(self, name, folder, only):
        self.name = name
        self.folder = folder
        self.only = only  # names of tests the user asked for, or nothing
        self.log = folder / f"{name}.log"

    def command(self, arguments, limit=1200, env=None, cwd=ROOT):
        """Runs a command, its output in the stage's log; returns its status. Ends it after `limit` seconds."""
        with open(self.log, "ab") as log:
            log.write(("$ " + " ".join(str(a) for a in arguments) + "\n").encode())
            log.flush()
            process = subprocess.Popen(
                [str(a) for a in arguments], cwd=cwd, env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            _live.add(process)
            try:
                return process.wait(limit)
            except subprocess.TimeoutExpired:
                log.write(f"ended after {limit} s\n".encode())
                raise StageFailed(f"did not end within {limit} s: {Path(str(arguments[0])).name}") from None
            finally:
                end_group(process)
                _live.discard(process)

    def must(self, arguments, **options):
        """command() that has to succeed."""
        status = self.command(arguments, **options)
        if status != 0:
            raise StageFailed(f"{Path(str(arguments[0])).name} ended with {describe(status)}")


def end_group(process):
    """Ends what is left of a command's process group: nothing of a stage outlives it."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(5)
    except ProcessLookupError:
        pass
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def end_all():
    """Ends every command that runs: this program is about to end."""
    for process in list(_live):
        end_group(process)


def describe(status):
    """An exit status of subprocess in words."""
    if status >= 0:
        return f"status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"
