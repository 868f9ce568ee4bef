"""What is promised for the newest release holds for Debian 12's, Nova 26, too."""

from __future__ import annotations

import pytest

from tests.integration.pool.nova.test_nova_actions import (  # noqa: F401 - run once more, here
    ask,
    test_the_examples_of_the_spec_do_in_openstack_what_they_say,
)
from tests.integration.pool.nova.test_nova_cloud import (  # noqa: F401
    test_an_address_never_moves_away_from_the_device_that_holds_it,
)
from tests.integration.pool.nova.test_nova_faults import (  # noqa: F401
    test_a_full_quota_is_told_for_servers_and_for_addresses,
)

pytestmark = pytest.mark.slow
