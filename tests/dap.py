"""A small editor: attaches to debugpy as VS Code does, by the Debug Adapter Protocol over TCP.

https://microsoft.github.io/debug-adapter-protocol/specification
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any

Message = dict[str, Any]


class Editor:
    """One session with one process, as an entry of launch.json says."""

    def __init__(self, entry: Message, *, seconds: float = 60.0) -> None:
        self._given, self._seconds = entry, seconds
        self._socket = socket.create_connection((entry["connect"]["host"], entry["connect"]["port"]), timeout=10)
        self._number = 0
        self._read = b""
        self._events: list[Message] = []
        self._answers: dict[int, Message] = {}

    def close(self) -> None:
        self._socket.close()

    def attach(self, *breakpoints: tuple[str, int]) -> Editor:
        """The handshake, with breakpoints in lines of files, as the editor has them."""
        self.ask("initialize", adapterID="debugpy", clientID="test")
        attached = self.send("attach", **self._given)
        self.event("initialized")
        for file, line in breakpoints:
            self.ask("setBreakpoints", source={"path": file}, breakpoints=[{"line": line}])
        self.ask("configurationDone")
        self.answer(attached)
        return self

    def child(self) -> Editor:
        """Another session, with a process that this one has forked: it is told of them."""
        return Editor(self.event("debugpyAttach")["body"], seconds=self._seconds)

    def stopped(self) -> tuple[int, list[Message]]:
        """The thread that has stopped, and its frames."""
        thread = int(self.event("stopped")["body"]["threadId"])
        return thread, self.ask("stackTrace", threadId=thread)["stackFrames"]

    def evaluate(self, expression: str, frame: Message) -> str:
        return str(self.ask("evaluate", expression=expression, frameId=frame["id"], context="repl")["result"])

    def go_on(self, thread: int) -> None:
        self.ask("continue", threadId=thread)

    def leave(self) -> None:
        self.ask("disconnect", terminateDebuggee=False)
        self.close()

    def ask(self, command: str, **arguments: Any) -> Any:
        return self.answer(self.send(command, **arguments))

    def send(self, command: str, **arguments: Any) -> int:
        self._number += 1
        message = {"seq": self._number, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(message).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return self._number

    def answer(self, number: int) -> Any:
        deadline = time.monotonic() + self._seconds
        while number not in self._answers:
            assert time.monotonic() < deadline, f"no answer to {number}; events: {self._events}"
            self._receive(1.0)
        answer = self._answers.pop(number)
        assert answer["success"], answer
        return answer.get("body")

    def event(self, name: str) -> Message:
        deadline = time.monotonic() + self._seconds
        while True:
            for message in self._events:
                if message["event"] == name:
                    self._events.remove(message)
                    return message
            assert time.monotonic() < deadline, f"no {name}; events: {self._events}"
            self._receive(1.0)

    def _receive(self, seconds: float) -> None:
        self._socket.settimeout(seconds)
        try:
            read = self._socket.recv(65536)
        except TimeoutError:
            return
        assert read, f"debugpy has closed the connection; events: {self._events}"
        self._read += read
        while b"\r\n\r\n" in self._read:
            head, _, rest = self._read.partition(b"\r\n\r\n")
            length = int(head.rpartition(b":")[2])
            if len(rest) < length:
                return
            self._read = rest[length:]
            self._take(json.loads(rest[:length]))

    def _take(self, message: Message) -> None:
        if message["type"] == "response":
            self._answers[message["request_seq"]] = message
        elif message["type"] == "event":
            self._events.append(message)
