"""The lab's machine: QEMU and virtiofsd, started so that neither outlives us."""
import glob
import grp
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from tsc import cycles_per_nanosecond

VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
FOLDER_PREFIX = "mote-lab."
ENDED = "{} ended with status {} before the command did (a crash or power-off inside, or killed)"
REPOSITORY = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../.."))

# Nothing that a short life does not need: no probing, no mitigations, no self-tests.
KERNEL_COMMAND_LINE = (
    "quiet loglevel=3 console=ttyS0 panic=-1 mitigations=off nokaslr no_timer_check tsc=reliable "
    "noreplace-smp cryptomgr.notests random.trust_cpu=on 8250.nr_uarts=1 i8042.noaux i8042.nokbd "
    "rcupdate.rcu_expedited=1 audit=0 selinux=0 apparmor=0 init_on_alloc=0"
)

# QEMU's CPU shows this machine's time stamp counter, or counts nanoseconds under -icount. Measured inside, on a
# busy machine, its frequency came out wrong by a factor of ten, and with it every clock of the lab.
ICOUNT_TSC_KHZ = 1_000_000
TSC_SECONDS = 0.05

# Run in a mount namespace of its own: whatever the lab does, this machine's files cannot be written.
# $1 is our folder, for the socket; /run is for virtiofsd's lock and not this machine's.
SERVE = 'mount -t tmpfs run /run; shift; exec "$@"'
SERVE_READ_ONLY = (
    'mount --bind "$1" "$1"; while read -r _ _ _ _ point _; do point=$(printf %b "$point"); '
    '[ "$point" = "$1" ] || mount -o remount,bind,ro "$point"; done </proc/self/mountinfo 2>/dev/null; '
    + SERVE
)


class LabError(Exception):
    """The lab itself failed; the text is one line for the user."""


