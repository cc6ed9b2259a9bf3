"""Debuggers that people bring besides pdb: what stops, stops in them. They are in the overlay, never in production."""

import _thread
import os
import sys
import threading
import time
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from typing import Any, Callable, List, NamedTuple

from . import steps, terminal

# The real ones: what pydevd starts threads by traces them, and eventlet replaces it later.
_start, _sleep = _thread.start_new_thread, time.sleep
_POLL = 0.1
_NO_STEP, _SUSPENDED = -1, 2
"""As pydevd has them in what it knows of a thread."""


class Debugger(NamedTuple):
    begin: Callable[[Any], None]
    """Stop in this frame."""
    examine: Callable[[BaseException], None]
    """Look around where this exception was raised."""


def pudb(path: str, settings: str, waiting: Callable[[terminal.Terminal], None]) -> Debugger:
    """Full-screen, on the same terminal; its settings are kept in the folder `settings`."""
    os.environ["XDG_CONFIG_HOME"] = settings
    made: List[Any] = []

    def screen() -> Any:
        if not made:
            _greet_nobody(os.path.join(settings, "pudb"))
            made.append(_full_screen(path, waiting))
        return made[0]

    def begin(frame: Any) -> None:
        if terminal.exists(path):
            screen().set_trace(frame)

    def examine(error: BaseException) -> None:
        if terminal.exists(path):
            screen().reset()
            screen().examine(error)

    return Debugger(begin, examine)


def _greet_nobody(folder: str) -> None:
    """Its first words are a page about itself, in the midst of a request."""
    with suppress(OSError):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "pudb.cfg"), "x") as file:
            file.write(_CONFIGURATION)


_CONFIGURATION = "[pudb]\nseen_welcome = z\nprompt_on_quit = False\n"


def _full_screen(path: str, waiting: Callable[[terminal.Terminal], None]) -> Any:
    from pudb.debugger import Debugger  # type: ignore[import-not-found]

    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)  # as long as the process lives

    class FullScreen(Debugger):  # type: ignore[misc]
        stepping = False

        def interaction(self, *arguments: Any, **options: Any) -> None:
            steps.end()
            resuming, self.stepping = self.stepping, True
            try:
                with terminal.held(path, waiting, resuming=resuming):
                    self.ui.screen._term_size = tuple(os.get_terminal_size(descriptor))
                    super().interaction(*arguments, **options)
            except OSError:  # the terminal has gone, with the devswap that had it
                self.set_continue()
            if self.stepping and not self.post_mortem:
                steps.Watch(path, self._stop_soon, self._let_go)

        def _stop_soon(self, frame: Any, waits: bool) -> None:  # noqa: FBT001 - a callback
            if waits:
                self.set_next(frame)  # not what other greenthreads of this thread do
            else:
                self.set_step()
            steps.trace(frame, self.trace_dispatch)

        def _let_go(self) -> None:
            self.stepping = False
            self._set_stopinfo(self.botframe, None, -1)

        def examine(self, error: BaseException) -> None:
            self.post_mortem = True  # it can be left then, and not gone on from
            try:
                self.interaction(None, (type(error), error, error.__traceback__), show_exc_dialog=False)
            finally:
                self.post_mortem = self.stepping = False

        def set_continue(self) -> None:
            self.stepping = False
            super().set_continue()

        def set_quit(self) -> None:
            """The service goes on."""
            self.clear_all_breaks()
            self.set_continue()

    return FullScreen(stdin=os.fdopen(descriptor), stdout=os.fdopen(os.dup(descriptor), "w"))


def debugpy(
    address: str, port: int, *, wait: bool, package: str, say: Callable[[str], None], path: str = ""
) -> Debugger:
    """Listens once the service's own `package` is loaded: only its main process does that first.

    Workers that are forked later are debugpy's to follow: each is a session of its own, which the client is told of
    (debugpyAttach) when it attaches to the main process, or when they are forked while it is attached.

    Nothing listens any more once eventlet replaces threads and locks: debugpy's own would be among them, and the
    service hangs as soon as a client attaches ("Cannot switch to a different thread").

    Who is stopped by the client occupies the terminal `path`, where there is one.
    """
    usual = SourceFileLoader.exec_module
    listening: List[bool] = []

    def exec_module(self: SourceFileLoader, module: Any) -> None:
        if module.__name__ == package and not listening:
            listening.append(True)
            _listen(address, port, wait=wait, say=say)
            if path:
                _occupy(path)
        usual(self, module)
        if module.__name__ == "eventlet.patcher":
            _make_way(module, say)

    SourceFileLoader.exec_module = exec_module  # type: ignore[method-assign, assignment]

    def begin(frame: Any) -> None:
        if _has_client():
            _stop(frame)
        else:
            say("passed the breakpoint at %s:%s: no client is connected" % (frame.f_code.co_filename, frame.f_lineno))

    def examine(error: BaseException) -> None:
        if _has_client():
            _stop_at_error(error)
        else:
            say("passed %s: no client is connected" % type(error).__name__)

    return Debugger(begin, examine)


