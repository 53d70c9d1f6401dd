"""How long a search takes, by stage, beside the bare FAISS call on the same vectors.

A real service with a random base-patch32 over 100,000 segments that are put straight into its
catalog and tensor store. Each round asks a new text without a filter, new texts under filters that
allow 10 % and 1 %, a new text with confidence, one text again and again, and searches the same
vectors with FAISS alone, on as many threads.

python -m benchmarks.latency [--segments 100000] [--searches 200] [--threads 1] [--json]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import httpx
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from app.calibration.confidence import calibrate
from app.calibration.stored_collection import open_footage
from app.catalog import Catalog
from app.catalog.records import NewSegment, NewVideo, VideoFacts
from app.settings import Settings
from app.storage.composition import open_storage
from app.storage.library_identity import open_catalog
from benchmarks.random_model import random_records, save_random_base, unit_vectors
from index.protocol import TensorReference
from tests.e2e.service import running
from xclip.encoder import Encoder
from xclip.encoders import load_encoder
from xclip.motion.world import TRAINING, phrasing

SEGMENTS_OF_A_VIDEO = 200
CLUSTERS = 1_000
WINDOW_S, STRIDE_S = 5.0, 2.5
FACTS = VideoFacts("mp4", "h264", 640, 360, WINDOW_S + STRIDE_S * (SEGMENTS_OF_A_VIDEO - 1))
WARM_UP = 5

SURE = "new text, with confidence"
CASES: Mapping[str, Mapping[str, Any]] = {
    "new text": {},
    "new text, 10 % allowed": {"tenth": 3},
    "new text, 1 % allowed": {"hundredth": 33},
    SURE: {},
    "same text": {},
}
BACKGROUND = 256  # segments that the confidence of a new text is read from
FAISS = "FAISS alone"
Taken = dict[str, dict[str, list[float]]]  # case, stage, milliseconds of each search


def main() -> None:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segments", type=int, default=100_000)
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1, help="of the model and of both indexes")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    faiss.omp_set_num_threads(arguments.threads)
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, data = Path(folder) / "checkpoint", Path(folder) / "data"
        save_random_base(checkpoint, patch_size=32)
        encoder = load_encoder(str(checkpoint), device="cpu")
        began = time.perf_counter()
        alone = fill(data, encoder, arguments.segments, random)
        filled_s = time.perf_counter() - began
        settings = {"XCLIP_MODEL": str(checkpoint), "XCLIP_THREADS": str(arguments.threads)}
        own = Settings(data_dir=data, model=str(checkpoint))
        with (
            running(data, **settings) as service,
            service.client() as client,
            open_footage(own, "default") as footage,
        ):
            calibration = calibrate(footage, own.layout.calibrations, None, BACKGROUND, 0).name
            asking = Asking(client, footage.catalog, calibration)
            taken = measure(asking, alone, encoder, arguments.searches, random)
    rows = summary(taken)
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print_table(rows, f"{arguments.segments:,} segments, {arguments.threads} thread(s)")
    Console().print(f"filled in {filled_s:.0f} s")


def fill(
    data: Path, encoder: Encoder, segments: int, random: np.random.Generator
) -> faiss.IndexScalarQuantizer:
    """Write catalog and tensors as a worker does; return the same vectors in FAISS's own index."""
    settings = Settings(data_dir=data)
    storage = open_storage(settings.layout, writer_id="bench")
    store = storage.tensors
    alone = faiss.IndexScalarQuantizer(
        encoder.dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    with closing(storage), open_catalog(settings) as catalog:
        catalog.create_collection(
            "default", model=encoder.name, window_s=WINDOW_S, stride_s=STRIDE_S, metadata={}
        )
        shape = (SEGMENTS_OF_A_VIDEO, *encoder.stored_arrays["prompt"])
        prompts = random.standard_normal(shape, np.float32)  # the same for every video
        vectors = unit_vectors(random, segments, encoder.dim, clusters=CLUSTERS)
        for start in range(0, segments, SEGMENTS_OF_A_VIDEO):
            part = vectors[start : start + SEGMENTS_OF_A_VIDEO]
            references = store.append(random_records(encoder, part, prompts[: len(part)]))
            add_video(catalog, encoder, start // SEGMENTS_OF_A_VIDEO, part, references)
            alone.add(part)
        store.sync()
    return alone


def add_video(
    catalog: Catalog,
    encoder: Encoder,
    number: int,
    embeddings: NDArray[np.float32],
    references: Sequence[TensorReference],
) -> None:
    """One video with these segments, its job done."""
    metadata = {"tenth": number % 10, "hundredth": number % 100}
    new = NewVideo(f"video-{number}.mp4", "video/mp4", 1, f"{number:064x}", metadata)
    catalog.add_video_with_job("default", new)
    job = catalog.claim_job("bench", 600.0)
    assert job is not None
    assert job.lease_token is not None
    segments = [
        NewSegment(position, STRIDE_S * position, STRIDE_S * position + WINDOW_S, reference)
        for position, reference in enumerate(references)
    ]
    catalog.complete_ingest(
        job.id,
        job.lease_token,
        facts=FACTS,
        segments=segments,
        embeddings=embeddings,
        model="motion-tiny",
        fingerprint=encoder.fingerprint,
    )


@dataclass(frozen=True)
class Asking:
    """A running service, and its catalog, in which confidence is switched on and off."""

    client: httpx.Client
    catalog: Catalog
    calibration: str

    def search(self, text: str, case: str) -> dict[str, float]:
        """Milliseconds of each stage of a search, and of the whole round trip."""
        self.catalog.set_calibration("default", self.calibration if case == SURE else None)
        began = time.perf_counter()
        answer = self.client.post(
            "/v1/collections/default/search",
            json={"text": text, "top_k": 10, "filter": CASES[case]},
        )
        round_trip = 1_000 * (time.perf_counter() - began)
        answer.raise_for_status()
        found = answer.json()
        assert len(found["results"]) == 10, answer.text
        assert (found["confidence_kind"] is not None) == (case == SURE), answer.text
        return {**found["timings_ms"], "round trip": round_trip}


def measure(
    asking: Asking,
    alone: faiss.IndexScalarQuantizer,
    encoder: Encoder,
    searches: int,
    random: np.random.Generator,
) -> Taken:
    """Ask `searches` rounds of every case, with FAISS alone taking its turn in each."""
    taken: Taken = defaultdict(lambda: defaultdict(list))
    for number in range(-WARM_UP, searches):
        for case in CASES:
            text = "a red circle moving left"
            if case != "same text":
                text = f"{phrasing(TRAINING[number % len(TRAINING)], random)} {number} {case}"
            stages = asking.search(text, case)
            if number >= 0:
                for stage, milliseconds in stages.items():
                    taken[case][stage].append(milliseconds)
        query = encoder.encode_text([f"a blue square {number}"])
        began = time.perf_counter()
        alone.search(query, Settings().recall_candidates)
        if number >= 0:
            taken[FAISS]["recall"].append(1_000 * (time.perf_counter() - began))
    return taken


def summary(taken: Taken) -> list[dict[str, Any]]:
    """Return the median and the 99th percentile of every case and stage, in milliseconds."""
    return [
        {
            "case": case,
            "stage": stage,
            "searches": len(times),
            "p50": float(np.percentile(times, 50)),
            "p99": float(np.percentile(times, 99)),
        }
        for case, stages in taken.items()
        for stage, times in stages.items()
    ]


def print_table(rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """Print a row a stage, a column a case."""
    cases = list(dict.fromkeys(row["case"] for row in rows))
    table = Table(title=f"searches over {title}: p50 / p99 in ms, {rows[0]['searches']} of each")
    table.add_column("stage")
    for case in cases:
        table.add_column(case, justify="right")
    for stage in dict.fromkeys(row["stage"] for row in rows):
        cells = {
            row["case"]: f"{row['p50']:.1f} / {row['p99']:.1f}"
            for row in rows
            if row["stage"] == stage
        }
        table.add_row(stage, *(cells.get(case, "") for case in cases))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
