"""The model server and its client, over a real socket, against the encoder itself as the oracle."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from app.model_api.client import WorkerClient
from app.model_api.endpoint import WorkerFailed, WorkerUnavailable
from app.model_api.messages import ConfidenceRequest, EmbedRequest, ScoreRequest, TextRequest
from app.model_api.secret import SECRET
from app.model_api.tensor_records import split_records
from app.service_urls import base_url
from app.worker.decoding import Decoder, Decoding
from app.worker.model_scheduler import while_wanted
from index.protocol import TensorReference
from tests.app.conftest import MakeClip
from xclip.confidence.calibration import Calibration
from xclip.confidence.model_file import ConfidenceModel
from xclip.encoder import Encoder, StoredSegments
from xclip.text_bank import bank_digest
from xclip.video.decode import DecodeRequest, decode_segments
from xclip.video.sampling import Segmentation
from xclip.xclip_encoder import XCLIPEncoder

from .conftest import Parts, eventually, free_port, model_taken

get = partial(httpx.get, timeout=120)

TEXTS = ["a red square moves left", "circle", "", "a" * 500]


def stored(parts: Parts, count: int) -> tuple[StoredSegments, list[TensorReference]]:
    """Segments of random frames, encoded and kept."""
    rng = np.random.default_rng(3)
    shape = (count, parts.encoder.num_frames, 32, 32, 3)
    videos = parts.encoder.encode_video(rng.integers(0, 256, shape, dtype=np.uint8))
    no_bank = np.zeros((count, 0), np.float16)
    references = parts.tensors.append(split_records(videos, "float16", "none", no_bank))
    parts.tensors.sync()
    return videos, references


def test_the_facts_are_those_of_the_loaded_model(parts: Parts, client: WorkerClient) -> None:
    """What the API tells about the model is what the worker runs."""
    facts, encoder = client.models()[0], parts.encoder
    assert (facts.name, facts.fingerprint) == (encoder.name, encoder.fingerprint)
    assert (facts.num_frames, facts.image_size, facts.dim) == (4, 32, 16)
    assert facts.stored_arrays == {"prompt": (4, 16)}
    assert facts.logit_scale == pytest.approx(encoder.logit_scale)
    assert (facts.device, facts.dtype) == ("cpu", "float32")


def test_texts_are_embedded_as_the_encoder_does(parts: Parts, client: WorkerClient) -> None:
    """The wire neither changes a number nor the order."""
    encoded = client.encode_text(TEXTS)
    np.testing.assert_array_equal(encoded.embeddings, parts.encoder.encode_text(TEXTS))
    assert encoded.fingerprint == parts.encoder.fingerprint
    assert encoded.score_kind == parts.encoder.score_kind == "xclip_logit"


def test_scores_are_those_of_the_encoder_in_the_order_asked(
    parts: Parts, client: WorkerClient
) -> None:
    """More segments than the server scores at once still come back as one table."""
    videos, references = stored(parts, 40)
    order = np.random.default_rng(1).integers(0, 40, 600)
    scores = client.score(
        TEXTS, [references[i] for i in order], fingerprint=parts.encoder.fingerprint
    )
    expected = parts.encoder.score(parts.encoder.encode_text(TEXTS), videos)
    np.testing.assert_allclose(scores.logits, expected[order], atol=1e-5)
    assert scores.logits.dtype == np.float32
    assert (scores.confidence, scores.confidence_kind, scores.rest) == (None, None, None)


def test_no_segments_have_an_empty_table(parts: Parts, client: WorkerClient) -> None:
    """A search that recalls nothing is no special case."""
    assert client.score(TEXTS, [], fingerprint=parts.encoder.fingerprint).logits.shape == (0, 4)


def test_segments_of_another_model_are_not_scored(parts: Parts, client: WorkerClient) -> None:
    """Numbers from mixed models would look right and mean nothing."""
    _, references = stored(parts, 1)
    with pytest.raises(WorkerFailed) as failure:
        client.score(TEXTS, references, fingerprint="another")
    assert (failure.value.code, failure.value.worker_status) == ("model_mismatch", 409)


def test_lost_and_damaged_tensors_are_told_apart_from_the_others(
    parts: Parts, client: WorkerClient
) -> None:
    """What can be read is scored as ever, and the answer says of the rest that it cannot be."""
    videos, references = stored(parts, 3)
    gone = replace(references[0], file="wrk_9-000000.tensors")
    changed = replace(references[0], crc32=references[0].crc32 ^ 1)
    asked = [changed, *references, gone]
    scores = client.score(TEXTS, asked, fingerprint=parts.encoder.fingerprint, rest=True)
    expected = parts.encoder.score(parts.encoder.encode_text(TEXTS), videos)
    np.testing.assert_allclose(scores.logits, expected, atol=1e-5)
    assert scores.damaged is not None
    assert scores.damaged.tolist() == [True, False, False, False, True]
    assert scores.rest is not None
    assert scores.rest.shape == (3,)
    nothing = client.score(TEXTS, [gone] * 600, fingerprint=parts.encoder.fingerprint)
    assert nothing.logits.shape == (0, 4)
    assert nothing.damaged is not None
    assert nothing.damaged.tolist() == [True] * 600


def test_a_clip_is_scored_segment_by_segment(
    parts: Parts, client: WorkerClient, make_clip: object
) -> None:
    """The result equals decoding and scoring in one process, and nothing is kept."""
    path = make_clip(seconds=4.2)  # type: ignore[operator]
    incoming = Path(shutil.copy(path, parts.media.tmp / "incoming-1"))
    found = client.score_clip(incoming.name, TEXTS, window_s=1.0, stride_s=0.5, timeout_s=600)
    request = DecodeRequest(Segmentation(1.0, 0.5), 4, parts.encoder.geometry)
    with path.open("rb") as file:
        segments = list(decode_segments(file, request))
    videos = parts.encoder.encode_video(np.stack([segment.frames for segment in segments]))
    expected = parts.encoder.score(parts.encoder.encode_text(TEXTS), videos)
    np.testing.assert_allclose(found.scores.logits, expected, atol=1e-3)
    np.testing.assert_array_equal(found.starts, [segment.start for segment in segments])
    np.testing.assert_array_equal(found.ends, [segment.end for segment in segments])
    assert found.duration_s == pytest.approx(4.25, abs=0.2)
    assert found.fingerprint == parts.encoder.fingerprint
    assert not list(parts.settings.layout.tensors.glob("*"))


def test_a_clip_is_embedded_segment_by_segment(
    parts: Parts, client: WorkerClient, make_clip: object
) -> None:
    """The embeddings of the encoder, and the model they are of; nothing is kept."""
    path = make_clip(seconds=4.2)  # type: ignore[operator]
    incoming = Path(shutil.copy(path, parts.media.tmp / "incoming-1"))
    found, fingerprint = client.embed_clip(incoming.name, window_s=1.0, stride_s=0.5, timeout_s=600)
    request = DecodeRequest(Segmentation(1.0, 0.5), 4, parts.encoder.geometry)
    with path.open("rb") as file:
        segments = list(decode_segments(file, request))
    expected = parts.encoder.encode_video(np.stack([segment.frames for segment in segments]))
    np.testing.assert_allclose(found, expected.embedding, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert fingerprint == parts.encoder.fingerprint
    assert not list(parts.settings.layout.tensors.glob("*"))


def test_confidence_is_that_of_the_calibration_named(parts: Parts, client: WorkerClient) -> None:
    """It is of its kind, falls with the number of segments, and an unknown name is refused."""
    videos, references = stored(parts, 6)
    calibration = Calibration((0.5, 0.2, 0.2, 0.2), bias=1.0, fitted=True)
    model = ConfidenceModel(
        parts.encoder.fingerprint, bank_digest(parts.encoder.bank), calibration, videos
    )
    model.save(parts.settings.layout.calibrations / "tiny.safetensors")
    asked = {"fingerprint": parts.encoder.fingerprint, "rest": True}
    few = client.score(TEXTS, references, **asked, confidence=ConfidenceRequest("tiny", 6))
    many = client.score(TEXTS, references, **asked, confidence=ConfidenceRequest("tiny", 600))
    assert few.confidence_kind == many.confidence_kind == "calibrated"
    assert few.confidence is not None
    assert many.confidence is not None
    assert few.confidence.shape == (6, 4)
    assert np.all((many.confidence < few.confidence) & (few.confidence < 1))
    assert few.rest is not None
    assert few.rest.shape == (6,)
    for name in ("another", "../tiny"):
        with pytest.raises(WorkerFailed) as failure:
            client.score(TEXTS, references, **asked, confidence=ConfidenceRequest(name, 6))
        assert (failure.value.code, failure.value.worker_status) == ("calibration_unusable", 409)


def test_a_model_without_calibration_says_nothing_of_confidence(
    parts: Parts, client: WorkerClient
) -> None:
    """No number is better than one that nothing backs."""
    _, references = stored(parts, 2)
    asked = ConfidenceRequest(None, 2)
    found = client.score(TEXTS, references, fingerprint=parts.encoder.fingerprint, confidence=asked)
    assert (found.confidence, found.confidence_kind) == (None, None)


def test_an_unreadable_clip_carries_the_decoders_code(parts: Parts, client: WorkerClient) -> None:
    """The file is at fault, not the worker, and the answer says in which way."""
    incoming = parts.media.tmp / "incoming-1"
    incoming.write_bytes(b"this is not a video" * 100)
    cut = {"window_s": 5, "stride_s": 2, "timeout_s": 600}
    for call in (
        lambda: client.score_clip(incoming.name, TEXTS, **cut),
        lambda: client.embed_clip(incoming.name, **cut),
    ):
        with pytest.raises(WorkerFailed) as failure:
            call()
        assert (failure.value.code, failure.value.worker_status) == ("unreadable_video", 422)


@pytest.mark.parametrize(
    "name", ["", ".", "../catalog.sqlite", "../tmp/link", "/etc/passwd", "{tmp}/incoming-1", "link"]
)
def test_only_incoming_files_are_read(parts: Parts, client: WorkerClient, name: str) -> None:
    """A path, though it leads to such a file, and a link are refused unread."""
    name = name.format(tmp=parts.media.tmp)
    (parts.media.tmp / "incoming-1").touch()
    (parts.media.tmp / "link").symlink_to("/etc/passwd")
    cut = {"window_s": 5, "stride_s": 2, "timeout_s": 600}
    for call in (
        lambda: client.score_clip(name, TEXTS, **cut),
        lambda: client.embed_clip(name, **cut),
    ):
        with pytest.raises(WorkerFailed) as failure:
            call()
        assert (failure.value.code, failure.value.worker_status) == ("invalid_request", 400)


def test_a_malformed_request_is_a_400(client: WorkerClient) -> None:
    """Nonsense is answered, and the server goes on."""
    with pytest.raises(WorkerFailed) as failure:
        client.encode_text([])
    assert (failure.value.code, failure.value.worker_status) == ("invalid_request", 400)
    assert client.encode_text(["circle"]).embeddings.shape == (1, 16)


def test_a_worker_that_is_not_there_is_unavailable() -> None:
    """The caller can tell "try again later" from "this will never work"."""
    nobody = WorkerClient(base_url("127.0.0.1", free_port()), secret=b"any")
    with pytest.raises(WorkerUnavailable) as failure:
        nobody.models()
    assert failure.value.code == "worker_unavailable"
    nobody.close()


def test_a_worker_that_does_not_answer_is_unavailable_within_seconds() -> None:
    """A readiness check must not hang on a silent port."""
    limits: list[dict[str, float]] = []

    class Noted(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            limits.append(request.extensions["timeout"])
            return super().handle_request(request)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = base_url(*silent.getsockname())
        waiting = WorkerClient(url, secret=b"any", transport=Noted())
        with pytest.raises(WorkerUnavailable):
            waiting.models()
        waiting.close()
    assert sum(limits[0][step] for step in ("connect", "read")) <= 4


def test_a_stranger_on_the_workers_port_is_named() -> None:
    """Another program's page is neither a crash nor an embedding."""
    page = httpx.MockTransport(lambda _: httpx.Response(200, text="<html>hello</html>"))
    stranger = WorkerClient("http://127.0.0.1:1", secret=b"any", transport=page)
    for call in (stranger.models, lambda: stranger.encode_text(["a"])):
        with pytest.raises(WorkerFailed, match="not a worker"):
            call()
    stranger.close()


