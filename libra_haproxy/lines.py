"""Ways to speak with one HAProxy process, which keep it from ending. Standard library only.

An open session on a process's admin socket is a job to HAProxy, so a process that leaves after a
reload cannot end while it is held. A process that was leaving already when this keeper came is
nowhere to be connected to but through its master, which opens a session of its own for each
command. One command is therefore begun and not ended, which holds the process, and the questions
go beside it. A reload ends the master's sessions; the process is held again right after it.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Protocol

from libra_haproxy.pids import born, lives

_ANSWER_SECONDS = 1.0


class Line(Protocol):
    """A way to ask one process, which cannot end as long as it is open."""

    jobs: int
    """How many jobs the line itself is to HAProxy, while it asks."""

    def ask(self, command: str) -> str:
        """Ask; raises TimeoutError when there is no answer yet, else OSError when there is none."""

    def close(self) -> None:
        """Let the process go."""


class OwnLine:
    """A session on the serving process's own socket. Raises OSError when there is none."""

    jobs = 1

    def __init__(self, admin_socket: Path) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._unread = bytearray()
        self._owed = 0
        try:
            self._connection.settimeout(_ANSWER_SECONDS)
            self._connection.connect(str(admin_socket))
            self.ask("prompt")
        except BaseException:
            self._connection.close()
            raise

    def ask(self, command: str) -> str:
        """Ask, by a prompt that ends each answer."""
        # An answer that came too late belongs to the question before: it is read first.
        while self._owed:
            self._read_answer()
        self._connection.sendall(command.encode("ascii") + b"\n")
        self._owed += 1
        return self._read_answer()

    def close(self) -> None:
        """Let the process go."""
        self._connection.close()

    def _read_answer(self) -> str:
        while not self._unread.endswith(b"\n> "):
            chunk = self._connection.recv(65536)
            if not chunk:
                raise ConnectionResetError("HAProxy closed the session")
            self._unread += chunk
        answer = self._unread[:-2].decode("utf-8", "replace")
        self._unread.clear()
        self._owed -= 1
        return answer


class MasterLine:
    """The way to a leaving process through its master's socket. Raises OSError without a master."""

    jobs = 2

    def __init__(self, master_socket: Path, *, pid: int) -> None:
        self._master_socket = master_socket
        self._pid = pid
        self._born = born(pid)
        self._holding = self._hold()

    def ask(self, command: str) -> str:
        """Ask, by a connection for this question; a master that is reloading is asked again."""
        try:
            if self._lost():
                self._holding.close()
                self._holding = self._hold()
            answer = ask_master(self._master_socket, f"@!{self._pid} {command}")
        except OSError:
            answer = ""
        if not answer.strip() and lives(self._pid, self._born):
            raise TimeoutError("the master does not answer for it at the moment")
        return answer

    def close(self) -> None:
        """Let the process go."""
        self._holding.close()

    def _hold(self) -> socket.socket:
        """Begin a command with a payload that never comes to its end."""
        connection = _connected(self._master_socket)
        try:
            connection.sendall(f"@!{self._pid} show info <<\n".encode("ascii"))
            connection.setblocking(False)
        except BaseException:
            connection.close()
            raise
        return connection

    def _lost(self) -> bool:
        """Whether the master ended the session that holds."""
        try:
            return not self._holding.recv(1)
        except BlockingIOError:
            return False
        except OSError:
            return True


def ask_master(master_socket: Path, command: str) -> str:
    """Ask by a connection for this question alone; raises OSError."""
    with _connected(master_socket) as connection:
        connection.sendall(f"{command};quit\n".encode("ascii"))
        # The master waits for more unless told that there is none.
        connection.shutdown(socket.SHUT_WR)
        answer = bytearray()
        while chunk := connection.recv(65536):
            answer += chunk
        return answer.decode("utf-8", "replace")


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(str(path))
    except BaseException:
        connection.close()
        raise
    return connection
