"""From a message to its answer: decode, parse, have it done, answer.

Every job is answered by a JSON object that says PASS or FAIL, whatever happens. Nothing here
waits for the cloud in a thread: a job is a task of one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from libra_common.crash import crash_point
from libra_common.errors import LibraError
from libra_common.health import Tally
from libra_common.jobs import Job
from libra_common.logs import job_context
from libra_messages import answers, pool, pool_answers
from libra_messages.codes import Code
from libra_messages.faults import Malformed
from libra_messages.pool_answers import PoolCode
from libra_pool_mgm.agents import agent_wish
from libra_pool_mgm.build import Builder
from libra_pool_mgm.clouds.base import Device, DeviceWish, Port, PortWish
from libra_pool_mgm.clouds.errors import CloudTimeout
from libra_pool_mgm.floating import FloatingIps
from libra_pool_mgm.listing import devices_shown, port_shown
from libra_pool_mgm.names import device_name, key_of
from libra_pool_mgm.ports import Ports
from libra_pool_mgm.removal import Remover

LOG = logging.getLogger(__name__)

Fields = dict[str, Any]

PATIENCE = 90.0
"""Seconds: a job server notices within 60 s that a connection is gone, and reruns its job then."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the settings say of this pool: names of devices, and what is answered of them.

    `image` is what devices boot unless a message says otherwise, "" where the cloud decides.
    """

    basename: str
    image: str
    az: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a request ended: what the answer adds, and the code and text of a failure."""

    fields: Fields
    code: str = ""
    error: str = ""

    def answer_to(self, message: Mapping[str, Any]) -> Fields:
        """Return the answer to the message that asked for it."""
        if not self.code:
            return pool_answers.passed(message, **self.fields)
        return pool_answers.failed(message, error=self.error, code=self.code, **self.fields)


