"""What README.md says of the client: its code runs as printed, and its figures are those of the code."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

from pipelines.client import Client
from pipelines.models import DeliveryFigure, Pin
from tests.pipelines.client.servers import KillableServer
from tests.readme import README, ROOT, blocks, sections

SECTION = "In an event processor"

AROUND = """
import json, os
token = os.environ["TOKEN"]
events = [{{"pipeline": name}} for name in ("{key}", "{id}", "pip_unknown")]
sent = []
def deliver(event, vendor, config):
    sent.append([event["pipeline"], vendor, sorted(config)])
    return vendor == "meta_capi"
{code}
print(json.dumps(sent))
"""


def test_its_code_delivers_what_is_pinned_and_counts_it(
    server: KillableServer, processor_token: str, meta: Pin, ga4: Pin, tmp_path: Path
) -> None:
    (code,) = (
        block.text for block in blocks(README.read_text()) if (block.section, block.language) == (SECTION, "python")
    )
    for printed, here in (("http://localhost:8084", server.url), ("/var/lib/edge", str(tmp_path))):
        assert code.count(printed) == 1
        code = code.replace(printed, here)
    script = AROUND.format(code=code, key=meta.pipeline.pipeline_key, id=meta.pipeline_id)
    ran = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        cwd=ROOT,
        env={"TOKEN": processor_token},
        text=True,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    vendors = [["meta_capi", ["access_token", "pixel_id"]], ["ga4", ["api_secret", "measurement_id"]]]
    names = (meta.pipeline.pipeline_key, meta.pipeline_id)
    assert json.loads(ran.stdout) == [[name, *vendor] for name in names for vendor in vendors]
    assert (tmp_path / "pinion.state").exists()
    figures = DeliveryFigure.objects.order_by("pin_id").values_list("pin_id", "delivered", "failed")
    assert list(figures) == sorted([(meta.pk, 2, 0), (ga4.pk, 0, 2)])


def test_its_figures_are_the_defaults() -> None:
    said = " ".join(sections(README.read_text())[SECTION].split())
    defaults = {name: parameter.default for name, parameter in inspect.signature(Client).parameters.items()}
    assert f"every {defaults['poll_seconds']:.0f} seconds (`poll_seconds`)" in said
    assert f"every {defaults['report_seconds']:.0f} seconds" in said
