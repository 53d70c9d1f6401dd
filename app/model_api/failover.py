"""Failover: each call goes to the workers in turn, and on to the next one where one fails.

All attempts together take no longer than the call may. While another worker is left, one has only
as long as it usually takes, with a margin: a frozen worker must not use up the time of all.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import httpx
from safetensors import SafetensorError

from app.errors import ModelMismatch
from app.model_api.endpoint import (
    Model,
    WorkerEndpoint,
    WorkerError,
    WorkerFailed,
    WorkerUnavailable,
)
from app.model_api.messages import MessageError, ModelFacts

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WorkerCall(Generic[T]):
    """One call to whichever worker can answer it.

    read : makes a value of the answer; LookupError, MessageError and SafetensorError mean that
        what answered is no worker
    size : how much work it is, a search's being 1; None if that cannot be known, as of a video
    fingerprint : of the model that has to answer; None is any
    repeatable : whether another worker may do it after one may have begun; else only before
    """

    path: str
    body: bytes
    timeout_s: float
    read: Callable[[httpx.Response], T]
    size: float | None = 1.0
    fingerprint: str | None = None
    repeatable: bool = True


class Failover:
    """The workers of one client; blocking and safe to share between threads."""

    def __init__(
        self,
        endpoints: Sequence[WorkerEndpoint],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoints = endpoints
        self._clock = clock
        # One counter per path; with a shared one, /text would always reach one worker and /score
        # the other.
        self._turns: Mapping[str, Iterator[int]] = defaultdict(itertools.count)
        self._lock = threading.Lock()

    def ask(self, call: WorkerCall[T]) -> T:
        """The first answer by the right model, else what says best why there is none.

        If each worker that answers runs another model than the call names, the answer is one of
        theirs: WorkerFailed `model_mismatch`, or a value. Raises WorkerUnavailable, WorkerFailed.
        """
        ends_at = self._clock() + call.timeout_s
        failures: list[_Failure] = []
        of_other_model: list[T] = []
        left = self._in_order(call.path, call.fingerprint)
        remaining_s = call.timeout_s
        while left and remaining_s > 0:
            endpoint = left.pop(0)
            could_answer = not _runs_other(endpoint, call.fingerprint)
            others = any(_is_choice(other, call.fingerprint) for other in left)
            try:
                answer = _send(endpoint, call, remaining_s, others=others)
            except WorkerError as error:
                if _is_final(error, call):
                    raise
                failures.append(_Failure(error, could_answer=could_answer))
            else:
                if not _runs_other(endpoint, call.fingerprint):
                    return answer
                of_other_model.append(answer)
            remaining_s = ends_at - self._clock()
        worst = min(failures, key=_Failure.rank, default=None)
        if worst is not None and (worst.rank() == 0 or not of_other_model):
            raise worst.error
        return of_other_model[0]

    def models(self) -> list[ModelFacts]:
        """What the workers' models are, each model once, in the order of the workers.

        Raises WorkerUnavailable, WorkerFailed if no worker answers; in about two seconds for each
        that does not.
        """
        found: dict[tuple[str, str], ModelFacts] = {}
        errors: list[WorkerError] = []
        for endpoint in sorted(self._endpoints, key=lambda endpoint: endpoint.breaker.is_open):
            if found and endpoint.breaker.is_open:
                break
            try:
                facts = endpoint.facts()
            except WorkerError as error:
                errors.append(error)
            else:
                found.setdefault((facts.name, facts.fingerprint), facts)
        if not found:
            raise min((_Failure(error) for error in errors), key=_Failure.rank).error
        return list(found.values())

    def known_models(self) -> list[Model]:
        """The models of the workers that have answered so far, in the order of the workers."""
        return [endpoint.model for endpoint in self._endpoints if endpoint.model is not None]

    def _in_order(self, path: str, fingerprint: str | None) -> list[WorkerEndpoint]:
        """The workers from the one whose turn it is; the worse choices come last."""
        with self._lock:
            turn = next(self._turns[path]) % len(self._endpoints)
        rotated = [*self._endpoints[turn:], *self._endpoints[:turn]]
        return sorted(rotated, key=lambda endpoint: _faults(endpoint, fingerprint))


@dataclass(frozen=True, slots=True)
class _Failure:
    """An attempt without an answer; `could_answer`: the worker may run the right model."""

    error: WorkerError
    could_answer: bool = True

    def rank(self) -> int:
        """How little it says of the call as a whole: that one may answer later says most."""
        if isinstance(self.error, WorkerUnavailable):
            return 0 if self.could_answer else 2
        return 1 if self.error.code == ModelMismatch.code else 3


def _send(endpoint: WorkerEndpoint, call: WorkerCall[T], remaining_s: float, *, others: bool) -> T:
    """One attempt; `others` says whether another worker could take the call instead."""
    limit_s, times = remaining_s, endpoint.times
    trial = endpoint.breaker.try_again()
    if others and (trial or call.size is None):
        endpoint.facts()  # a process that does not answer this does not answer the call either
    if others and call.size is not None:
        limit_s = min(limit_s, times.first_answer_s(call.path, call.size))
    try:
        with times.measured(call.path, call.size):
            answer = endpoint.call("POST", call.path, call.body, limit_s)
    except WorkerFailed as error:
        if error.code == ModelMismatch.code:
            with suppress(WorkerError):
                endpoint.facts()  # so that the next call knows
        raise
    try:
        return call.read(answer)
    except (LookupError, MessageError, SafetensorError) as error:
        raise endpoint.refused(answer) from error


def _is_final(error: WorkerError, call: WorkerCall[T]) -> bool:
    """Whether no other worker may be called after this."""
    if isinstance(error, WorkerFailed) and error.code != ModelMismatch.code:
        return not error.fault_of_worker or (error.began and not call.repeatable)
    return isinstance(error, WorkerUnavailable) and error.began and not call.repeatable


def _faults(endpoint: WorkerEndpoint, fingerprint: str | None) -> tuple[bool, bool, bool]:
    """What speaks against a worker, the gravest first."""
    return (
        _runs_other(endpoint, fingerprint),
        endpoint.breaker.is_open,
        endpoint.times.is_overdue,
    )


def _is_choice(endpoint: WorkerEndpoint, fingerprint: str | None) -> bool:
    return not any(_faults(endpoint, fingerprint))


def _runs_other(endpoint: WorkerEndpoint, fingerprint: str | None) -> bool:
    """Whether the worker is known to run another model than the call needs."""
    model = endpoint.model
    return fingerprint is not None and model is not None and model.fingerprint != fingerprint
