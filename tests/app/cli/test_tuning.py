"""`xclip-search calibrate` and `recall` on the data folder of a service that runs meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from app.calibration.stored_collection import StoredCollection
from tests.app.calibration.conftest import filmed, put
from tests.app.planted import ask, random_videos
from tests.app.stack import Stack, open_stack
from xclip.confidence.calibration import Background, calibration_features
from xclip.confidence.model_file import ConfidenceModel
from xclip.encoder import Encoder, StoredSegments
from xclip.encoders import load_encoder
from xclip.motion.world import HELD_OUT
from xclip.text_bank import says_the_same

RunCommand = Callable[..., Result]
TEXT = HELD_OUT[0].caption
CLIPS_EACH = 4


@pytest.fixture(scope="module")
def tiny() -> Encoder:
    return load_encoder("motion-tiny", device="cpu", num_threads=1)


@pytest.fixture(scope="module")
def films(tiny: Encoder) -> StoredSegments:
    """Four clips of each held-out subject."""
    return filmed(tiny, HELD_OUT * CLIPS_EACH, seed=0)


@pytest.fixture
def served(tiny: Encoder, films: StoredSegments, tmp_path: Path) -> Iterator[Stack]:
    """A service with those clips as one long video, and the environment that leads to its data."""
    with open_stack(tmp_path / "data", tiny) as stack:
        collection = stack.catalog.get_collection("default")
        put(StoredCollection(stack.catalog, stack.tensors, tiny, collection), films)
        yield stack


@pytest.fixture
def run(command: RunCommand, served: Stack, monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    """Runs a command with the settings that the service has."""
    monkeypatch.setenv("XCLIP_DATA_DIR", str(served.settings.data_dir))
    monkeypatch.setenv("XCLIP_THREADS", "1")
    monkeypatch.setenv("XCLIP_DEVICE", "cpu")
    return command


@pytest.fixture
def pairs(served: Stack, tmp_path: Path) -> Path:
    """Each caption with the four segments that show it."""
    video = served.catalog.list_videos("default").items[0]
    segments = served.catalog.list_segments("default", video.id)
    subjects = HELD_OUT * CLIPS_EACH
    lines = [
        json.dumps({"text": subject.caption, "segment_id": segment.id})
        for subject, segment in zip(subjects, segments, strict=True)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(lines))
    return path


def calibration_of(stack: Stack) -> str | None:
    return stack.catalog.get_collection("default").calibration


def test_a_running_service_uses_a_calibration_at_the_next_search(
    run: RunCommand, served: Stack, pairs: Path, tiny: Encoder, films: StoredSegments
) -> None:
    """Estimated, then fitted to pairs, then the model's own again; each time the file's numbers."""
    own = ask(served, text=TEXT, top_k=200)
    assert own["confidence_kind"] == "calibrated"

    estimated = run("calibrate", "default")
    assert estimated.exit_code == 0, estimated.output
    assert "Nothing was measured" in estimated.output
    assert "--pairs" in estimated.output
    first = ask(served, text=TEXT, top_k=200)
    assert first["confidence_kind"] == "estimated"

    fitted = run("calibrate", "default", "--pairs", pairs, "--background", 64)
    assert fitted.exit_code == 0, fitted.output
    second = ask(served, text=TEXT, top_k=200)
    assert second["confidence_kind"] == "calibrated"
    name = calibration_of(served)
    model = ConfidenceModel.load(served.settings.layout.calibrations / f"{name}.safetensors")
    assert len(model.background.embedding) == 64
    expected = sorted(confidence_by(model, tiny, films).tolist(), reverse=True)
    found = sorted((hit["confidence"] for hit in second["results"]), reverse=True)
    np.testing.assert_allclose(found, expected, atol=0.02)  # the films are stored as int8
    assert found != [hit["confidence"] for hit in own["results"]]

    removed = run("calibrate", "default", "--remove")
    assert (removed.exit_code, calibration_of(served)) == (0, None)
    assert "model's own calibration again" in removed.output
    assert ask(served, text=TEXT, top_k=200)["results"] == own["results"]
    assert "had no calibration" in run("calibrate", "default", "--remove").output


def confidence_by(model: ConfidenceModel, encoder: Encoder, films: StoredSegments) -> np.ndarray:
    """What the file says of every film for the text, by the formulas; shape = (K,)."""
    text, bank = encoder.encode_text([TEXT]), encoder.encode_text(encoder.bank)
    features = calibration_features(
        encoder.score(text, films),
        Background.of(encoder.score(text, model.background)),
        encoder.score(bank, films).astype(np.float16),
        says_the_same(text, bank),
    )
    return model.calibration.confidence(features, len(films.embedding))[:, 0]


def test_the_held_out_figures_are_shown(run: RunCommand, pairs: Path) -> None:
    """Of a fifth of the texts: error, abstention and what is kept, each with its searches."""
    lines = run("calibrate", "default", "--pairs", pairs).output.splitlines()
    assert lines[0].startswith("on 8 texts held out of the fit")
    # Sizes 10, 20, 40 and 80, eight rounds, half of the searches with a match.
    assert lines[1].split()[:4] == ["expected", "calibration", "error", "512"]
    assert lines[2].split()[:-1] == ["nothing", "to", "find:", "abstains", "at", "0.5", "256"]
    assert lines[3].startswith("right first: kept at 0.5")
    error, abstains, kept = (float(line.split()[-1]) for line in lines[1:4])
    assert error < 0.1
    assert abstains > 0.8
    assert kept > 0.8
    assert lines[4].startswith("Confidence is now calibrated, with all texts")


def test_recall_is_measured_and_kept(run: RunCommand, served: Stack) -> None:
    """A line for each number of candidates; the fewest that are enough are what searches recall."""
    dry = run("recall", "default", "--count", 20, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert served.catalog.get_collection("default").recall_candidates is None
    lines = dry.output.splitlines()
    assert lines[0].split() == ["candidates", "recall@1", "recall@10"]
    rows = {line.split()[0]: [*map(float, line.split()[1:])] for line in lines[1:-1]}
    assert list(rows) == ["10", "20", "50", "100", "all"]
    assert rows["all"] == [1, 1]
    assert lines[-1].endswith("of 160 candidates are enough.")

    kept = run("recall", "default", "--count", 20, "--target", 0.9)
    enough = served.catalog.get_collection("default").recall_candidates
    assert kept.output.splitlines()[-1] == (
        f"{enough} of 160 candidates are enough and are recalled from now on."
    )
    steps = [10, 20, 50, 100, 160]
    reached = [recall for _, recall in rows.values()]
    assert enough == next(n for n, recall in zip(steps, reached, strict=True) if recall >= 0.9)


def test_a_running_service_recalls_as_many_as_were_kept(run: RunCommand, served: Stack) -> None:
    """All of them for a perfect target: then every answer is exact."""
    served.catalog.set_recall_candidates("default", 3)
    assert not ask(served, text=TEXT, top_k=5)["index"]["exact"]
    assert run("recall", "default", "--target", 1, "--top", 150).exit_code == 0
    assert ask(served, text=TEXT, top_k=5)["index"]["exact"]


def test_queries_may_come_from_a_file(run: RunCommand, tmp_path: Path) -> None:
    """Only the best result matters here, so there is one column."""
    path = tmp_path / "queries.txt"
    path.write_text(f"{TEXT}\n")
    output = run("recall", "default", "--queries", path, "--top", 1, "--dry-run").output
    assert output.splitlines()[0].split() == ["candidates", "recall@1"]
    assert output.splitlines()[-1] == "10 of 160 candidates are enough."


def assert_refused(result: Result, *says: str) -> None:
    """Status 1 and one sentence on standard error."""
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) <= 2  # a long sentence may be wrapped
    for words in says:
        assert words in result.stderr.replace("\n", " ")


@pytest.mark.parametrize("name", ["calibrate", "recall"])
def test_what_cannot_be_measured_is_one_sentence(
    name: str, run: RunCommand, served: Stack, monkeypatch: pytest.MonkeyPatch, checkpoint: Path
) -> None:
    """No such collection, an empty one, another model, no catalog."""
    assert_refused(run(name, "other"), "no collection 'other'")
    served.catalog.create_collection("empty", model="m", window_s=5, stride_s=2.5)
    assert_refused(run(name, "empty"), "'empty' holds no searchable video")
    monkeypatch.setenv("XCLIP_MODEL", str(checkpoint))
    assert_refused(run(name, "default"), "was built with motion-tiny", "but XCLIP_MODEL is")
    monkeypatch.setenv("XCLIP_DATA_DIR", str(checkpoint / "nowhere"))
    assert_refused(run(name, "default"), "there is no catalog")
    assert not (checkpoint / "nowhere").exists()


def test_a_bad_pair_is_named_and_changes_nothing(
    run: RunCommand, served: Stack, tmp_path: Path
) -> None:
    """By its line."""
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "red", "video_id": "vid_none"}')
    assert_refused(run("calibrate", "default", "--pairs", path), "line 1", "'vid_none'")
    path.write_text('{"text": "red"}')
    assert_refused(run("calibrate", "default", "--pairs", path), "line 1 of", "segment_id")
    assert calibration_of(served) is None
    assert not served.settings.layout.calibrations.exists()


def test_a_small_collection_gets_no_calibration(
    run: RunCommand, served: Stack, tiny: Encoder
) -> None:
    """Nineteen segments are no background."""
    served.catalog.create_collection("small", model="m", window_s=5, stride_s=2.5)
    collection = served.catalog.get_collection("small")
    footage = StoredCollection(served.catalog, served.tensors, tiny, collection)
    put(footage, random_videos(tiny, 19, np.random.default_rng(0)))
    assert_refused(run("calibrate", "small"), "at least 20 segments", "has 19")


def test_wrong_settings_have_their_own_status(
    run: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with the commands that start the service."""
    monkeypatch.setenv("XCLIP_WINDOW", "5")
    result = run("recall", "default")
    assert (result.exit_code, "XCLIP_WINDOW is not a setting" in result.stderr) == (78, True)


def test_remove_goes_without_pairs(run: RunCommand, pairs: Path) -> None:
    """To fit and to remove at once can only be a mistake."""
    assert run("calibrate", "default", "--pairs", pairs, "--remove").exit_code == 2
