"""A pdb for services: it has the foreground run's terminal, wherever in the service it stops.

Leaving it never ends the service: `c`, `q` and Ctrl-D all let it go on.
"""

import os
import pdb
import sys
import threading
import traceback
from contextlib import contextmanager, suppress
from typing import Any, Iterator, Optional

from . import caller, keys, steps, terminal

_INTERRUPTED = "\x03"
_HISTORY = 1000


class _Own(type):
    """Each stop has a debugger of its own: Python 3.14 would have the last one again, whichever thread is in it."""

    _last_pdb_instance = property(lambda _cls: None, lambda _cls, _last: None)


class Prompt(pdb.Pdb, metaclass=_Own):
    """Stands in for pdb.Pdb, so that breakpoint(), pdb.set_trace() and pdb.post_mortem() all come here.

    One that is given streams of its own (remote debuggers do that) is an ordinary Pdb.
    """

    path = ""
    """The terminal's device; empty in a run that has none."""
    history = ""
    other: Any = None
    """Another debugger (others.py), in whose hands everything is that stops."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._ordinary = bool(options.get("stdin") or options.get("stdout") or arguments)
        if not self._ordinary:
            options["nosigint"] = True  # the service's own handling of Ctrl-C stays
            options.pop("backend", None)  # steps.py has another thread's frames traced, which sys.monitoring cannot
        super().__init__(*arguments, **options)
        self._terminal: Optional[terminal.Terminal] = None
        self._stepping = False
        self._before_prompt = ""
        self._error = ""
        self._at_next_line = False

    def stop_before(self, frame: Any) -> None:
        """At the statement that `frame` comes to next."""
        self._at_next_line = True
        self.set_trace(frame)

    def set_stepinstr(self) -> None:
        """How Python since 3.13 stops: at once, which is in the midst of a line."""
        if self._at_next_line:
            self.set_step()
        else:
            super().set_stepinstr()  # type: ignore[misc]

    def set_trace(self, frame: Any = None, **options: Any) -> None:
        frame = frame or sys._getframe().f_back
        if not self._ordinary and Prompt.other is not None:
            Prompt.other.begin(frame)
        elif self._ordinary or terminal.exists(self.path):
            super().set_trace(frame, **options)
        else:
            _pass_by(frame)

    def interaction(self, frame: Any, *arguments: Any) -> None:
        if self._ordinary or self._terminal is not None:
            super().interaction(frame, *arguments)
            return
        steps.end()
        streams = self.stdin, self.stdout
        resuming, self._stepping = self._stepping, True
        waiting = lambda there: there.write("\n" + waits(frame) + "\n" + self.prompt)  # noqa: E731
        try:
            with terminal.held(self.path, waiting, resuming=resuming) as self._terminal:
                self.stdin, self.stdout = sys.stdin, sys.stdout
                self._greet(frame, resuming=resuming)
                with _history(self.history):
                    super().interaction(frame, *arguments)
        except OSError:  # the terminal has gone, with the devswap that had it
            self.set_continue()
        finally:
            self._terminal = None
            self.stdin, self.stdout = streams
        if self._stepping and frame is not None:
            steps.Watch(self.path, self._stop_soon, self._let_go)

    def _stop_soon(self, frame: Any, waits: bool) -> None:  # noqa: FBT001 - a callback
        if waits:
            self.set_next(frame)  # not what other greenthreads of this thread do
        else:
            self.set_step()
        steps.trace(frame, self.trace_dispatch)

    def _let_go(self) -> None:
        """As `c`, but from another thread than the one that steps."""
        self._stepping = False
        self._set_stopinfo(self.botframe, None, -1)  # type: ignore[attr-defined]

    def examine(self, error: BaseException) -> None:
        """Look around where `error` was raised; nothing where there is no terminal."""
        if Prompt.other is not None:
            Prompt.other.examine(error)
        elif terminal.exists(self.path):
            self.reset()
            self._error = "".join(traceback.format_exception_only(type(error), error)).strip()
            self.interaction(None, error.__traceback__)

    def _greet(self, frame: Any, *, resuming: bool) -> None:
        said, self._before_prompt = self._before_prompt, ""
        if not resuming:
            said = "\n" + _stopped(frame or sys._getframe(), self._error) + "\n" + said
        self.stdout.write(said)
        self.stdout.flush()

    def message(self, msg: str) -> None:
        """What pdb says before it has the terminal (--Return--) is kept until then."""
        if self._ordinary or self._terminal is not None:
            super().message(msg)
        else:
            self._before_prompt += msg + "\n"

    def onecmd(self, line: str) -> Any:
        if self._terminal is None:
            return super().onecmd(line)
        if _INTERRUPTED in line:
            _forget_line()
            return False
        with keys.watched(self._terminal.descriptor, self.cmdqueue):
            return super().onecmd(line)

    def set_continue(self) -> None:
        self._stepping = False
        super().set_continue()

    def do_quit(self, arg: str) -> Any:
        """q(uit): end this session, with the breakpoints that were set in it; the service goes on."""
        if self._ordinary:
            return super().do_quit(arg)
        self.clear_all_breaks()
        self.set_continue()
        return 1

    do_q = do_exit = do_quit

    def do_EOF(self, arg: str) -> Any:  # noqa: N802 - pdb's name
        """Ctrl-D: as q."""
        self.message("")
        return self.do_quit(arg)

    def do_run(self, arg: str) -> Any:
        """run: not in a service; devswap run starts it again."""
        if self._ordinary:
            return super().do_run(arg)
        self.error("that is for programs; devswap run starts the service again")
        return None

    do_restart = do_run


@contextmanager
def _history(path: str) -> Iterator[None]:
    """The lines typed at earlier prompts, of all processes: whoever has the terminal reads and writes them."""
    try:
        import readline
    except ImportError:  # lines are typed without editing then; Ctrl-C ends one all the same
        yield
        return
    readline.clear_history()
    readline.set_history_length(_HISTORY)
    with suppress(OSError):  # the first prompt
        readline.read_history_file(path)
    # Ctrl-C is a key like any other here: it makes a line that holds nothing but itself
    readline.parse_and_bind(r'"\C-c": "\C-e\C-u\C-v\C-c\C-m"')
    try:
        yield
    finally:
        with suppress(OSError):  # a full disk
            readline.write_history_file(path)


def _forget_line() -> None:
    try:
        import readline
    except ImportError:
        return
    last = readline.get_current_history_length()
    if last and _INTERRUPTED in (readline.get_history_item(last) or ""):
        readline.remove_history_item(last - 1)


def _where(frame: Any) -> str:
    if frame is None:
        return ""
    return " at %s:%s" % (os.path.basename(frame.f_code.co_filename), frame.f_lineno)


def _who() -> str:
    thread = threading.current_thread()
    name = "" if thread is threading.main_thread() else ", thread " + thread.name
    return "process %d%s" % (os.getpid(), name)


def _stopped(frame: Any, error: str) -> str:
    why = " at " + error if error else ""
    line = "devswap: %s has stopped%s; c or Ctrl-D lets it go on, Ctrl-\\ ends the service" % (_who(), why)
    told = caller.waits(frame)
    return line + ("\ndevswap: " + told if told else "")


def waits(frame: Any) -> str:
    return "devswap: %s has stopped%s too, and waits for this prompt's end" % (_who(), _where(frame))


def _pass_by(frame: Any) -> None:
    name = "%s:%s" % (frame.f_code.co_filename, frame.f_lineno)
    sys.stderr.write("devswap: passed the breakpoint at %s: this run has no terminal\n" % name)
    sys.stderr.flush()
