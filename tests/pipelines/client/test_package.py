"""The package as somebody else embeds it: by itself, and agreeing with the control plane on what a hash is of."""

import json
import subprocess
import sys
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.client.configs import is_digest_of
from pipelines.feed.hashes import config_hash
from tests.readme import ROOT

LOAD = """
import json, sys
import pipelines.client
ours = {name.partition(".")[0] for name in sys.modules} & {"django", "rest_framework", "accounts", "integrations", "config"}
print(json.dumps([sorted(ours), sorted(name for name in sys.modules if name.startswith("pipelines"))]))
"""

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
configs = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def test_it_stands_on_nothing_else_of_ours_and_not_on_django() -> None:
    loaded = subprocess.run([sys.executable, "-c", LOAD], check=True, capture_output=True, cwd=ROOT, text=True).stdout
    foreign, ours = json.loads(loaded)
    assert foreign == []
    assert {name for name in ours if not name.startswith("pipelines.client")} == {"pipelines"}


@settings(max_examples=50)
@given(configs)
def test_it_checks_the_hash_that_the_control_plane_makes(config: Any) -> None:
    made = config_hash(pin_id="pi_a", revision_id="rev_1", config=config)
    arrived = json.loads(json.dumps(config))
    assert is_digest_of(made, arrived)
    assert not is_digest_of(made, [arrived])
    assert not is_digest_of("", arrived)
