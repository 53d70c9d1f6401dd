"""Zero-shot classification: labels by the model's own score, for stored segments or one upload.

In mode "single" one label fits: a segment's probabilities are the softmax of its logits over the
labels, a video's are the mean of its segments'. In mode "multi" any number may fit: each label has
its own confidence, a video's is the highest of its segments'. However many segments and labels
there are, one block of logits is in memory at a time, and each call to the worker is small enough
that searches get their turns between calls.

K segments, L labels, n labels answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.catalog import Catalog
from app.catalog.filters import parse_filter
from app.catalog.records import SegmentOfVideo
from app.errors import InvalidRequest, VideoNotReady
from app.model_api.client import WorkerClient
from app.model_api.endpoint import WorkerFailed
from app.model_api.messages import ClipScores, Flags, Scores
from app.services.classify.probabilities import LabelScores, Probabilities
from app.services.classify.types import (
    Classified,
    ClassifyOptions,
    ClipLabels,
    ClipSegmentLabels,
    Labelling,
    Part,
    SegmentLabels,
    VideoLabels,
)
from app.services.filter_keys import counted_keys
from app.services.library.segmentation import SegmentationDefaults
from app.services.text_use import MAX_TEXTS, TextUse, require_different
from app.services.vectors.damage import Damage
from index.protocol import TensorReference

Rows = npt.NDArray[np.int64]

_TEXTS_A_CALL = 1_000  # ten seconds of base-patch32 on two CPU cores, unless they are cached
_PAIRS_A_CALL = 50_000  # likewise, and a fifth of a megabyte
_BLOCK_SCORES = 1_000_000  # 4 MB of logits
_BLOCK_SEGMENTS = 1_000
_MAX_NUMBERS = 1_000_000
_MAX_CHARACTERS = 100_000_000
_NUMBER_CHARACTERS = 24  # of a probability and its punctuation
_ROW_CHARACTERS = 200  # of a segment's id, its times and their names


class _Unreadable(Exception):
    """Some of K segments cannot be scored; `damaged`, bool [K], says which."""

    def __init__(self, damaged: Flags) -> None:
        super().__init__(f"{damaged.sum()} of {len(damaged)} segments cannot be read")
        self.damaged = damaged


class Classify:
    """Scores labels over what is stored, and over files that pass through."""

    def __init__(
        self,
        catalog: Catalog,
        worker: WorkerClient,
        damage: Damage,
        *,
        segmentation: SegmentationDefaults,
        decode_timeout_s: float,
    ) -> None:
        self._catalog = catalog
        self._worker = worker
        self._damage = damage
        self._segmentation = segmentation
        self._decode_timeout_s = decode_timeout_s

    def stored(self, name: str, part: Part, options: ClassifyOptions) -> Classified:
        """Label a part of the collection; in the order of the ids given, else newest first.

        Raises CollectionNotFound, LabelSetNotFound, VideoNotFound, VideoNotReady, SegmentNotFound,
        InvalidFilter, InvalidRequest (too much for one answer, or two labels that the model cannot
        tell apart), NotCalibrated.
        """
        collection = self._catalog.get_collection(name)
        labelling = self._labelling(options, collection.calibration)
        rows = self._rows(name, part)
        _check_size(labelling.labels, options, len(rows), sum(map(len, rows.values())))
        found: list[VideoLabels] = []
        damaged: list[int] = []  # of each block that had any
        use = TextUse()
        if collection.fingerprint is not None:
            use = self._read(labelling, collection.fingerprint)
            scored = self._scored(list(rows.values()), labelling, collection.fingerprint, damaged)
            groups = groupby(scored, key=lambda pair: pair[0].video.id)
            found = [_video_labels(group, labelling, options) for _, group in groups]
        if sum(damaged) and part.video_ids is not None and not found:
            raise VideoNotReady("The stored data of these videos is damaged and must be rebuilt.")
        keys = counted_keys(self._catalog, name, parse_filter(part.filter), len(rows))
        return Classified(collection.model, labelling.labels, found, sum(damaged), use, keys)

    def clip(
        self,
        path: Path,
        options: ClassifyOptions,
        window_s: float | None = None,
        stride_s: float | None = None,
    ) -> ClipLabels:
        """Label a file in the media store's tmp folder; nothing of it is kept.

        Raises LabelSetNotFound, InvalidRequest (too much for one answer, two labels that the model
        cannot tell apart, or a stride longer than the window), NotCalibrated.
        """
        window_s, stride_s = self._segmentation.fill(window_s, stride_s)
        labelling = self._labelling(options, None)
        use = self._read(labelling, None)
        scored = self._score_clip(path, labelling, window_s, stride_s)
        _check_size(labelling.labels, options, 1, len(scored.starts))
        return _clip_labels(scored, labelling, options, use)

    def _read(self, labelling: Labelling, fingerprint: str | None) -> TextUse:
        """How much of the labels is read. Raises InvalidRequest for two that the model confuses."""
        read = self._worker.read_texts(
            labelling.labels, labelling.templates, fingerprint=fingerprint
        )
        require_different(labelling.labels, read)
        return TextUse.of(labelling.labels, read)

    def _score_clip(
        self, path: Path, labelling: Labelling, window_s: float, stride_s: float
    ) -> ClipScores:
        try:
            return self._worker.score_clip(
                path.name,
                labelling.labels,
                window_s=window_s,
                stride_s=stride_s,
                timeout_s=self._decode_timeout_s,
                templates=labelling.templates,
                confidence=labelling.confidence,
                rest=labelling.none_of_these,
            )
        except WorkerFailed as error:
            if error.code == "too_many_scores":
                raise InvalidRequest(error.message) from error
            raise

    def _labelling(self, options: ClassifyOptions, calibration: str | None) -> Labelling:
        labels, templates = options.labels, options.templates
        if options.label_set is not None:
            stored = self._catalog.get_label_set(options.label_set)
            labels = stored.labels
            templates = stored.templates if templates is None else templates
        labelling = Labelling(
            labels or (), templates or (), options.mode, options.none_of_these, calibration
        )
        texts = len(labelling.labels) * max(1, len(labelling.templates))
        if options.none_of_these and texts > _TEXTS_A_CALL:
            raise InvalidRequest(
                f"none_of_these weighs all labels at once: at most {_TEXTS_A_CALL} labels, times "
                f"templates, not {texts}."
            )
        if texts > MAX_TEXTS:
            raise InvalidRequest(
                f"{len(labelling.labels)} labels in {len(labelling.templates)} templates are "
                f"{texts} texts, more than the {MAX_TEXTS} of one request; use fewer templates."
            )
        return labelling

    def _rows(self, name: str, part: Part) -> Mapping[str, Rows]:
        """The rows of the segments to label, by video, in the order they are answered."""
        if part.video_ids is not None:
            return self._rows_of_videos(name, list(dict.fromkeys(part.video_ids)))
        if part.segment_ids is not None:
            return self._rows_of_segments(name, list(dict.fromkeys(part.segment_ids)))
        rows = self._catalog.rows_by_video(name)
        if part.filter is None:
            return rows
        allowed = self._catalog.eligible_rows(name, parse_filter(part.filter))
        if allowed is None or not rows:
            return rows
        fits = np.isin(np.concatenate(list(rows.values())), allowed)
        ends = np.cumsum([rows_of_video.size for rows_of_video in rows.values()])
        kept = zip(rows.items(), np.split(fits, ends[:-1]), strict=True)
        return {video: rows_of_video[mask] for (video, rows_of_video), mask in kept if mask.any()}

    def _rows_of_videos(self, name: str, video_ids: Sequence[str]) -> Mapping[str, Rows]:
        videos = [self._catalog.get_video(name, video_id) for video_id in video_ids]
        waiting = next((video for video in videos if video.status != "ready"), None)
        if waiting is not None:
            raise VideoNotReady(f"The video {waiting.id} is {waiting.status}, not ready.")
        rows = self._catalog.rows_by_video(name, video_ids)
        return {video_id: rows[video_id] for video_id in video_ids if video_id in rows}

    def _rows_of_segments(self, name: str, ids: Sequence[str]) -> Mapping[str, Rows]:
        by_video: dict[str, list[tuple[int, int]]] = {}
        for item in self._catalog.segments_by_ids(name, ids):
            entry = (item.segment.position, item.segment.row)
            by_video.setdefault(item.video.id, []).append(entry)
        return {
            video_id: np.array([row for _, row in sorted(entries)], np.int64)
            for video_id, entries in by_video.items()
        }

    def _scored(
        self, rows: Sequence[Rows], labelling: Labelling, fingerprint: str, damaged: list[int]
    ) -> Iterator[tuple[SegmentOfVideo, Probabilities]]:
        """Each segment with its probabilities, shape (L,); rows deleted meanwhile are left out."""
        step = max(1, min(_BLOCK_SEGMENTS, _BLOCK_SCORES // len(labelling.labels)))
        flat = np.concatenate([np.empty(0, np.int64), *rows])
        for start in range(0, len(flat), step):
            yield from self._block(flat[start : start + step], labelling, fingerprint, damaged)

    def _block(
        self, rows: Rows, labelling: Labelling, fingerprint: str, damaged: list[int]
    ) -> Iterator[tuple[SegmentOfVideo, Probabilities]]:
        """A generator of its own, so that one block of logits is freed before the next is made."""
        found = self._catalog.segments_by_rows(rows.tolist())
        while found:
            references = [item.segment.tensor for item in found]
            try:
                scores = self._scores(labelling, references, fingerprint)
            except _Unreadable as error:
                damaged.append(self._damage.count(found, error.damaged))
                found = [item for item, bad in zip(found, error.damaged, strict=True) if not bad]
                continue
            yield from zip(found, labelling.rows(scores), strict=True)
            return

    def _scores(
        self, labelling: Labelling, references: Sequence[TensorReference], fingerprint: str
    ) -> Scores:
        """Scores of K segments and L labels, tile by tile.

        Labels are the outer loop, so that each is encoded at most once a block.

        Raises _Unreadable as soon as the tensors of some cannot be read.
        """
        labels, templates = labelling.labels, labelling.templates
        shape = (len(references), len(labels))
        logits = np.empty(shape, np.float32)
        confidence = np.empty(shape) if labelling.confidence else None
        others = np.empty(len(references)) if labelling.none_of_these else None
        width = max(1, _TEXTS_A_CALL // max(1, len(templates)))
        for left in range(0, len(labels), width):
            chunk = labels[left : left + width]
            height = max(1, _PAIRS_A_CALL // len(chunk))
            for top in range(0, len(references), height):
                rows, columns = slice(top, top + height), slice(left, left + width)
                scores = self._worker.score(
                    chunk,
                    references[rows],
                    fingerprint=fingerprint,
                    templates=templates,
                    confidence=labelling.confidence,
                    rest=labelling.none_of_these,
                )
                if scores.damaged is not None:
                    damaged = np.zeros(len(references), np.bool_)
                    damaged[rows] = scores.damaged
                    raise _Unreadable(damaged)
                logits[rows, columns] = scores.logits
                if confidence is not None:
                    if scores.confidence is None:
                        return scores
                    confidence[rows, columns] = scores.confidence
                if others is not None:
                    # All labels are in one call when the rest is requested.
                    others[rows] = scores.rest
        return Scores(logits, confidence, rest=others)


def _video_labels(
    group: Iterator[tuple[SegmentOfVideo, Probabilities]],
    labelling: Labelling,
    options: ClassifyOptions,
) -> VideoLabels:
    count = len(labelling.labels)
    pool = options.pool()
    segments = []
    for item, row in group:
        pool.add(row)
        if options.segments:
            scores = LabelScores.of(row, count, options.top)
            segments.append(SegmentLabels(item.segment, scores))
    return VideoLabels(
        item.video,
        LabelScores.of(pool.value, count, options.top),
        segments if options.segments else None,
    )


def _clip_labels(
    scored: ClipScores,
    labelling: Labelling,
    options: ClassifyOptions,
    text_use: TextUse,
) -> ClipLabels:
    count = len(labelling.labels)
    pool = options.pool()
    segments = []
    rows = labelling.rows(scored.scores)
    for start, end, row in zip(scored.starts, scored.ends, rows, strict=True):
        pool.add(row)
        if options.segments:
            scores = LabelScores.of(row, count, options.top)
            segments.append(ClipSegmentLabels(float(start), float(end), scores))
    return ClipLabels(
        scored.model,
        scored.duration_s,
        labelling.labels,
        text_use,
        LabelScores.of(pool.value, count, options.top),
        segments if options.segments else None,
    )


def _check_size(
    labels: Sequence[str], options: ClassifyOptions, videos: int, segments: int
) -> None:
    """Raise InvalidRequest for an answer too big for memory, before anything is computed."""
    answered = min(options.top or len(labels), len(labels))
    rows = videos + (segments if options.segments else 0)
    longest = sorted(map(len, labels))[-answered:]
    characters = _ROW_CHARACTERS + sum(longest) + _NUMBER_CHARACTERS * answered
    if rows * answered > _MAX_NUMBERS or rows * characters > _MAX_CHARACTERS:
        raise InvalidRequest(
            f"{answered} labels for {videos} videos"
            + (f" and {segments} segments" if options.segments else "")
            + f" are too much for one answer (at most {_MAX_NUMBERS} numbers, about "
            f"{_MAX_CHARACTERS} characters); give a smaller top, segments: false, or fewer videos."
        )
