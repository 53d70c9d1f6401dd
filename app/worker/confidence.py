"""Confidence estimation: how likely a score is a match, by its background and a bank of texts.

The bank's logits are stored with every segment when it is indexed, the background's are computed
once for every text. K segments, N texts, B background segments, N0 bank texts, D width.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.model_api.messages import ConfidenceRequest, Scores
from app.worker.errors import CalibrationUnusable
from app.worker.scoring import Scoring
from xclip.confidence.calibration import Background, Floats, calibration_features, rest_of_bank
from xclip.confidence.model_file import CONFIDENCE_FILE, ConfidenceModel
from xclip.encoder import Encoder, StoredSegments
from xclip.errors import WeightsError
from xclip.text_bank import bank_digest, says_the_same

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[0-9a-z_-]{1,100}")
_MODELS_KEPT = 16
_TEXTS_KEPT = 20_000


class ConfidenceEstimator:
    """Confidence by the packaged calibration or by one that was fitted to a collection.

    folder : where the fitted ones are, as `<name>.safetensors`
    bank : the embeddings of the bank's texts, float32 [N0, D]; digest : of the texts
    """

    def __init__(self, encoder: Encoder, scoring: Scoring, folder: Path) -> None:
        self._fingerprint = encoder.fingerprint
        self._arrays = encoder.stored_arrays.keys()
        self._scoring = scoring
        self._folder = folder
        self.bank = scoring.embed(encoder.bank, ())
        self.digest = bank_digest(encoder.bank)
        self._packaged = self._beside_model(encoder.folder)
        self._lock = threading.Lock()
        self._models: OrderedDict[str, ConfidenceModel] = OrderedDict()
        self._backgrounds: OrderedDict[bytes, tuple[float, float, float]] = OrderedDict()

    def bank_logits(self, stored: StoredSegments) -> NDArray[np.float16]:
        """What K segments score for the bank's texts, float16 [K, N0]."""
        return self._scoring.score(self.bank, stored).astype(np.float16)

    def needs_bank(self, request: ConfidenceRequest | None, rest: bool) -> bool:
        """Whether the answer needs more than the logits. Raises CalibrationUnusable."""
        return rest or self._model_for(request) is not None

    def judge(
        self,
        texts: NDArray[np.float32],
        logits: NDArray[np.float32],
        bank: NDArray[np.float16],
        request: ConfidenceRequest | None,
        rest: bool,
    ) -> Scores:
        """Logits [K, N] of texts [N, D] with the confidence and the rest that were requested.

        bank : float16 [K, N0], of the same segments

        Raises CalibrationUnusable.
        """
        others = self._rest(texts, bank) if rest else None
        model = self._model_for(request)
        if request is None or model is None:
            return Scores(logits, rest=others)
        background = self._background(request.calibration or "", model, texts)
        features = calibration_features(logits, background, bank, says_the_same(texts, self.bank))
        calibration = model.calibration
        return Scores(
            logits,
            confidence=calibration.confidence(features, request.eligible),
            confidence_kind="calibrated" if calibration.fitted else "estimated",
            rest=others,
        )

    def _model_for(self, request: ConfidenceRequest | None) -> ConfidenceModel | None:
        if request is None:
            return None
        if request.calibration is None:
            return self._packaged
        return self._fitted(request.calibration)

    def _rest(self, texts: NDArray[np.float32], bank: NDArray[np.float16]) -> Floats:
        """Log-sum-exp of the bank's logits but for texts that mean one of `texts`; float64 [K]."""
        same = np.asarray(says_the_same(texts, self.bank).any(axis=0))
        return np.asarray(rest_of_bank(bank, same[None, :])[:, 0])

    def _background(
        self, name: str, model: ConfidenceModel, texts: NDArray[np.float32]
    ) -> Background:
        keys = [name.encode() + b"\0" + text.tobytes() for text in texts]
        with self._lock:
            known = {key: self._backgrounds[key] for key in keys if key in self._backgrounds}
        missing = [number for number, key in enumerate(keys) if key not in known]
        if missing:
            found = Background.of(self._scoring.score(texts[missing], model.background))
            columns = zip(found.mean, found.deviation, found.log_mean_exp, strict=True)
            known |= dict(zip([keys[number] for number in missing], columns, strict=True))
        with self._lock:
            for key in keys:
                self._backgrounds[key] = known[key]
                self._backgrounds.move_to_end(key)
            while len(self._backgrounds) > _TEXTS_KEPT:
                self._backgrounds.popitem(last=False)
        mean, deviation, log_mean_exp = np.array([known[key] for key in keys]).reshape(-1, 3).T
        return Background(mean, deviation, log_mean_exp)

    def _fitted(self, name: str) -> ConfidenceModel:
        with self._lock:
            if name in self._models:
                self._models.move_to_end(name)
                return self._models[name]
        # The name comes over the network: only a name that we could have made reaches the disk.
        if not _NAME.fullmatch(name):
            raise CalibrationUnusable(f"{name!r} is not the name of a calibration")
        model = self._read(self._folder / f"{name}.safetensors")
        with self._lock:
            self._models[name] = model
            while len(self._models) > _MODELS_KEPT:
                self._models.popitem(last=False)
        return model

    def _beside_model(self, folder: Path | None) -> ConfidenceModel | None:
        if folder is None or not (folder / CONFIDENCE_FILE).is_file():
            return None
        try:
            return self._read(folder / CONFIDENCE_FILE)
        except CalibrationUnusable as error:
            # The scores are as good as ever, so the worker starts, without confidence.
            logger.warning("no confidence beside the model: %s", error)
            return None

    def _read(self, path: Path) -> ConfidenceModel:
        try:
            model = ConfidenceModel.load(path)
        except WeightsError as error:
            # Not the error's own words: they name a folder of this machine.
            raise CalibrationUnusable(f"{path.stem!r} cannot be read; fit it again") from error
        same_model = model.fingerprint == self._fingerprint and model.bank == self.digest
        if not same_model or model.background.arrays.keys() != self._arrays:
            raise CalibrationUnusable(
                f"{path.stem} was fitted to another model or text bank; fit it again"
            )
        return model
