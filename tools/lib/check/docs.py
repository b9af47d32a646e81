"""Links of the documentation, and the tests that docs/promises.md names."""
import re
from urllib.parse import unquote

from check import files

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+\s+(.*)$")
# In docs/promises.md a promise's proof is written `FILE: NAME` (a test) or `FILE` (a script).
PROOF = re.compile(r"`((?:tests|tools|guest)/[^`:\s]+)(?:: ([^`]+))?`")


def _prose(path):
    """(number, line) outside of code blocks."""
    inside = False
    for number, line in enumerate(files.text(path).splitlines(), 1):
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            yield number, line


def _anchor(heading):
    """The name a heading gets in the rendered page."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")


def _anchors(path):
    return {_anchor(match.group(1)) for _, line in _prose(path) if (match := HEADING.match(line))}


def links():
    for path in files.with_suffix(".md"):
        for number, line in _prose(path):
            for target in LINK.findall(line):
                if re.match(r"[a-z]+:", target):
                    continue
                name, _, anchor = unquote(target).partition("#")
                file = (files.ROOT / path).parent / name if name else files.ROOT / path
                if not file.exists():
                    yield f"{path}:{number}: link to {target}: there is no such file"
                elif anchor and file.suffix == ".md" and anchor not in _anchors(file.resolve().relative_to(files.ROOT)):
                    yield f"{path}:{number}: link to {target}: no such heading"


def _has_test(file, name):
    """Whether `file` defines the test `name`: a function of Python's, or a case of Catch2's."""
    text = re.sub(r'"\s*\n\s*"', "", file.read_text(errors="replace"))  # literals that go on in the next line
    if file.suffix == ".py":
        return re.search(rf"^def {re.escape(name)}\(", text, re.MULTILINE) is not None
    return re.search(rf'TEST_CASE(?:_METHOD\(\w+, *|\()\s*"{re.escape(name)}"', text) is not None


def promises():
    path = files.ROOT / "docs" / "promises.md"
    for number, line in _prose(path.relative_to(files.ROOT)):
        proofs = PROOF.findall(line)
        if line.startswith("| ") and not re.match(r"\| (promise|-)", line) and not proofs:
            yield f"docs/promises.md:{number}: a promise without a test"
        for name, test in proofs:
            file = files.ROOT / name
            if not file.is_file():
                yield f"docs/promises.md:{number}: {name}: there is no such file"
            elif test and not _has_test(file, test):
                yield f"docs/promises.md:{number}: {name} has no test '{test}'"
