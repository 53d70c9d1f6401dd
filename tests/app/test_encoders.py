"""The service with another encoder than X-CLIP, and that no part of it depends on X-CLIP's form."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from tests.app.conftest import MakeClip
from tests.app.stack import SEARCH, open_stack
from tests.xclip.two_tower import TwoTowerEncoder

APP = Path(__file__).parents[2] / "app"

# The setting's name, names of the REST API, and words that mean something else.
ALLOWED = {
    "settings.py": {"prompt_precision"},
    "worker/composition.py": {"prompt_precision"},
    "routes/models.py": {"prompt", "prompt_shape"},
    "routes/embeddings.py": {"prompt_tokens"},
    "cli/commands/evaluate.py": {"prompt"},  # of a template of texts
    "cli/commands/models.py": {"prompts"},  # of a VideoX file
}


def test_no_part_of_the_service_knows_what_x_clip_stores() -> None:
    """Only the setting, where it is read, and the REST API's own names say `prompt`."""
    said = {
        str(path.relative_to(APP)): set(
            re.findall(r"\w*prompt\w*", path.read_text("utf-8"), re.IGNORECASE)
        )
        for path in APP.rglob("*.py")
    }
    assert {file: words for file, words in said.items() if words} == ALLOWED


def test_a_two_tower_model_is_ingested_and_searched(tmp_path: Path, make_clip: MakeClip) -> None:
    """Segments are stored without arrays and ranked by the cosine that the encoder computes."""
    encoder = TwoTowerEncoder("two-tower", 0, None, ("a dog", "two people"))
    text = "a red square moves left"
    with open_stack(tmp_path / "data", encoder) as stack:
        video = stack.ingest(make_clip(seconds=4.0))
        assert video["status"] == "ready"
        answer = stack.api.post(SEARCH, json={"text": text}).json()
        [collection] = [stack.catalog.get_collection("default")]
        segments = stack.catalog.list_segments("default", video["id"])
        model = stack.api.get("/v1/models").json()["items"][0]
    assert answer["score_kind"] == "cosine"
    assert collection.fingerprint == encoder.fingerprint == model["fingerprint"]
    assert model["prompt_shape"] == [0, 0]
    assert len(answer["results"]) == min(10, len(segments)) > 3
    scores = [result["score"] for result in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert np.abs(scores).max() <= 1 + 1e-6
    assert np.ptp(scores) > 0
