"""Opens the prompt where an exception came from that nobody handles.

A service survives such exceptions, since something catches and logs them: an RPC method's in the dispatcher of
oslo.messaging, a request's in some middleware or in the web server, a thread's in Python. So it is looked for there,
each exception once.
"""

import logging
import pdb
import sys
import threading
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from typing import Any, Callable, Dict

_SEEN = "_devswap_seen"


def install() -> None:
    usual = SourceFileLoader.exec_module

    def exec_module(self: SourceFileLoader, module: Any) -> None:
        usual(self, module)
        after = _AFTER_IMPORT.get(module.__name__)
        if after:
            after(module)
        elif "uwsgi" in sys.modules and callable(getattr(module, "application", None)):
            module.application = Application(module.application)

    SourceFileLoader.exec_module = exec_module  # type: ignore[method-assign, assignment]
    _watch_log()
    _watch_threads()


def examine(error: BaseException) -> None:
    """Open the prompt in the frame that raised `error`, if nobody was asked about it before."""
    if getattr(error, _SEEN, False) or not isinstance(error, Exception) or error.__traceback__ is None:
        return
    with suppress(AttributeError):  # one without a __dict__ is shown each time
        setattr(error, _SEEN, True)
    prompt: Any = pdb.Pdb()
    prompt.examine(error)


def _watch_dispatcher(module: Any) -> None:
    """oslo_messaging.rpc.dispatcher: what a method raises by agreement is an answer like any other."""
    usual = module.RPCDispatcher.dispatch
    agreed = (module.ExpectedException, module.NoSuchMethod)

    def dispatch(*arguments: Any, **options: Any) -> Any:
        try:
            return usual(*arguments, **options)
        except Exception as error:
            if not isinstance(error, agreed):
                examine(error)
            raise

    module.RPCDispatcher.dispatch = dispatch


class Application:
    """A WSGI application that is watched: what it raises goes up to its server, which only prints it."""

    def __init__(self, watched: Any) -> None:
        self._watched = watched

    def __call__(self, *arguments: Any) -> Any:
        try:
            return self._watched(*arguments)
        except Exception as error:
            examine(error)
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._watched, name)


def _watch_wsgiref(module: Any) -> None:
    """wsgiref.handlers, of _devswap_serve."""
    usual = module.BaseHandler.log_exception

    def log_exception(self: Any, exc_info: Any) -> None:
        usual(self, exc_info)
        examine(exc_info[1])

    module.BaseHandler.log_exception = log_exception


def _watch_eventlet(module: Any) -> None:
    """eventlet.wsgi."""
    usual = module.server

    def server(sock: Any, site: Any, *arguments: Any, **options: Any) -> Any:
        return usual(sock, Application(site), *arguments, **options)

    module.server = server


_AFTER_IMPORT: Dict[str, Callable[[Any], None]] = {
    "oslo_messaging.rpc.dispatcher": _watch_dispatcher,
    "wsgiref.handlers": _watch_wsgiref,
    "eventlet.wsgi": _watch_eventlet,
}


def _watch_log() -> None:
    """Whatever is logged as an error while an exception is handled, or with its traceback; the line first."""
    usual = logging.Logger.handle

    def handle(self: logging.Logger, record: logging.LogRecord) -> None:
        usual(self, record)
        error = (record.exc_info or sys.exc_info())[1]
        if record.levelno >= logging.ERROR and error is not None:
            examine(error)

    logging.Logger.handle = handle  # type: ignore[method-assign]


def _watch_threads() -> None:
    usual = sys.excepthook

    def excepthook(kind: Any, error: BaseException, tree: Any) -> None:
        usual(kind, error, tree)
        examine(error)

    sys.excepthook = excepthook
    if hasattr(threading, "excepthook"):  # 3.8
        usual_of_threads = threading.excepthook

        def of_thread(given: Any) -> None:
            usual_of_threads(given)
            if given.exc_value is not None:
                examine(given.exc_value)

        threading.excepthook = of_thread
