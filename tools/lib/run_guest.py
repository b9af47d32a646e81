#!/usr/bin/python3
"""Boots a guest with `mote run`, directly or in the lab, with its console on this terminal or, given a
command, with the command's output and exit status. The last step of tools/quickstart."""
import argparse
import atexit
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import command_channel  # noqa: E402

ENDED_BY_USER, NO_STATUS, SETUP_FAILED, LAB_FAILED = 245, 246, 247, 248
# mote's own statuses that speak about the guest's end, not about mote: with a command, no status came.
GUEST_ENDS = {0: "powered off", 242: "rebooted", 243: "panicked", 244: "crashed"}
POLL_SECONDS = 0.005
LAB_MEMORY_MIB = 1536  # what the lab needs beside the guest's memory
FOLDER_PREFIX = "mote-quickstart."
REPOSITORY = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))


def mebibytes(size):
    """`mote run --mem`'s notation as MiB; 256 for what mote itself will refuse."""
    match = re.fullmatch(r"(\d+)([KMGT]?)(?:i?B)?", size, re.IGNORECASE)
    if not match:
        return 256
    scale = {"": 2**20, "K": 2**10, "M": 1, "G": 2**-10, "T": 2**-20}[match[2].upper()]
    return int(int(match[1]) / scale)


class Guest:
    """One run; its folder holds the root's copy, the command disk and the logs."""

    def __init__(self, options):
        self.options = options
        remove_leftovers()
        self.folder = tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}.", dir="/tmp")
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.process = None
        self.signalled = 0
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, self._pass_on)

    def path(self, name):
        return os.path.join(self.folder, name)

    def interactive(self):
        """The console on this terminal; returns mote's status."""
        term = re.sub(r"[^A-Za-z0-9._+-]", "", os.environ.get("TERM", "vt100")) or "vt100"
        self._start(self._machine(f"TERM={term} quiet loglevel=3", "tty"))
        return self.process.wait()

    def command(self, arguments):
        """The command's output on ours; returns its status, or one that says why there is none."""
        environment = [f"{name}={os.environ[name]}" for name in ("TERM", "LANG") if name in os.environ]
        disk = self.path("command")
        command_channel.make_disk(disk, arguments, environment)
        machine = self._machine("quiet loglevel=3 init=/sbin/mote-agent mote.command=/dev/vdb", f"file:{self.path('console')}")
        with open(self.path("log"), "wb") as log:
            self._start(machine + ["--disk", disk], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        reader = command_channel.Reader(disk)
        self._copy(reader)
        ended = self.process.wait()
        if reader.status is not None:
            return reader.status
        return self._explain(ended)

    def _copy(self, reader):
        """Passes frames on until the status came or the machine has ended and all is read."""
        while reader.status is None:
            ended = self.process.poll() is not None
            frame = reader.next()
            if frame:
                write_all(frame[0], frame[1])
            elif ended:
                return
            elif reader.status is None:
                time.sleep(POLL_SECONDS)

    def _explain(self, ended):
        """Says on stderr why no status came."""
        if self.signalled:
            return ENDED_BY_USER
        for name in ("log", "console"):
            try:
                with open(self.path(name), encoding="utf-8", errors="replace") as text:
                    for line in text.read().strip().splitlines()[-15:]:
                        print(f"    {line}", file=sys.stderr)
            except FileNotFoundError:
                pass
        if ended in GUEST_ENDS:
            print(f"quickstart: the guest {GUEST_ENDS[ended]} before the command's status came", file=sys.stderr)
            return NO_STATUS
        print(f"quickstart: mote ended with status {ended}", file=sys.stderr)
        return ended if 0 <= ended < 256 else 128 - ended

    def _machine(self, command_line, console):
        """`mote run` with everything but further disks."""
        options = self.options
        root = options.root
        if options.where == "kvm":  # in the lab writes stay in the lab
            root = self.path("root.ext4")
            subprocess.run(["cp", "--reflink=auto", "--sparse=always", options.root, root], check=True)
        command = [options.mote, "run", "--name", "quickstart", "--cpus", options.cpus, "--mem", options.mem,
                   "--kernel", options.kernel, "--cmdline", command_line, "--console", console]
        if options.initrd:
            command += ["--initrd", options.initrd]
        return command + ["--disk", root]

    def _start(self, command, **streams):
        if self.options.where == "lab":
            memory = LAB_MEMORY_MIB + mebibytes(self.options.mem)
            command = [f"{REPOSITORY}/tools/lab", "--mem", str(max(memory, 2048)), "--out", self.folder, "--", *command]
        # A command's machine is not in the terminal's foreground: Ctrl-C reaches it through us, once.
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", *command],
                                        start_new_session="stdin" in streams, **streams)

    def _pass_on(self, number, _):
        self.signalled = number
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM if number == signal.SIGINT else number)
        elif not self.process:
            raise SystemExit(ENDED_BY_USER)


def remove_leftovers():
    """Removes the folders of runs that were killed before they could do so themselves."""
    for path in glob.glob(f"/tmp/{FOLDER_PREFIX}*"):
        owner = path[len(f"/tmp/{FOLDER_PREFIX}"):].partition(".")[0]
        if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            shutil.rmtree(path, ignore_errors=True)


def write_all(fd, data):
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view):]
        except BlockingIOError:
            time.sleep(POLL_SECONDS)


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--where", choices=("kvm", "lab"), required=True)
    for name in ("mote", "kernel", "initrd", "root", "cpus", "mem"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.command[:1] == ["--"]:
        options.command = options.command[1:]
    return options


def main():
    options = parse()
    guest = Guest(options)
    try:
        return guest.command(options.command) if options.command else guest.interactive()
    except (command_channel.ChannelError, ValueError) as error:
        print(f"quickstart: {error}", file=sys.stderr)
        return NO_STATUS
    except BrokenPipeError:
        guest.process.terminate()
        guest.process.wait()
        return 128 + signal.SIGPIPE


if __name__ == "__main__":
    sys.exit(main())