def prepare():
    """Builds what is missing; returns (initramfs, kernel folder). Raises SystemExit(247)."""
    done = subprocess.run([f"{REPOSITORY}/guest/lab/build"], stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise SystemExit(247)
    return done.stdout.decode().split("\n")[:2]


def remove_leftovers():
    """Removes the folders of sessions that were killed before they could do so themselves."""
    for path in glob.glob(f"/tmp/{FOLDER_PREFIX}*"):
        owner = path[len(f"/tmp/{FOLDER_PREFIX}"):].partition(".")[0]
        if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            shutil.rmtree(path, ignore_errors=True)


class Machine:
    """Owns the processes, their sockets and the temporary folder; close() ends all of them."""

    def __init__(self, options):
        remove_leftovers()
        self.folder = tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}.", dir="/tmp")
        self.processes = []
        self.options = options
        self.log = os.path.join(self.folder, "console")

    def start(self, initramfs, kernel):
        """Starts all; returns the three connected sockets (control, data, errors)."""
        shares = [("root", "/", True)]
        if self.options.out:
            shares.append(("out", os.path.realpath(self.options.out), False))
        for tag, path, read_only in shares:
            self._serve(tag, path, read_only)
        for tag, _, _ in shares:
            self._wait_for(self._socket(tag), tag)
        pairs = [socket.socketpair() for _ in range(3)]
        command = self._qemu(initramfs, kernel, [tag for tag, _, _ in shares], [theirs for _, theirs in pairs])
        self._spawn("qemu", command, [theirs.fileno() for _, theirs in pairs])
        for _, theirs in pairs:
            theirs.close()
        return [ours for ours, _ in pairs]

    def console(self):
        """The last lines that the lab's kernel wrote."""
        try:
            with open(self.log, "rb") as log:
                return log.read().decode(errors="replace").replace("\r", "").strip().splitlines()[-30:]
        except OSError:
            return []

    def why_ended(self):
        """One line about a machine that ended by itself, for an error message."""
        for line in self.console():
            if "Kernel panic" in line:
                return line
        for name, process in reversed(self.processes):  # QEMU's end ends the others
            if process.poll() is not None:
                try:
                    with open(os.path.join(self.folder, f"{name}.log"), encoding="utf-8", errors="replace") as log:
                        said = log.read().strip().splitlines()
                except OSError:
                    said = []
                return ENDED.format(name, process.returncode) + (f": {said[-1]}" if said else "")
        return "the machine stopped answering"

    def running(self):
        return all(process.poll() is None for _, process in self.processes)

    def close(self):
        for name, process in reversed(self.processes):
            if process.poll() is None:
                # virtiofsd ends by itself when QEMU does.
                if name == "qemu":
                    process.kill()
                else:
                    try:
                        process.wait(1)
                    except subprocess.TimeoutExpired:
                        process.send_signal(signal.SIGTERM)
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _socket(self, tag):
        return os.path.join(self.folder, f"{tag}.sock")

    def _spawn(self, name, command, fds=()):
        with open(os.path.join(self.folder, f"{name}.log"), "wb") as log:
            # A session of its own: Ctrl-C at the terminal is the command's, not QEMU's.
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=fds, start_new_session=True)
        self.processes.append((name, process))

    def _serve(self, tag, path, read_only):
        command = [VIRTIOFSD, f"--socket-path={self._socket(tag)}", "-o", f"source={path}", "-o", "sandbox=chroot",
                   "-o", "cache=always" if read_only else "cache=none", "--thread-pool-size=0"]
        script = SERVE_READ_ONLY if read_only else SERVE
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", self.folder, *command]
        if os.getuid() != 0:
            # Really root: overlayfs opens files with O_NOATIME, which only their owner or root may.
            if not shutil.which("sudo"):
                raise LabError("the file server needs root: run as root, or install sudo")
            command = ["sudo", *command, f"--socket-group={grp.getgrgid(os.getgid()).gr_name}"]
        self._spawn(tag, command)

    def _wait_for(self, path, tag):
        end = time.monotonic() + 20
        while not os.path.exists(path):
            if time.monotonic() > end or not self.running():
                raise LabError(f"file server '{tag}' did not start: {self.why_ended()}")
            time.sleep(0.005)

    def _kernel_command_line(self):
        tsc_khz = ICOUNT_TSC_KHZ if self.options.icount else cycles_per_nanosecond(TSC_SECONDS) * 1e6
        return f"{KERNEL_COMMAND_LINE} tsc_early_khz={tsc_khz:.0f}"

    def _qemu(self, initramfs, kernel, tags, ports):
        options = self.options
        accelerator = ["-accel", "tcg,thread=multi"]
        if options.icount:
            accelerator = ["-accel", "tcg,thread=single", "-icount", "shift=0"]
        command = [
            "qemu-system-x86_64", "-name", "mote-lab", "-M", "q35", *accelerator, "-cpu", "max,+svm,+npt,-la57",
            "-smp", str(options.cpus), "-m", str(options.mem), "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-object", f"memory-backend-memfd,id=memory,size={options.mem}M,share=on",
            "-numa", "node,memdev=memory", "-kernel", f"{kernel}/vmlinuz", "-initrd", initramfs,
            "-append", self._kernel_command_line(), "-serial", f"file:{self.log}",
            # No event index: each heartbeat interrupts, whatever became of the one before it.
            "-device", "virtio-serial-pci,max_ports=4,event_idx=off",
        ]
        for number, port in enumerate(ports, 1):
            command += ["-chardev", f"socket,id=port{number},fd={port.fileno()}",
                        "-device", f"virtserialport,nr={number},chardev=port{number}"]
        for tag in tags:
            command += ["-chardev", f"socket,id=fs-{tag},path={self._socket(tag)}",
                        "-device", f"vhost-user-fs-pci,chardev=fs-{tag},tag={tag}"]
        if options.disk:
            # Its write cache is this machine's page cache, which outlives QEMU: what the lab has flushed, and
            # nothing of what it still held itself, is there after the lab was killed.
            command += ["-drive", f"file={os.path.realpath(options.disk)},format=raw,if=none,id=disk,cache=writeback",
                        "-device", "virtio-blk-pci,drive=disk"]
        return command