def _serves_itself() -> bool:
    """Whether requests come to the main thread, which the editor's own breakpoints are for then."""
    started = getattr(sys.modules.get("__main__"), "__spec__", None)
    return "uwsgi" in sys.modules or getattr(started, "name", "").startswith("_devswap_serve")


def _make_way(patcher: Any, say: Callable[[str], None]) -> None:
    usual = patcher.monkey_patch

    def monkey_patch(*arguments: Any, **options: Any) -> Any:
        if "debugpy" in sys.modules:
            import pydevd  # type: ignore[import-not-found]

            pydevd.stoptrace()
            del sys.modules["debugpy"]  # what is asked whether a client is connected
            say("debugpy listens no more: it does not work with eventlet, which this service uses; pudb and pdb do")
        return usual(*arguments, **options)

    patcher.monkey_patch = monkey_patch


def _has_client() -> bool:
    api = sys.modules.get("debugpy")
    return api is not None and bool(api.is_client_connected())


def _stop(frame: Any) -> None:
    import pydevd

    pydevd.settrace(suspend=True, trace_only_current_thread=True, patch_multiprocessing=False, stop_at_frame=frame)


def _stop_at_error(error: BaseException) -> None:
    """As at an exception that nobody handles, whatever the client has said of such."""
    import pydevd

    frames, step = [], error.__traceback__
    while step is not None:
        frames.append(step.tb_frame)
        step = step.tb_next
    debugger, thread = pydevd.get_global_debugger(), threading.current_thread()
    told = type(error), error, error.__traceback__
    told_of = debugger.set_additional_thread_info(thread)
    told_of.is_tracing += 1  # else it would look at itself
    try:
        debugger.do_stop_on_unhandled_exception(thread, frames[-1], {id(frame): frame for frame in frames}, told)
    finally:
        told_of.is_tracing -= 1


def _listen(address: str, port: int, *, wait: bool, say: Callable[[str], None]) -> None:
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # frozen modules are Python's own
    import debugpy as server  # type: ignore[import-not-found]

    try:
        # what the process itself is may be uwsgi, which is no Python to run the other half of debugpy with
        server.configure(python=os.path.join(sys.prefix, "bin", "python"))
        server.listen((address, port))
    except Exception as error:  # a second process of the service's: the first one has the port
        say("debugpy does not listen: %s" % error)
        return
    say("debugpy listens on %s:%d" % (address, port))
    if wait:
        say("it waits for a client")
        server.wait_for_client()
    elif not _serves_itself():
        server.trace_this_thread(False)  # noqa: FBT003 - what it imports would take several times as long


def _occupy(path: str) -> None:
    """Whatever stops a thread, it is here that it waits for the client; a step that it begins then counts as well."""
    import pydevd

    usual = pydevd.PyDB.do_wait_suspend

    def do_wait_suspend(debugger: Any, thread: Any, *arguments: Any, **options: Any) -> Any:
        with terminal.occupied(path):
            answer = usual(debugger, thread, *arguments, **options)
            told_of = debugger.set_additional_thread_info(thread)
            if told_of.pydev_step_cmd != _NO_STEP:
                _start(_until_stepped, (path, thread, told_of))
        return answer

    pydevd.PyDB.do_wait_suspend = do_wait_suspend


def _until_stepped(path: str, thread: Any, told_of: Any) -> None:
    """A step over a slow call takes its time; where it leads out of all that is debugged pydevd forgets it."""
    with terminal.occupied(path):
        while told_of.pydev_step_cmd != _NO_STEP and told_of.pydev_state != _SUSPENDED:
            if not (thread.is_alive() and _has_client()):
                return
            _sleep(_POLL)
