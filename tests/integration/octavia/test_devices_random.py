"""kill -9 of the agent, the pool manager and gearmand at any moment of random operations."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from tests.support.octavia_cloud import OctaviaCloud
from tests.support.octavia_random import (
    RandomOperations,
    everything_settles,
    nothing_leaks,
    serves_what_is_shown,
)
from tests.support.sizes import size

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.mark.parametrize(("seed", "operations"), [(1, size(12, full=24)), (2, size(36, full=100))])
def test_every_load_balancer_ends_as_the_api_shows_it(seed: int, operations: int) -> None:
    chance = random.Random(seed)
    with OctaviaCloud(octavia={"lease": 10}) as cloud:
        (agent,) = cloud.agents

        def kill_agent() -> None:
            agent.kill()
            time.sleep(chance.random())
            agent.start()

        def kill_pool() -> None:
            cloud.pool.kill()
            time.sleep(chance.random())
            cloud.pool.start(wait=False)

        def kill_gearmand() -> None:
            cloud.gearmand.kill()
            time.sleep(chance.random())
            cloud.gearmand.start()

        kills: list[Callable[[], None]] = [kill_agent, kill_pool, kill_gearmand]
        webs = cloud.members("one", "two", "three", "four-net")
        random_operations = RandomOperations(cloud, webs, chance)
        try:
            for _ in range(operations):
                random_operations.step()
                time.sleep(chance.random() * 1.5)
                if chance.random() < 0.5:
                    kill = chance.choice(kills)
                    kill()
                    random_operations.done.append(kill.__name__)
            everything_settles(cloud, 400)
            serves_what_is_shown(cloud, webs)
            nothing_leaks(cloud)
            for one in cloud.api.call("GET", "loadbalancers")["loadbalancers"]:
                cloud.delete(f"loadbalancers/{one['id']}", "?cascade=true")
            assert (cloud.devices(), cloud.ports()) == ([], [])
        except BaseException:
            print("\n".join(random_operations.done))
            print(cloud.pending())
            print(cloud.said())
            raise
