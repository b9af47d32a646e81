"""Sizes of files and functions, and small things of their text."""
import ast
import re

from check import files

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
ARCHITECTURE_MACRO = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif)\b.*\b(__x86_64__|__aarch64__|__amd64__|__i386__)\b")
NOT_A_FUNCTION = re.compile(r"^(#|//|\}|namespace\b|class\b|struct\b|enum\b|union\b|extern \"C\"|template\b.*\b(class|struct)\b)")


def sizes():
    for path in files.all_files():
        if path.suffix in (*files.C_LIKE, ".S", ".py", ".sh") or path.parts[0] == "tools":
            lines = files.text(path).count("\n")
            if lines > MAX_FILE_LINES:
                yield f"{path}:1: {lines} lines, more than {MAX_FILE_LINES}"


def _too_long(path, start, end, name):
    if end - start + 1 > MAX_FUNCTION_LINES:
        yield f"{path}:{start}: {name} has {end - start + 1} lines, more than {MAX_FUNCTION_LINES}"


def _c_functions(path):
    """Functions as clang-format lays them out: head and closing brace start their lines."""
    start = None
    for number, line in enumerate(files.text(path).splitlines(), 1):
        if start is None:
            if line and not line[0].isspace() and not NOT_A_FUNCTION.match(line):
                head = number
            if line.endswith("{") and "=" not in line and line and not NOT_A_FUNCTION.match(line):
                indented = line[0].isspace()
                if not indented:
                    start = number
                elif "head" in locals() and 0 < number - head <= 4 and line.startswith("    " * 2):
                    start = head
        elif line.startswith("}"):
            yield from _too_long(path, start, number, "a function")
            start = None


def _python_functions(path):
    for node in ast.walk(ast.parse(files.text(path))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _too_long(path, node.lineno, node.end_lineno, node.name)


def _shell_functions(path):
    start = None
    for number, line in enumerate(files.text(path).splitlines(), 1):
        if re.match(r"^\w+\(\) \{$", line):
            start = number
        elif line == "}" and start:
            yield from _too_long(path, start, number, "a function")
            start = None


def functions():
    for path in files.with_suffix(*files.C_LIKE):
        yield from _c_functions(path)
    for path in files.python():
        yield from _python_functions(path)
    for path, _ in files.shell():
        yield from _shell_functions(path)


def text(fix=False):
    """Blanks at line ends, a missing newline at the end, tabs in C++, architecture macros, include guards."""
    for path in files.all_files():
        if "corpus" in path.parts or (files.ROOT / path).is_symlink():
            continue
        raw = (files.ROOT / path).read_bytes()
        if b"\0" in raw:
            continue
        lines = files.text(path).splitlines()
        mended = "".join(line.rstrip(" \t\r") + "\n" for line in lines)
        if fix and path.suffix != ".patch" and mended.encode(errors="surrogateescape") != raw:
            (files.ROOT / path).write_text(mended, encoding="utf-8", errors="surrogateescape")
            lines = mended.splitlines()
        elif raw and not raw.endswith(b"\n"):
            yield f"{path}:{len(lines)}: no newline at the end"
        for number, line in enumerate(lines, 1):
            if line.rstrip(" \t\r") != line:
                yield f"{path}:{number}: blanks at the end of the line"
            if path.suffix in files.C_LIKE and "\t" in line:
                yield f"{path}:{number}: a tab"
            if path.parts[0] == "src" and ARCHITECTURE_MACRO.match(line):
                yield f"{path}:{number}: the build picks the architecture's folder; no #if does"
        if path.parts[0] in ("src", "tests") and path.suffix == ".h" and "#pragma once" not in lines:
            yield f"{path}:1: no #pragma once"
