"""Runs stages, as many at a time as the machine has cores for, and tells about them."""
import sys
import threading
import time
import traceback

from suite.stage import Context, Outcome, StageFailed

LOG_TAIL_LINES = 40


class Schedule:
    """Runs `stages` (in this order where they compete); results() then has an Outcome for each name."""

    def __init__(self, stages, cores, folder, only):
        self._waiting = list(stages)
        self._cores = cores
        self._folder = folder
        self._only = only
        self._running = {}
        self._results = {}
        self._changed = threading.Condition()
        self._began = time.monotonic()

    def run(self):
        with self._changed:
            while self._waiting or self._running:
                self._start_what_can()
                self._changed.wait(timeout=60)
        return self._results

    def _start_what_can(self):
        for stage in list(self._waiting):
            broken = [name for name in stage.needs if name in self._results and self._results[name].failures]
            if broken:
                self._waiting.remove(stage)
                self._results[stage.name] = Outcome(failures=[f"{stage.name}: not run, as {broken[0]} failed"])
                self._tell(f"{stage.title}: not run, as {broken[0]} failed")
                continue
            if self._fits(stage):
                self._waiting.remove(stage)
                self._running[stage.name] = stage
                self._tell(f"{stage.title} ...")
                threading.Thread(target=self._run_one, args=(stage,), daemon=True).start()

    def _fits(self, stage):
        if not all(name in self._results for name in stage.needs):
            return False
        if not self._running:
            # What has to be alone comes once nothing else could run.
            return not stage.alone or not any(self._ready(other) for other in self._waiting if not other.alone)
        if stage.alone or any(other.alone for other in self._running.values()):
            return False
        return sum(other.cores for other in self._running.values()) + stage.cores <= self._cores

    def _ready(self, stage):
        return all(name in self._results for name in stage.needs)

    def _run_one(self, stage):
        context = Context(stage.name, self._folder, self._only.get(stage.name, []))
        began = time.monotonic()
        try:
            outcome = stage.run(context)
        except StageFailed as error:
            outcome = Outcome(failures=[f"{stage.name}: {error}"])
        except Exception:  # a bug of the suite: shown as a failure, not as a hang
            outcome = Outcome(failures=[f"{stage.name}: {traceback.format_exc()}"])
        with self._changed:
            del self._running[stage.name]
            self._results[stage.name] = outcome
            self._tell_end(stage, context, outcome, time.monotonic() - began)
            self._changed.notify()

    def _tell_end(self, stage, context, outcome, seconds):
        counts = f"{outcome.passed} passed"
        if outcome.failures:
            counts += f", {len(outcome.failures)} FAILED"
        if outcome.skips:
            counts += f", {len(outcome.skips)} skipped"
        self._tell(f"{stage.title}: {counts}, {seconds:.0f} s")
        if outcome.failures and context.log.exists():
            lines = context.log.read_text(errors="replace").splitlines()
            for line in lines[-LOG_TAIL_LINES:]:
                print(f"    {line}")
        for line in outcome.failures:
            print("    FAILED " + line.replace("\n", "\n      "))
        sys.stdout.flush()

    def _tell(self, text):
        print(f"[{time.monotonic() - self._began:4.0f} s] {text}", flush=True)
