"""A way of datagrams on which some are lost."""

from __future__ import annotations

import random
import socket
import threading


class LossyRelay:
    """Passes datagrams on, but for a share of them that is lost, as networks lose them."""

    def __init__(self, *, target: int, loss: float, seed: int = 7) -> None:
        self._target = ("127.0.0.1", target)
        self._loss = loss
        self._random = random.Random(seed)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self.port = int(self._socket.getsockname()[1])
        self.passed = 0
        self.lost = 0
        self._ends = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> LossyRelay:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends = True
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._ends:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            if self._random.random() < self._loss:
                self.lost += 1
            else:
                self.passed += 1
                self._socket.sendto(data, self._target)