def test_a_proxy_in_the_environment_is_passed_by(
    parts: Parts, client: WorkerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts people search for do not leave the machine by accident."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    secret = parts.catalog.secret(SECRET)
    direct = WorkerClient(str(client.endpoints[0]._http.base_url), secret=secret)
    assert direct.models()[0].dim == 16
    direct.close()


def test_only_who_shares_the_catalog_is_served(parts: Parts, client: WorkerClient) -> None:
    """Strangers at the worker's port learn that it lives; a wrong secret is as good as none."""
    url = str(client.endpoints[0]._http.base_url)
    for path in ("/livez", "/readyz"):
        assert get(f"{url}{path}").status_code == 200
    for path in ("/model", "/livez/", "/readyz/", "/none"):
        assert get(f"{url}{path}").status_code == 401
    for secret in (b"wrong", parts.catalog.secret("session")):
        stranger = WorkerClient(url, secret=secret)
        with pytest.raises(WorkerFailed) as failure:
            stranger.encode_text(["circle"])
        assert (failure.value.code, failure.value.worker_status) == ("not_this_catalog", 401)
        stranger.close()
    header = {"authorization": "Bearer é".encode("latin-1")}
    assert get(f"{url}/model", headers=header).status_code == 401


@pytest.fixture
def model_runs(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Grows by one each time the model scores."""
    runs: list[bool] = []
    score = XCLIPEncoder.score

    def noted(*arguments: Any) -> NDArray[np.float32]:
        runs.append(True)
        return score(*arguments)

    monkeypatch.setattr(XCLIPEncoder, "score", noted)
    return runs


def test_a_worker_is_ready_once_its_model_has_run(
    client: WorkerClient, model_runs: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 while the model fails, 200 from its first run on, and no run for any later probe."""
    probe = f"{client.endpoints[0]._http.base_url}/readyz"

    def failing(*_: Any) -> NDArray[np.float32]:
        raise RuntimeError("no memory on the device")

    with monkeypatch.context() as broken:
        broken.setattr(XCLIPEncoder, "encode_text", failing)
        answer = get(probe)
    assert (answer.status_code, answer.json()["code"]) == (503, "model_not_ready")
    assert [get(probe).status_code for _ in range(3)] == [200, 200, 200]
    assert len(model_runs) == 1


def test_probes_that_come_together_share_one_run(
    parts: Parts, client: WorkerClient, model_runs: list[bool]
) -> None:
    """Strangers who probe many times cost the model no more than one run."""
    probe = f"{client.endpoints[0]._http.base_url}/readyz"
    with ThreadPoolExecutor(8) as pool:
        with model_taken(parts):
            answers = [pool.submit(get, probe) for _ in range(8)]
            time.sleep(0.5)
        assert {answer.result().status_code for answer in answers} == {200}
    assert len(model_runs) == 1


@pytest.fixture
def callers(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], bool]]:
    """For each caller so far, whether the server believes that they still wait."""
    found: list[Callable[[], bool]] = []

    def noted(wanted: Callable[[], bool]) -> AbstractContextManager[None]:
        found.append(wanted)
        return while_wanted(wanted)

    monkeypatch.setattr("app.worker.server.while_wanted", noted)
    return found


