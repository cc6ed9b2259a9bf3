"""Debuggers that people bring besides pdb: what stops, stops in them. They are in the overlay, never in production."""

import os
import sys
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from typing import Any, Callable, List

from . import terminal

Begin = Callable[[Any], None]


def pudb(path: str, settings: str, waiting: Callable[[terminal.Terminal], None]) -> Begin:
    """Full-screen, on the same terminal; its settings are kept in the folder `settings`."""
    os.environ["XDG_CONFIG_HOME"] = settings
    made: List[Any] = []

    def begin(frame: Any) -> None:
        if not made:
            _greet_nobody(os.path.join(settings, "pudb"))
            made.append(_full_screen(path, waiting))
        made[0].set_trace(frame)

    return begin


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
            resuming, self.stepping = self.stepping, True
            with terminal.held(path, waiting, resuming=resuming):
                self.ui.screen._term_size = tuple(os.get_terminal_size(descriptor))
                super().interaction(*arguments, **options)

        def set_continue(self) -> None:
            self.stepping = False
            super().set_continue()

        def set_quit(self) -> None:
            """The service goes on."""
            self.clear_all_breaks()
            self.set_continue()

    return FullScreen(stdin=os.fdopen(descriptor), stdout=os.fdopen(os.dup(descriptor), "w"))


def debugpy(address: str, port: int, *, wait: bool, package: str, say: Callable[[str], None]) -> Begin:
    """Listens once the service's own `package` is loaded: only its main process does that first."""
    usual = SourceFileLoader.exec_module
    listening: List[bool] = []

    def exec_module(self: SourceFileLoader, module: Any) -> None:
        if module.__name__ == package and not listening:
            listening.append(True)
            _listen(address, port, wait=wait, say=say)
        usual(self, module)

    SourceFileLoader.exec_module = exec_module  # type: ignore[method-assign, assignment]

    def begin(frame: Any) -> None:
        import pydevd  # type: ignore[import-not-found]

        pydevd.settrace(suspend=True, trace_only_current_thread=True, patch_multiprocessing=False, stop_at_frame=frame)

    def connected(frame: Any) -> None:
        api = sys.modules.get("debugpy")
        if api is None or not api.is_client_connected():
            say("passed the breakpoint at %s:%s: no client is connected" % (frame.f_code.co_filename, frame.f_lineno))
            return
        begin(frame)

    return connected


def _listen(address: str, port: int, *, wait: bool, say: Callable[[str], None]) -> None:
    import debugpy as server  # type: ignore[import-not-found]

    try:
        server.listen((address, port))
    except Exception as error:  # a second process of the service's: the first one has the port
        say("debugpy does not listen: %s" % error)
        return
    say("debugpy listens on %s:%d" % (address, port))
    if wait:
        say("it waits for a client")
        server.wait_for_client()
