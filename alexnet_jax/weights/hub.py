"""Files of the Hugging Face Hub, through ``huggingface_hub``, which resumes, locks, checks and keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alexnet_jax.errors import AlexNetError, UsageError, first_few, first_line, require_package

USUAL_FILE = "model.safetensors"
"""The file of a repository that is named without one."""


def fetch_from_hub(repository: str, file: str | None, progress: bool = True) -> Path:
    """A file of a repository, which is downloaded unless it is in the cache of ``huggingface_hub`` (``HF_HOME``).

    Args:
        repository: ``OWNER/REPO``.
        file: its path in the repository. None takes ``USUAL_FILE``, or else the only .safetensors file in any folder.
        progress: whether to show a progress bar on standard error.

    Raises:
        UsageError: ``huggingface_hub`` is not installed, or the repository has several files to choose from.
        AlexNetError: there is no such file, or it cannot be downloaded.
    """
    require_package("huggingface_hub", "hf://", "hub")
    from huggingface_hub import hf_hub_download, list_repo_files
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.utils.tqdm import tqdm

    class Silent(tqdm):
        def __init__(self, *arguments: object, **options: object):
            super().__init__(*arguments, **options | {"disable": True})

    def download(path: str) -> Path:
        return Path(hf_hub_download(repository, path, tqdm_class=None if progress else Silent))

    name = f"hf://{repository}/{file or USUAL_FILE}"
    try:
        try:
            return download(file or USUAL_FILE)
        except EntryNotFoundError as error:
            if file is not None or isinstance(error, LocalEntryNotFoundError):
                raise
        return download(_only_weights(repository, list_repo_files(repository)))
    except LocalEntryNotFoundError as error:
        raise AlexNetError(
            f"{name}: the Hugging Face Hub cannot be reached; pass a copy of the file, or set ALEXNET_JAX_MIRROR to "
            "the URL of a folder that has it"
        ) from error
    except EntryNotFoundError as error:
        raise AlexNetError(f"{name}: the repository has no such file; name another as hf://OWNER/REPO/FILE") from error
    except (HFValidationError, OSError) as error:
        raise AlexNetError(f"{name}: cannot be downloaded ({first_line(error)}); check the name") from error


def _only_weights(repository: str, files: Sequence[str]) -> str:
    found = sorted(file for file in files if file.endswith(".safetensors"))
    if not found:
        raise AlexNetError(f"hf://{repository}: has no .safetensors file; name another as hf://OWNER/REPO/FILE")
    if len(found) > 1:
        names = first_few([f"hf://{repository}/{file}" for file in found], most=6)
        raise UsageError(f"hf://{repository}: has {len(found)} .safetensors files; name one of {names}")
    return found[0]
