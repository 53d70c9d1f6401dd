"""Error reporting: a command that fails prints one line and exits with a status, no traceback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from app.cli.output import errors, plain


@contextmanager
def reported(*kinds: type[Exception], database: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Within the block, an error that the operator can fix becomes a line on standard error.

    kinds : errors whose message is a sentence and that have a `code`; status 1
    database : errors of a catalog that cannot be read; status 1

    Wrong settings end with status 78, a file that cannot be read or written with 1.
    """
    from app.settings import SettingsError  # late: the help needs none of it

    try:
        yield
    except SettingsError as error:
        _end(str(error), os.EX_CONFIG)
    except kinds as error:
        _end(f"{error} ({getattr(error, 'code', type(error).__name__)})")
    except database as error:
        _end(f"the catalog cannot be read: {str(error).splitlines()[0]}")
    except BrokenPipeError:
        raise  # whatever read the output, such as `head`, has had enough: typer ends without a word
    except OSError as error:
        why = error.strerror or str(error)
        _end(why if error.filename is None else f"{error.filename}: {why}")


def _end(line: str, status: int = 1) -> None:
    from xclip_search.addresses import without_secrets  # late: it brings the client with it

    errors().print(plain(f"error: {without_secrets(line)}"))
    raise typer.Exit(status) from None
