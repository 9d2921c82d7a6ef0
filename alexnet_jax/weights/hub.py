"""Files of the Hugging Face Hub, through ``huggingface_hub``, which resumes, locks, checks and keeps them."""

from __future__ import annotations

from pathlib import Path

from alexnet_jax.errors import AlexNetError, first_line, require_package


def fetch_from_hub(repository: str, file: str, progress: bool = True) -> Path:
    """The file of a repository, which is downloaded unless it is in the cache of ``huggingface_hub`` (``HF_HOME``).

    Args:
        repository: ``OWNER/REPO``.
        file: its path in the repository.
        progress: whether to show a progress bar on standard error.

    Raises:
        UsageError: ``huggingface_hub`` is not installed.
        AlexNetError: there is no such file, or it cannot be downloaded.
    """
    require_package("huggingface_hub", "hf://", "hub")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.utils.tqdm import tqdm

    class Silent(tqdm):
        def __init__(self, *arguments: object, **options: object):
            super().__init__(*arguments, **options | {"disable": True})

    name = f"hf://{repository}/{file}"
    try:
        return Path(hf_hub_download(repository, file, tqdm_class=None if progress else Silent))
    except LocalEntryNotFoundError as error:
        raise AlexNetError(
            f"{name}: the Hugging Face Hub cannot be reached; pass a copy of the file, or set ALEXNET_JAX_MIRROR to "
            "the URL of a folder that has it"
        ) from error
    except EntryNotFoundError as error:
        raise AlexNetError(f"{name}: the repository has no such file; name another as hf://OWNER/REPO/FILE") from error
    except (HFValidationError, OSError) as error:
        raise AlexNetError(f"{name}: cannot be downloaded ({first_line(error)}); check the name") from error
