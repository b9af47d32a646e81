"""One command in the lab: its streams, signals and exit status (the other side is guest/lab/agent.c)."""
import os
import queue
import signal
import socket
import sys
import threading
import time

from . import terminal
from .machine import LabError, Machine, prepare

LAB_FAILED = 248
START_LIMIT = 180  # seconds until the lab's agent must have answered; it takes 3 to 8 on an idle machine
GRACE = 45  # seconds between a signal passed on to the command and the end of the lab

# QEMU's SVM emulation now and then loses an interrupt that arrives while it enters or leaves a guest: its
# interrupt flags are changed by two threads without a lock. The interrupt stays pending, and the next one of any
# kind brings it too; a lab whose last timer was lost would sleep for ever. So it gets an interrupt from here.
HEARTBEAT = 0.2  # seconds

# What belongs to this machine's desktop or shell and would mislead a program in the lab.
ENVIRONMENT_LEFT_OUT = ("DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK",
                        "SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY", "TMUX", "TMUX_PANE", "STY", "OLDPWD", "_")


def receive(source):
    """Bytes from a socket; none when the machine behind it is gone."""
    try:
        return source.recv(65536)
    except OSError:
        return b""


class Session:
    """Events of all threads meet in one queue; the main thread decides."""

    def __init__(self, options):
        self.options = options
        self.events = queue.SimpleQueue()
        self.machine = None
        self.raw = None
        self.copied = {1: 0, 2: 0}
        self.control = self.data = self.errors = None

    def run(self):
        """Returns the exit status."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, lambda n, _: self.events.put(("signal", n)))
        initramfs, kernel = prepare()
        self.machine = Machine(self.options)
        try:
            self.control, self.data, self.errors = self.machine.start(initramfs, kernel)
            return self._serve(kernel)
        finally:
            if self.raw:
                self.raw.restore()
            self.machine.close()

    def _serve(self, kernel):
        self._send_request(kernel)
        if not self.options.icount:  # there it would change what is counted, and timers cannot get lost
            threading.Thread(target=self._heartbeat, daemon=True).start()
        for work in (self._copy_control, lambda: self._copy_output(self.data, 1),
                     lambda: self._copy_output(self.errors, 2), self._copy_input):
            threading.Thread(target=work, daemon=True).start()
        limit, reason = time.monotonic() + START_LIMIT, f"not up after {START_LIMIT} s"
        signalled = None
        while True:
            event, *details = self._next_event(limit, signalled)
            if event == "exit":
                status, out, errors = details
                self._drain(out, errors)
                return status
            if event == "fail":
                raise LabError(details[0])
            if event == "gone":
                time.sleep(0.1)  # QEMU closes its sockets a moment before it ends
                raise LabError(self.machine.why_ended())
            if event == "limit":
                raise LabError(reason)
            if event == "ready":
                limit = time.monotonic() + self.options.timeout if self.options.timeout else None
                reason = f"no end after {self.options.timeout or 0:g} s"
            if event == "grace":
                return 128 + signalled[0]
            if event == "signal":
                signalled = signalled or (details[0], time.monotonic() + GRACE)
                self._say(f"signal {details[0]}")
            if event == "size":
                self._say("size {} {}".format(*terminal.size(0)))

    def _next_event(self, limit, signalled):
        """The next event, or what a clock says: the time limit, or the grace after a signal."""
        while True:
            try:
                return self.events.get(timeout=0.1)
            except queue.Empty:
                now = time.monotonic()
                if limit and now > limit:
                    return ("limit",)
                if signalled and now > signalled[1]:
                    return ("grace",)
                if not self.machine.running():
                    return ("gone",)

    def _send_request(self, kernel):
        interactive = terminal.in_foreground(0) and (os.isatty(1) or os.isatty(2))
        fields = [f"arg={argument}" for argument in self.options.command]
        fields += [f"env={name}={value}" for name, value in os.environ.items() if name not in ENVIRONMENT_LEFT_OUT]
        fields.append("env=MOTE_IN_LAB=1")
        fields.append(f"cwd={os.getcwd()}")
        with open(f"{kernel}/release", encoding="ascii") as release:
            fields.append(f"release={release.read().strip()}")
        fields.append(f"modules={kernel}/lib/modules/{fields[-1].split('=')[1]}")
        if self.options.out:
            fields.append(f"out={os.path.realpath(self.options.out)}")
        if interactive:
            fields.append("tty=1" + "".join("1" if os.isatty(fd) else "0" for fd in (1, 2)))
            fields.append("rows={}".format(terminal.size(0)[0]))
            fields.append("columns={}".format(terminal.size(0)[1]))
            signal.signal(signal.SIGWINCH, lambda *_: self.events.put(("size",)))
            self.raw = terminal.RawTerminal(0)
        blob = b"".join(os.fsencode(field) + b"\0" for field in fields)
        self.control.sendall(f"start {len(blob)}\n".encode() + blob)

    def _say(self, line):
        try:
            self.control.sendall(line.encode() + b"\n")
        except OSError:
            pass  # the machine is gone, which another event tells

    def _heartbeat(self):
        """An empty line now and then, which the agent ignores."""
        while True:
            time.sleep(HEARTBEAT)
            try:
                self.control.send(b"\n", socket.MSG_DONTWAIT)
            except BlockingIOError:
                pass  # nobody reads them, so there is no need for more
            except OSError:
                return

    def _copy_control(self):
        pending = b""
        while chunk := receive(self.control):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                word, _, rest = line.decode(errors="replace").partition(" ")
                if word == "exit":
                    self.events.put(("exit", *map(int, rest.split())))
                elif word == "fail":
                    self.events.put(("fail", rest))
                elif word == "ready":
                    self.events.put(("ready",))
        self.events.put(("gone",))

    def _copy_output(self, source, fd):
        while chunk := receive(source):
            view = memoryview(chunk)
            while view:
                try:
                    view = view[os.write(fd, view):]
                except BlockingIOError:
                    time.sleep(0.01)
                except OSError:
                    self.events.put(("signal", signal.SIGPIPE))
                    view = view[len(view):]
            self.copied[fd] += len(chunk)

    def _copy_input(self):
        count = 0
        if os.isatty(0) and not terminal.in_foreground(0):
            return  # a background job that reads its terminal would be stopped
        try:
            while chunk := os.read(0, 65536):
                self.data.sendall(chunk)
                count += len(chunk)
        except OSError:
            pass  # no stdin, or the machine is gone: the end of the input in both cases
        self._say(f"eof {count}")

    def _drain(self, out, errors):
        """Waits until the command's whole output is written here."""
        while (self.copied[1] < out or self.copied[2] < errors) and self.machine.running():
            time.sleep(0.002)


def main(options):
    session = Session(options)
    try:
        status = session.run()
    except LabError as error:
        for line in session.machine.console() if options.verbose and session.machine else []:
            print(f"    {line}", file=sys.stderr)
        print(f"tools/lab: {error}", file=sys.stderr)
        status = LAB_FAILED
    if session.raw:
        session.raw.restore()
    sys.stderr.flush()
    os._exit(status)  # threads may still wait for a terminal's input
