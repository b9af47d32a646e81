"""exec to a bare guest's first byte on the serial port."""

from .process import running
from .report import Row

SECTION = "start"
RUNS = 15


def measure(monitors, env):
    row = Row(SECTION, "exec to first byte", "ms", target=("ratio", 0.5))
    for _ in range(RUNS):
        for monitor in monitors:
            with running(env.bare_command(monitor, "hello"), env.realtime and monitor.realtime) as run:
                # All output is the guest's: the monitors are told to log nothing.
                row.add(monitor.name, (run.read_until(b"h", 30) - run.started) * 1000)
                run.read_rest(30)
    return [row]
