"""``alexnet completion``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro
from tyro.conf import subcommand

from alexnet_jax.commands.bench import BenchArguments
from alexnet_jax.commands.convert import ConvertArguments
from alexnet_jax.commands.evaluate import EvaluateArguments
from alexnet_jax.commands.export import ExportArguments
from alexnet_jax.commands.features import FeaturesArguments
from alexnet_jax.commands.lpips import LpipsArguments
from alexnet_jax.commands.nearest import NearestArguments
from alexnet_jax.commands.parsing import parse
from alexnet_jax.commands.plan import PlanArguments
from alexnet_jax.commands.predict import PredictArguments
from alexnet_jax.commands.prepare import PrepareArguments
from alexnet_jax.commands.report import ReportArguments
from alexnet_jax.commands.similarity import SimilarityArguments
from alexnet_jax.commands.summary import SummaryArguments
from alexnet_jax.commands.train_arguments import TrainArguments
from alexnet_jax.commands.variants import VariantsArguments
from alexnet_jax.presets import preset


@dataclass(frozen=True)
class CompletionArguments:
    """Print a script that completes commands and options in a shell: eval "$(alexnet completion bash)"."""

    shell: tyro.conf.Positional[Literal["bash", "zsh", "fish", "tcsh"]]
    """The shell."""


_TRAIN = TrainArguments(preset("quickstart"))
_Command = (
    Annotated[TrainArguments, subcommand("train", default=_TRAIN)]
    | Annotated[TrainArguments, subcommand("sweep", default=_TRAIN)]
    | Annotated[EvaluateArguments, subcommand("evaluate")]
    | Annotated[PrepareArguments, subcommand("prepare")]
    | Annotated[PredictArguments, subcommand("predict")]
    | Annotated[FeaturesArguments, subcommand("features")]
    | Annotated[SimilarityArguments, subcommand("similarity")]
    | Annotated[NearestArguments, subcommand("nearest")]
    | Annotated[LpipsArguments, subcommand("lpips")]
    | Annotated[ConvertArguments, subcommand("convert")]
    | Annotated[ExportArguments, subcommand("export")]
    | Annotated[BenchArguments, subcommand("bench")]
    | Annotated[VariantsArguments, subcommand("variants")]
    | Annotated[PlanArguments, subcommand("plan")]
    | Annotated[SummaryArguments, subcommand("summary")]
    | Annotated[ReportArguments, subcommand("report")]
    | Annotated[CompletionArguments, subcommand("completion")]
)


def main(arguments: list[str]) -> int:
    """Prints the script."""
    shell = parse(CompletionArguments, arguments, "completion").shell
    script = ["--tyro-write-completion", shell, "-"]
    tyro.cli(_Command, args=script, prog="alexnet", use_underscores=True)
    return 0
