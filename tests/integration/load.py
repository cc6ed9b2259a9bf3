"""A bounded load of real requests, as a process of its own: python -m tests.integration.load URL RATE SECONDS."""

from __future__ import annotations

import json
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request

_PATIENCE = 30.0
_ANYBODY = ssl._create_unverified_context()


def _ask(url: str, failures: list[tuple[float, str]]) -> None:
    """Failures are noted with the time of day at which they were asked."""
    at = time.time()
    try:
        urllib.request.urlopen(url, timeout=_PATIENCE, context=_ANYBODY if url.startswith("https") else None).read()
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            failures.append((at, str(error.code)))
    except OSError as error:
        failures.append((at, str(error)))


def _listen(enough: threading.Event) -> None:
    sys.stdin.readline()
    enough.set()


def main(url: str, rate: float, seconds: float) -> None:
    """Prints the count and the failures once all are answered, also when it is told to end early by a line."""
    failures: list[tuple[float, str]] = []
    asked: list[threading.Thread] = []
    began, enough = time.monotonic(), threading.Event()
    threading.Thread(target=_listen, args=(enough,), daemon=True).start()
    while not enough.is_set() and len(asked) < rate * seconds:
        asked.append(threading.Thread(target=_ask, args=(url, failures)))
        asked[-1].start()
        time.sleep(max(0.0, began + len(asked) / rate - time.monotonic()))
    for each in asked:
        each.join()
    print(json.dumps({"requests": len(asked), "failures": failures}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
