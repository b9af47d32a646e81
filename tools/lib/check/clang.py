"""clang-format and clang-tidy."""
import hashlib
import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from check import files

BUILD = "build-asan"  # clang's; tools/test and tools/check share it


def layout(fix=False):
    """clang-format."""
    paths = [str(path) for path in files.with_suffix(*files.C_LIKE)]
    if fix:
        subprocess.run(["clang-format-19", "-i", *paths], cwd=files.ROOT, check=True)
    done = subprocess.run(["clang-format-19", "--dry-run", "-Werror", *paths], cwd=files.ROOT, capture_output=True,
                          text=True, check=False)
    first = {}
    for path, line in re.findall(r"^(\S+?):(\d+):\d+: error:", done.stderr, re.MULTILINE):
        first[path] = min(int(line), first.get(path, int(line)))
    for path, line in sorted(first.items()):
        yield f"{path}:{line}: not as clang-format lays it out (tools/check --fix layout)"


class Tidy:
    """clang-tidy over all sources; a file that was clean is looked at again only when it, a header that it
    includes, or the rules changed."""

    def __init__(self, fix, only_changed):
        self._fix = fix
        self._changed = files.changed_files() if only_changed else None
        self._clean = Path(os.environ["MOTE_CACHE"]) / "tidy"
        self._clean.mkdir(parents=True, exist_ok=True)
        self._rules = files.text(Path(".clang-tidy"))
        with open(files.ROOT / BUILD / "compile_commands.json", encoding="utf-8") as file:
            self._commands = {self._source(entry): entry for entry in json.load(file)}

    @staticmethod
    def _source(entry):
        return (Path(entry["directory"]) / entry["file"]).resolve()

    def _key(self, entry):
        """Changes with anything that clang-tidy would see, or None where that cannot be told."""
        command = entry["command"].replace(f" -o {entry['output']}", " -o -").replace(" -c ", " -E ")
        command = re.sub(r" -M[QF] \S+| -MD", "", command)
        done = subprocess.run(command, shell=True, cwd=entry["directory"], capture_output=True, check=False)
        if done.returncode:
            return None
        return hashlib.sha256(done.stdout + self._rules.encode()).hexdigest()

    def _look_at(self, path):
        entry = self._commands[path]
        key = self._key(entry)
        if key and (self._clean / key).exists():
            return []
        done = subprocess.run(["clang-tidy-19", "--quiet", "-p", BUILD, *(["--fix"] if self._fix else []), str(path)],
                              cwd=files.ROOT, capture_output=True, text=True, check=False)
        found = re.findall(r"^(\S+:\d+):\d+: (?:error|warning): (.*)$", done.stdout, re.MULTILINE)
        if not found and done.returncode == 0 and key:
            (self._clean / key).touch()
        if not found and done.returncode != 0:
            return [f"{path}:1: clang-tidy: {done.stderr.strip()[-500:]}"]
        return [f"{os.path.relpath(os.path.normpath(place), files.ROOT)}: {text.replace(',-warnings-as-errors', '')}"
                for place, text in found]

    def run(self):
        # Tests are left out: most of what their macros expand to is not written here.
        wanted = [files.ROOT / path for path in files.with_suffix(".cpp") if path.parts[0] == "src"]
        if self._changed is not None:
            wanted = [path for path in wanted if path.relative_to(files.ROOT) in self._changed]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = pool.map(self._look_at, [path for path in wanted if path in self._commands])
            yield from sorted({line for lines in found for line in lines})