def test_work_for_a_caller_who_has_hung_up_is_dropped(
    parts: Parts,
    client: WorkerClient,
    callers: list[Callable[[], bool]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their texts never reach the model; whoever still waits gets theirs."""
    encoded: list[str] = []
    encode_text = XCLIPEncoder.encode_text

    def noted(encoder: Encoder, texts: Sequence[str]) -> NDArray[np.float32]:
        encoded.extend(texts)
        return encode_text(encoder, texts)

    monkeypatch.setattr(XCLIPEncoder, "encode_text", noted)
    score = ScoreRequest(["left"], [], parts.encoder.fingerprint, (), None, False)
    with ThreadPoolExecutor() as pool, model_taken(parts):
        patient = pool.submit(client.encode_text, ["up"])
        for path, message in (("/text", TextRequest(["red"])), ("/score", score)):
            with pytest.raises(httpx.ReadTimeout):
                client.endpoints[0]._http.post(path, content=message.to_json(), timeout=0.5)
        assert eventually(lambda: [wanted() for wanted in callers].count(False) == 2)
    patient.result(60)
    parts.gate.query(lambda: None).result(60)
    assert encoded == ["up"]


def test_a_clip_is_decoded_no_further_once_its_caller_has_hung_up(
    parts: Parts,
    client: WorkerClient,
    callers: list[Callable[[], bool]],
    make_clip: MakeClip,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The decoder does not work on for nobody, and its place is free for the next clip."""
    ended: list[bool] = []
    open_decoder = Decoder.open

    @contextmanager
    def noted(*arguments: Any) -> Iterator[Decoding]:
        try:
            with open_decoder(*arguments) as decoding:
                yield decoding
        finally:
            ended.append(True)

    monkeypatch.setattr(Decoder, "open", noted)
    path = make_clip(seconds=60, fps=4)
    incoming = Path(shutil.copy(path, parts.media.tmp / "incoming-1"))
    message = EmbedRequest(incoming.name, 1.0, 0.5)
    with model_taken(parts):
        with pytest.raises(httpx.ReadTimeout):
            client.endpoints[0]._http.post("/embed", content=message.to_json(), timeout=1.0)
        assert eventually(lambda: [wanted() for wanted in callers] == [False])
    assert eventually(lambda: ended == [True])
