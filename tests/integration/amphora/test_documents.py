"""Every example and every error row of both documents, word for word."""

from __future__ import annotations

import pytest

from tests.support import folders, need, netns
from tests.support.amphora import Amphora, Authorities
from tests.support.amphora_walk import Place, Walk


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.0", "0.1"])
def test_examples_and_error_rows_of_the_documents_are_answered_as_written(
    version: str, authorities: Authorities
) -> None:
    netns.must_be_possible()
    need.program("keepalived")
    # Given a node with two new ports that were never plugged
    place = Place(vip_mac="02:00:00:00:31:01", member_mac="02:00:00:00:31:02")
    with (
        netns.namespace() as node,
        netns.namespace() as neighbour,
        Amphora(folder=folders.folder(), authorities=authorities, netns=node) as agent,
    ):
        for number, mac in enumerate((place.vip_mac, place.member_mac)):
            peer = f"peer{number}"
            netns.cable(
                (node, f"eth{number + 1}", mac), (neighbour, peer, f"02:00:00:00:32:0{number}")
            )
            netns.ip("link", "set", peer, "up", namespace=neighbour)
        agent.start()

        # When it is asked all that the documents show
        steps = list(Walk(agent, version=version, place=place).steps())

        # Then each answer has the documents' code and body
        wrong = [
            f"{asked}\n  came   {reply.status} {reply.body}\n  wanted {status} {body}"
            for asked, reply, status, body in steps
            if (reply.status, reply.body) != (status, body)
        ]
        assert not wrong, "\n".join(wrong)
        assert len(steps) > 50