class Work:
    """A request that is being carried out, for one run of its job or for several."""

    def __init__(self) -> None:
        self.known: Fields = {}
        """What the answer will add, so far."""
        self._waiting = 0
        self._somebody = asyncio.Event()

    @contextlib.contextmanager
    def awaited(self) -> Iterator[None]:
        """Count one who waits for the outcome, while the block lasts."""
        self._waiting += 1
        self._somebody.set()
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._somebody.clear()

    async def wanted(self) -> None:
        """Return if somebody waits for the outcome, or as soon as somebody does again.

        A connection that was lost may have taken the caller along, or the server has the job run
        again, here or elsewhere. Raises CloudTimeout if nobody comes: what was made would be
        marked as delivered for ever, and nobody would know of it.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                await self._somebody.wait()
        except TimeoutError:
            raise CloudTimeout(f"nobody has asked for it again in {PATIENCE:g} s") from None


Everything = tuple[Sequence[Device], Sequence[Port]]
"""All devices and all ports of the pool."""


class Controller:
    """Answers the messages of one pool.

    `everything` asks the cloud for all that there is; `message_limit` is in bytes; `tally` counts
    what is answered.
    """

    def __init__(
        self,
        *,
        facts: Facts,
        builder: Builder,
        remover: Remover,
        floating: FloatingIps,
        ports: Ports,
        everything: Callable[[], Awaitable[Everything]],
        message_limit: int,
        tally: Tally | None = None,
    ) -> None:
        self._facts = facts
        self._builder = builder
        self._remover = remover
        self._floating = floating
        self._ports = ports
        self._everything = everything
        self._message_limit = message_limit
        self._tally = tally or Tally()
        self._under_way: dict[tuple[str, str], tuple[Work, asyncio.Task[Outcome]]] = {}
        self._leaving = False

    async def answer(self, job: Job) -> bytes:
        """Answer one job; raises nothing that is foreseen."""
        with job_context(job.unique or job.handle), self._tally.job() as ended:
            answer = await self._answer(job)
            action = pool.FAMILY.action_of(answer) or "none"
            ended(action, answer.get("error_code", answers.PASS))
            found = answers.encode(answer)
            crash_point("before_answer")
            return found

    def refuse_oversize(self, size: int) -> bytes:
        """Answer a message of `size` bytes, which is more than is read."""
        error = f"the message has {size} bytes and the limit is {self._message_limit}"
        LOG.warning("refused: %s", error)
        return answers.encode(
            pool_answers.failed(None, error=error, code=Code.MESSAGE_TOO_LARGE, bad_request=True)
        )

    @staticmethod
    def fail(_job: Job, _error: Exception) -> bytes:
        """Answer a job that could not even be begun; the error is in the log."""
        return answers.encode(
            pool_answers.failed(None, error="internal error", code=PoolCode.INTERNAL_ERROR)
        )

    def under_way(self) -> frozenset[str]:
        """Return the keys of the jobs that are being done; from any thread."""
        return frozenset(key for _, key in self._under_way.copy())

    async def give_up(self) -> None:
        """Undo what is not done yet, have its jobs answered with FAIL, and return after that."""
        self._leaving = True
        tasks = [task for _, task in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, job: Job) -> Fields:
        message: Mapping[str, Any] | None = None
        try:
            message = pool.decode(job.data)
            request = pool.parse(message)
        except Malformed as error:
            LOG.warning("refused: %s", error)
            return pool_answers.from_malformed(message, error)
        outcome = await self._shared(request, key_of(job.unique))
        return outcome.answer_to(message)

    async def _shared(self, request: pool.Request, key: str) -> Outcome:
        """Do what is asked for, or wait with the run of the same job that is under way already.

        A job server has a job run again when the connection of its first run is lost, and that
        run goes on here.
        """
        place = (request.action, key)
        if place in self._under_way:
            LOG.info("%s is under way already", request.action)
            work, task = self._under_way[place]
        else:
            work = Work()
            task = asyncio.create_task(self._outcome(request, key, work))
            self._under_way[place] = work, task
            task.add_done_callback(lambda _: self._under_way.pop(place))
        with work.awaited():
            return await asyncio.shield(task)

    async def _outcome(self, request: pool.Request, key: str, work: Work) -> Outcome:
        LOG.info("%s begins", request.action)
        known = work.known
        try:
            await self._do(request, key, work)
        except LibraError as error:
            LOG.error("%s failed (%s): %s", request.action, error.code, error)
            return Outcome(fields=known, code=error.code, error=str(error))
        except asyncio.CancelledError:
            if not self._leaving:
                raise
            LOG.warning("%s given up: the pool manager leaves", request.action)
            error_text = "the pool manager leaves; send it again"
            return Outcome(fields=known, code=PoolCode.SHUTTING_DOWN, error=error_text)
        except Exception:
            # A fault of ours is answered too: silence would have gearmand run it again elsewhere.
            LOG.exception("%s failed unexpectedly", request.action)
            return Outcome(fields=known, code=PoolCode.INTERNAL_ERROR, error="internal error")
        LOG.info("%s done", request.action)
        return Outcome(fields=known)

    async def _do(self, request: pool.Request, key: str, work: Work) -> None:
        """Carry out a request, noting in `work` what its answer adds, PASS or FAIL."""
        match request:
            case pool.BuildDevice():
                await self._build(request, key, work)
            case pool.DeleteDevice():
                await self._remover.delete(request.name)
            case pool.BuildIp():
                address = await self._floating.build(key, wanted=work.wanted)
                work.known.update(id=str(address.id), ip=address.ip)
            case pool.AssignIp():
                await self._floating.assign(request.ip, request.name)
            case pool.RemoveIp():
                await self._floating.remove(request.ip, request.name)
            case pool.DeleteIp():
                await self._floating.delete(request.ip)
            case pool.AttachPort():
                work.known.update(await self._attach(request))
            case pool.DetachPort():
                await self._ports.detach(request.name, request.port)
            case pool.ListDevices():
                work.known["devices"] = devices_shown(*await self._everything())

    async def _attach(self, request: pool.AttachPort) -> Fields:
        wish = PortWish(
            key=request.key,
            subnet=request.subnet,
            network=request.network,
            ip=request.ip,
            addresses=request.addresses or (),
            security_groups=request.security_groups,
        )
        port = await self._ports.attach(request.name, wish, addresses=request.addresses)
        return port_shown(port)

    async def _build(self, request: pool.BuildDevice, key: str, work: Work) -> None:
        facts, known = self._facts, work.known
        wish = DeviceWish(
            key=key,
            name=device_name(facts.basename, key),
            flavor=request.flavor,
            image=request.image,
            az=request.az,
            network=request.network,
            agent=None if request.agent is None else agent_wish(request.agent),
        )

        def note(image: str, address: str | None) -> None:
            # API servers read all four of them from every answer that has a name.
            known["name"] = wish.name
            known["addr"] = address or known.get("addr", "")
            known["type"] = f"basename: {facts.basename}, image: {image}"
            known["az"] = request.az or facts.az

        def seen(device: Device) -> None:
            note(request.image or facts.image or device.image, device.address)

        note(request.image or facts.image, None)
        seen(await self._builder.build(wish, seen=seen, wanted=work.wanted))
