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

    def to(
        self,
        *where: str | int | torch.device | torch.dtype,
        device: str | int | torch.device | None = None,
        dtype: torch.dtype | None = None,
        non_blocking: bool = False,
    ) -> Self:
        """The same inputs on a device, in a dtype, or both, in any order, as transformers has it.

        Ids and masks keep their dtype: only what is floating point can be rounded.

        Raises TypeError for two devices or two dtypes.
        """
        for value in where:
            if isinstance(value, torch.dtype):
                if dtype is not None:
                    raise TypeError(f"two dtypes were given: {dtype} and {value}")
                dtype = value
            else:
                if device is not None:
                    raise TypeError(f"two devices were given: {device} and {value}")
                device = value
        return type(self)(
            {
                name: tensor.to(
                    device,
                    dtype if tensor.is_floating_point() else None,
                    non_blocking=non_blocking,
                )
                for name, tensor in self.items()
            }
        )


def require_torch(return_tensors: str) -> None:
    """Raise ValueError for anything but "pt"; the argument exists for callers of transformers."""
    if return_tensors != "pt":
        raise ValueError(f"return_tensors={return_tensors!r} is not supported; only 'pt' is")
