"""The files of the repository, by kind."""
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent
CPP = (".cpp", ".h")
C_LIKE = (".cpp", ".h", ".c")


def git(*arguments):
    return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True).stdout


@cache
def all_files():
    """Paths from the root of what is in the repository or about to be: tracked, or new and not ignored."""
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return sorted(Path(name) for name in set(names) if name and (ROOT / name).is_file())


@cache
def changed_files():
    """Those that differ from the branch main, or from the last commit where there is no such branch."""
    base = "main" if subprocess.run(["git", "-C", ROOT, "rev-parse", "-q", "--verify", "main"],
                                    capture_output=True, check=False).returncode == 0 else "HEAD"
    names = git("diff", "--name-only", "-z", "--merge-base", base).split("\0")
    names += git("ls-files", "-z", "--others", "--exclude-standard").split("\0")
    return {Path(name) for name in names if name}


def with_suffix(*suffixes):
    return [path for path in all_files() if path.suffix in suffixes]


def text(path):
    return (ROOT / path).read_text(encoding="utf-8", errors="surrogateescape")


def _first_line(path):
    with open(ROOT / path, "rb") as file:
        return file.readline(200).decode(errors="replace")


def python():
    return [path for path in all_files() if path.suffix == ".py" or
            (not path.suffix and _first_line(path).startswith("#!") and "python" in _first_line(path))]


def shell():
    """Shell scripts, with the name of their shell."""
    for path in all_files():
        line = _first_line(path)
        words = line.replace("/", " ").split()
        if line.startswith("#!") and words and words[-1] in ("bash", "sh"):
            yield path, words[-1]
        elif path.suffix == ".sh":
            yield path, "bash"
