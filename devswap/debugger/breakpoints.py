"""Breakpoints that no source holds: a call is compiled into the module where it is loaded.

Python's own way, a trace function in every thread, would make all of a service several times slower; this costs nothing
elsewhere, and holds in forked workers, threads and greenthreads alike.
"""

import ast
import pdb
import sys
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

Wanted = Dict[str, Any]
"""`file` (a path) or `module`, `line` or `name` (a qualified one), and `condition` (an expression, or empty)."""
_COMPOUND = ("If", "For", "AsyncFor", "While", "With", "AsyncWith", "Try", "TryStar", "Match", "ClassDef")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def install(wanted: List[Wanted], say: Callable[[str], None], placed: str = "") -> None:
    """From now on modules are loaded with their breakpoints in them; `say` hears of one that has no place.

    Each that has one is noted in the file `placed`, a line for each.
    """
    usual = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, fullname: str) -> Any:
        mine = [each for each in wanted if each.get("file") == self.path or each.get("module") == fullname]
        if not mine:
            return usual(self, fullname)
        tree = ast.parse(self.get_data(str(self.path)), str(self.path))
        for each in mine:
            if not insert(tree, each):
                say("no breakpoint at %s: %s has no such place" % (each["text"], self.path))
            elif placed:
                _note(placed, each["text"])
        return compile(tree, str(self.path), "exec", dont_inherit=True)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]


def _note(path: str, text: str) -> None:
    with suppress(OSError), open(path, "a") as file:  # a full disk
        file.write(text + "\n")


def insert(tree: ast.Module, wanted: Wanted) -> bool:
    """Put a call of `stop` before the statement that is meant; False where there is none."""
    found = _named(tree, wanted["name"]) if wanted.get("name") else _at_line(tree, wanted["line"])
    if found is None:
        return False
    body, index = _into_function(*found)
    call = ast.parse("__import__(%r, fromlist=['stop']).stop(%r)" % (__name__, wanted.get("condition") or "")).body[0]
    # One line earlier: so the statement itself begins a line when the call returns, which is where tracing stops
    line = max(1, body[index].lineno - 1)
    for node in ast.walk(call):
        if "lineno" in node._attributes:
            for name, number in (("lineno", line), ("end_lineno", line), ("col_offset", 0), ("end_col_offset", 0)):
                setattr(node, name, number)
    body.insert(index, call)
    return True


def stop(condition: str) -> None:
    """What is compiled in. A condition that fails to be evaluated holds, as with pdb's own."""
    frame = sys._getframe(1)
    if condition:
        try:
            if not eval(condition, frame.f_globals, frame.f_locals):  # noqa: S307 - the developer's own
                return
        except Exception as error:
            sys.stderr.write("devswap: stops since its condition fails: %s: %s\n" % (type(error).__name__, error))
    begin(frame)


def begin(frame: Any) -> None:
    """Open the prompt in `frame`."""
    prompt: Any = pdb.Pdb()
    prompt.stop_before(frame)


Place = Tuple[List[ast.stmt], int]


def _bodies(tree: ast.AST) -> Iterator[List[ast.stmt]]:
    for node in ast.walk(tree):
        for _, value in ast.iter_fields(node):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                yield value


def _at_line(tree: ast.Module, line: int) -> Optional[Place]:
    """The statement that begins in `line`, or goes over it; else the next one."""
    places = [(body, index) for body in _bodies(tree) for index in range(len(body))]
    around = [place for place in places if _covers(place[0][place[1]], line)]
    after = [place for place in places if place[0][place[1]].lineno >= line and _is_run(place[0][place[1]])]
    if around:
        return around[0]
    return min(after, key=lambda place: place[0][place[1]].lineno) if after else None


def _covers(statement: ast.stmt, line: int) -> bool:
    if not _is_run(statement):
        return False
    if isinstance(statement, _FUNCTIONS) or type(statement).__name__ in _COMPOUND:
        return statement.lineno == line
    last = getattr(statement, "end_lineno", None) or statement.lineno
    return statement.lineno <= line <= last


def _is_run(statement: ast.stmt) -> bool:
    return not (_is_future(statement) or _is_text(statement))


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _is_text(statement: ast.stmt) -> bool:
    """A docstring: nothing is executed there."""
    if not isinstance(statement, ast.Expr):
        return False
    text = getattr(statement.value, "s" if sys.version_info < (3, 8) else "value", None)
    return isinstance(text, str)


def _named(tree: ast.Module, name: str) -> Optional[Place]:
    """The last definition of that qualified name, which is the one in force."""
    body: List[ast.stmt] = tree.body
    found: Optional[Place] = None
    for part in name.split("."):
        within = ast.Module(body=body, type_ignores=[])
        named = [
            place for place in _places_outside_functions(within) if getattr(place[0][place[1]], "name", "") == part
        ]
        if not named:
            return None
        found = named[-1]
        body = getattr(found[0][found[1]], "body", [])
    return found if found and isinstance(found[0][found[1]], _FUNCTIONS) else None


def _places_outside_functions(tree: ast.Module) -> Iterator[Place]:
    """Definitions may stand below an if or a try; those inside other functions and classes have longer names."""
    waiting: List[List[ast.stmt]] = [tree.body]
    while waiting:
        body = waiting.pop(0)
        for index, statement in enumerate(body):
            yield body, index
            if not isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
                waiting += list(_bodies(statement))


def _into_function(body: List[ast.stmt], index: int) -> Place:
    """Where a function is meant, its first statement is."""
    statement = body[index]
    if not isinstance(statement, _FUNCTIONS):
        return body, index
    return statement.body, 1 if _is_text(statement.body[0]) and len(statement.body) > 1 else 0
