"""Swift as a store, by python-swiftclient and the token that came with the message.

Each call is made once: its Connection class repeats only what it can rewind, which a stream is
not, and the next ARCHIVE is the repetition. The token is a header and nothing else: the library's
own log, which shows the beginning of it, is shut, and no text of its exceptions is passed on.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import requests
from swiftclient import client
from swiftclient.exceptions import ClientException

from libra_worker.archive.base import (
    ArchiveError,
    ChecksumMismatch,
    Destination,
    Store,
    Stored,
    StoreForbidden,
    TimeLimit,
)
from libra_worker.archive.cutting import Sockets
from libra_worker.archive.packing import Packed, parts, size_of
from libra_worker.archive.swift_errors import meaning_of

logging.getLogger("swiftclient").setLevel(logging.CRITICAL)

_TYPE = "application/gzip"


class SwiftStore(Store):
    """One account and container of a Swift.

    `ca` is the file of certificate authorities, empty for the usual ones; `timeout` the seconds
    that one step may take; `limit` is for all of them, and cuts the connection when it is up,
    whatever goes on; a log of more than `segment_bytes` is sent as a static large object.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        ca: str,
        timeout: float,
        limit: TimeLimit,
        segment_bytes: int,
    ) -> None:
        self._to = destination
        self._limit = limit
        self._segment_bytes = segment_bytes
        self._connection: Any = client.http_connection(
            destination.endpoint, cacert=ca or None, timeout=timeout
        )
        session: requests.Session = self._connection[1].request_session
        # Neither a proxy nor a password of this machine's user, and no way to another host.
        session.trust_env = False
        session.max_redirects = 0
        self._sockets = Sockets(session, seconds=limit.left)
        self._seen: dict[str, bool] = {}

    def put(self, name: str, log: BinaryIO) -> Stored:
        """Store a log, in one piece or in several."""
        size = size_of(log)
        stretches = parts(size, most=self._segment_bytes)
        if len(stretches) == 1:
            packed = self._put_part(self._to.container, name, log, stretches[0])
            return Stored(name=name, size=packed.size, lines=packed.lines)
        # A container of their own, as all of Swift's tools have it: no line is listed twice.
        container = f"{self._to.container}_segments"
        segments: list[dict[str, Any]] = []
        lines = 0
        for number, stretch in enumerate(stretches):
            part = f"{name}/{stretches[0][1]}/{number:08}"
            packed = self._put_part(container, part, log, stretch)
            lines += packed.lines
            segments.append(
                {
                    "path": f"/{container}/{part}",
                    "etag": packed.checksum,
                    "size_bytes": packed.size,
                }
            )
        self._put_manifest(name, segments)
        return Stored(name=name, size=sum(one["size_bytes"] for one in segments), lines=lines)

    def close(self) -> None:
        """Close the connection."""
        self._sockets.close()
        self._connection[1].close()

    def _put_part(
        self, container: str, name: str, log: BinaryIO, stretch: tuple[int, int]
    ) -> Packed:
        """Stream a stretch of a log into an object, and see that the store has the same."""
        self._have(container)
        start, length = stretch
        packed = Packed(log, start=start, length=length, progress=self._limit.check)
        etag = self._put(container, name, iter(packed))
        self._compare(name, etag, packed.checksum)
        return packed

    def _put_manifest(self, name: str, segments: list[dict[str, Any]]) -> None:
        """Make an object of segments, each of which the store compares once more."""
        self._have(self._to.container)
        text = json.dumps(segments).encode("ascii")
        etag = self._put(self._to.container, name, text, query_string="multipart-manifest=put")
        etags = "".join(segment["etag"] for segment in segments)
        expected = hashlib.md5(etags.encode("ascii"), usedforsecurity=False).hexdigest()
        self._compare(name, etag, expected)

    def _put(
        self, container: str, name: str, contents: Iterator[bytes] | bytes, **more: str
    ) -> str:
        self._limit.check()
        with self._understood(f"PUT of {container}/{name}", container):
            etag: str = client.put_object(
                self._to.endpoint,
                token=self._to.token,
                container=container,
                name=name,
                contents=contents,
                content_type=_TYPE,
                http_conn=self._connection,
                **more,
            )
        return etag

    def _have(self, container: str) -> None:
        """See that a container is there and the token good, before any line is on its way.

        A token may be one that can only write: what it must not look at is not an error here.
        """
        if container in self._seen:
            return
        self._limit.check()
        arguments = (self._to.endpoint, self._to.token, container)
        may_look = True
        with self._understood(f"HEAD of {container}"):
            try:
                client.head_container(*arguments, http_conn=self._connection)
            except ClientException as error:
                if error.http_status == requests.codes.forbidden:
                    may_look = False
                elif error.http_status != requests.codes.not_found:
                    raise
                else:
                    with self._understood(f"PUT of {container}, which is not there"):
                        client.put_container(*arguments, http_conn=self._connection)
        self._seen[container] = may_look

    @staticmethod
    def _compare(name: str, theirs: str, ours: str) -> None:
        if theirs != ours:
            raise ChecksumMismatch(
                f"the object store has another {name} than was sent: its checksum differs"
            )

    @contextmanager
    def _understood(self, what: str, container: str = "") -> Iterator[None]:
        """Say in our words what went wrong; never in the library's, which know the token."""
        meant: ArchiveError | None = None
        try:
            yield
        except (ClientException, requests.RequestException, OSError) as error:
            self._limit.check()
            meant = meaning_of(error, what)
            if not self._seen.get(container, True) and meant.code == "store_unreachable":
                # One that refuses to be looked at cuts off what is written to it, too.
                meant = StoreForbidden(f"the object store allows no {what} with this token")
        if meant is not None:
            with suppress(OSError):
                self._connection[1].close()
            raise meant
