"""Test client: a running service that takes generated clips and answers about them, over REST."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import httpx
import numpy as np

from tests.e2e.service import upload, wait_for_job
from xclip.motion.world import Subject


class Clip(Protocol):
    """A planned clip, of either renderer."""

    @property
    def name(self) -> str:
        """The file's name."""

    def write(self, folder: Path) -> Path:
        """Write the file into the folder; returns it."""


class Bench:
    """A running service, a folder for clips, and the random numbers they are drawn with."""

    def __init__(self, client: httpx.Client, folder: Path, random: np.random.Generator) -> None:
        self.client = client
        self.folder = folder
        self.random = random

    def ingest(self, name: str, plans: Sequence[Clip], into: str | None = None) -> dict[str, str]:
        """Encode, upload and wait; return the video id of each plan's name.

        The collection is `name` too, unless the clips go into another.
        """
        collection = into or name
        self.client.put(f"/v1/collections/{collection}", json={}).raise_for_status()
        folder = self.folder / name
        folder.mkdir()
        jobs = {}
        for plan in plans:
            answer = upload(self.client, plan.write(folder), collection=collection)
            answer.raise_for_status()
            jobs[plan.name] = answer.json()["job"]["id"]
        ended = {name: wait_for_job(self.client, job) for name, job in jobs.items()}
        assert {job["status"] for job in ended.values()} == {"succeeded"}, ended
        return {name: job["video_id"] for name, job in ended.items()}

    def search(self, collection: str, subject: Subject, top_k: int) -> list[dict[str, Any]]:
        """Return the ranked results for the subject's caption."""
        found: list[dict[str, Any]] = self.ask(collection, text=subject.caption, top_k=top_k)[
            "results"
        ]
        return found

    def ask(self, collection: str, **question: Any) -> dict[str, Any]:
        """Return the whole answer to a search."""
        return self._post(f"/v1/collections/{collection}/search", question)

    def label(self, collection: str, labels: Sequence[str], video: str) -> dict[str, float]:
        """Return how probable each label is for a video, if one of them is right."""
        question = {"labels": list(labels), "video_ids": [video], "segments": False}
        answer = self._post(f"/v1/collections/{collection}/classify", question)
        scores: dict[str, float] = answer["videos"][0]["scores"]
        return scores

    def _post(self, path: str, question: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.post(path, json=question)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found
