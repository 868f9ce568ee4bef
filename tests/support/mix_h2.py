"""Clients of a mix that speak HTTP/2 over TLS."""

from __future__ import annotations

import re
import ssl
import time
from functools import partial

from tests.support.h2client import H2Client
from tests.support.mix import Truth
from tests.support.mix_clients import Client, WrongAnswer, must_be_allowed, must_stay


class KeptH2(Client):
    """Like `Kept`, by HTTP/2 over TLS."""

    def __init__(self, port: int, truth: Truth, context: ssl.SSLContext, *, pause: float) -> None:
        super().__init__(f"kept h2 connection, a request each {pause:g} s", pause=pause)
        self._truth = truth
        self._connect = partial(H2Client, port, context)
        self._connection: H2Client | None = None
        self._cookie = ""
        self._used = 0.0

    def step(self) -> None:
        if self.done % 100 == 0:
            self._cookie = ""
        connection = self._at_hand()
        began = time.monotonic()
        headers = {"cookie": f"SERVERID={self._cookie}"} if self._cookie else {}
        try:
            answer = connection.get(headers=headers)
        except BaseException:
            self.end()
            raise
        if connection.leaving and self._used:
            # An answer of a process that a reload has replaced since the connection was used.
            began = self._used
        self._used = time.monotonic()
        place = answer.body.decode()
        if answer.status != 200:
            raise WrongAnswer(f"{answer.status} {place[:60]!r}")
        must_be_allowed(self._truth, place, began)
        must_stay(self._truth, self._cookie, place, began)
        found = re.match(r"SERVERID=([^;]+)", answer.headers.get("set-cookie", ""))
        if found:
            self._cookie = found[1]

    def end(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _at_hand(self) -> H2Client:
        """The connection, or a new one where the server has said good-bye meanwhile."""
        if self._connection is not None:
            try:
                self._connection.listen()
            except EOFError:
                if not self._connection.leaving:
                    raise
            if self._connection.leaving:
                self.end()
        if self._connection is None:
            self._used = 0.0
            self._connection = self._connect()
        return self._connection


class NewH2(Client):
    """A GET by HTTP/2 on a new connection each time, with a handshake of TLS each."""

    def __init__(
        self, port: int, truth: Truth, context: ssl.SSLContext, *, pause: float = 0.02
    ) -> None:
        super().__init__("new h2 connections", pause=pause)
        self._connect, self._truth = partial(H2Client, port, context), truth

    def step(self) -> None:
        began = time.monotonic()
        connection = self._connect()
        try:
            answer = connection.get()
        finally:
            connection.close()
        if answer.status != 200:
            raise WrongAnswer(f"{answer.status} {answer.body[:60]!r}")
        must_be_allowed(self._truth, answer.body.decode(), began)
