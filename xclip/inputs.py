"""Model inputs: named tensors, passed as `model(**inputs)`."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor


class ModelInputs(dict[str, Tensor]):
    """A dict of tensors whose entries are also attributes, like transformers' BatchEncoding."""

    def __getattr__(self, name: str) -> Tensor:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"no input is named {name!r}; the inputs are {list(self)}"
            ) from None

    def to(self, device: str | torch.device) -> Self:
        """The same inputs on a device."""
        return type(self)({name: tensor.to(device) for name, tensor in self.items()})


def require_torch(return_tensors: str) -> None:
    """Raise ValueError for anything but "pt"; the argument exists for callers of transformers."""
    if return_tensors != "pt":
        raise ValueError(f"return_tensors={return_tensors!r} is not supported; only 'pt' is")
