"""Where a benchmark run finds what it boots: bare guests, the Linux kernel, disk images."""

import functools
import os
import subprocess
from pathlib import Path

from .process import BenchError


class Environment:
    """Files of one run. `work` is a temporary folder that the caller removes. `realtime`: threads under measurement
    go before all other programs of the machine."""

    def __init__(self, root, work, realtime=False):
        self.root, self.work, self.realtime = Path(root), Path(work), realtime

    def bare(self, program):
        """The bare guest `program`, from $MOTE_BARE or the folder that mote was built in."""
        built = Path(os.environ.get("MOTE") or self.root / "build" / "mote").parent
        path = Path(os.environ.get("MOTE_BARE") or built / "guest" / "bare") / program
        if not path.is_file():
            raise BenchError(f"{path}: no such bare guest; run tools/build, or set MOTE_BARE=FOLDER")
        return path

    def bare_command(self, monitor, program, words="", disk_mib=16, mem_mib=128, **devices):
        """How `monitor` runs a bare guest with one disk. Bare guests find devices on the command line only. `devices`:
        tap and vsock of Monitor.command()."""
        extra = ("--no-acpi",) if monitor.name == "mote" else ()
        cmdline = f"bare.exit={monitor.bare_exit} {words}".strip()
        return monitor.command(
            self.work, self.bare(program), cmdline, disk=self.disk(disk_mib), mem_mib=mem_mib, extra=extra, **devices
        )

    @functools.cache
    def disk(self, mib):
        """A raw image full of data, its pages in the page cache."""
        path = self.work / f"disk-{mib}.raw"
        block = os.urandom(1 << 20)
        with open(path, "wb") as image:
            for _ in range(mib):
                image.write(block)
        return path

    @functools.cache
    def linux_kernel(self):
        """vmlinux of the guest kernel of our own (compiled on the first use)."""
        out = subprocess.run([self.root / "guest" / "kernel" / "build"], stdout=subprocess.PIPE, text=True)
        if out.returncode != 0:
            raise BenchError(f"guest/kernel/build failed (status {out.returncode})")
        return Path(out.stdout.strip())

    @functools.cache
    def root_disk(self):
        """An ext4 image that holds tests/bench/init.c as /init."""
        tree = self.work / "root"
        for folder in ("dev", "proc", "sys"):
            (tree / folder).mkdir(parents=True, exist_ok=True)
        source = self.root / "tests" / "bench" / "init.c"
        subprocess.run(["gcc", "-O2", "-static", "-s", "-o", str(tree / "init"), str(source)], check=True)
        image = self.work / "root.ext4"
        mkfs = ["mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(image), "16M"]
        subprocess.run(mkfs, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"PATH": os.environ["PATH"] + ":/sbin:/usr/sbin"})
        return image
