"""Models by the name of their folder or of their place on the hub, loaded without asking the hub more than is needed.

The libraries that load models ask it again and again where there is no network, for a minute or more, even when told to
use local files alone. So a model is loaded from the folder it lies in, and the hub is asked once before a download.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from ragyena.files import expanded

__all__ = ["HUB_SECONDS", "load_model"]

HUB_SECONDS = 5.0
"""The longest wait for the hub's answer."""
OWNER = "sentence-transformers"
"""The owner of models that are named without one."""

_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")

log = logging.getLogger(__name__)


def load_model(name: str, load: Callable[[str, bool], Any], *, download: bool) -> Any:
    """``load(place, is_local)`` of the folder ``name``, or of that to which the model of this name was downloaded
    before, or else, where ``download``, of its name on the hub.

    Raises what ``load`` does, and FileNotFoundError where the model is not on this machine and the hub does not have it
    or cannot be reached, which is known within ``HUB_SECONDS``.
    """
    here = expanded(name)
    if here.exists():
        return load(str(here), True)
    held = _downloaded(name)
    if held is not None:
        try:
            return load(str(held), True)
        except Exception:  # a library raises whatever its loaders do; perhaps the download was not finished
            if not download or _why_not(name) is not None:
                raise
    elif (reason := _why_not(name) if download else "it is not on this machine") is not None:
        raise FileNotFoundError(reason)
    log.warning("the model %s is not on this machine: downloading it", name)
    return load(name, False)


def _downloaded(name: str) -> Path | None:
    """The folder to which the model of this name was downloaded, in whole or in part."""
    from huggingface_hub import try_to_load_from_cache

    for full_name in _full_names(name):
        held = try_to_load_from_cache(full_name, "config.json")
        if isinstance(held, str):
            return Path(held).parent
    return None


def _why_not(name: str) -> str | None:
    """The reason why the model of this name cannot be had from the hub, None where it can."""
    if not _full_names(name):
        return "there is no such folder, and it is no name of a model on the hub"
    if constants.HF_HUB_OFFLINE:
        return f"it is not on this machine, and HF_HUB_OFFLINE forbids to ask {constants.ENDPOINT}"
    reasons: list[str | None] = []
    # Looking up an address knows no time limit: it gets a thread, which does not keep the process alive.
    asking = threading.Thread(target=lambda: reasons.append(_asked(name)), daemon=True)
    asking.start()
    asking.join(HUB_SECONDS)
    silent = f"it is not on this machine, and {constants.ENDPOINT} does not answer within {HUB_SECONDS:.0f} s"
    return reasons[0] if reasons else silent


def _asked(name: str) -> str | None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    for full_name in _full_names(name):
        try:
            HfApi().model_info(full_name, timeout=HUB_SECONDS)
        except RepositoryNotFoundError:
            continue
        except HfHubHTTPError:
            return None  # it answers: the download says what is wrong
        except Exception as error:  # whatever the transport raises
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            return f"it is not on this machine, and {constants.ENDPOINT} cannot be reached: {reason:.150}"
        return None
    return f"it is not on this machine, and {constants.ENDPOINT} shows no model of this name"


def _full_names(name: str) -> tuple[str, ...]:
    """The names that a model may have on the hub; none for what is no name."""
    if not _NAME.fullmatch(name):
        return ()
    return (name,) if "/" in name else (f"{OWNER}/{name}", name)
