"""Section 3.5 and layer file 150: the towers need links between them.

uv run python -m experiments.no_links
"""

from __future__ import annotations

from dataclasses import replace

from alexnet_jax.presets import preset
from experiments.kit.experiment import Arms, Experiment
from experiments.kit.run import main
from experiments.kit.settings import CPU_NOTE, Scale, baseline
from experiments.kit.verdict import Rule


def arms(scale: Scale) -> Arms:
    """The net, and the same without links before the classifier."""
    if scale == "full":
        return {"with links": preset("imagenet_original"), "without links": preset("imagenet_layer_file_150")}
    base = baseline(scale)
    first, *others = base.model.convs
    apart = replace(
        base.model,
        convs=(first, *(replace(conv, groups=2) for conv in others)),
        dense=tuple(replace(layer, groups=2) for layer in base.model.dense),
    )
    return {"with links": base, "without links": replace(base, model=apart)}


EXPERIMENT = Experiment(
    name="no_links",
    claim="A net without links between the towers has a higher error",
    source="authors' layer file 150, unpublished",
    printed="none",
    authors_log="41.83% without links and with wider layers, 40.66% with",
    arms=arms,
    rule=Rule(more="without links", less="with links", counts=0.01),
    scale_note=f"{CPU_NOTE} Layer file 150 has wider layers in place of the links; here the layers keep their widths, "
    "and their initial weights the standard deviation of the layers that read both towers.",
)

if __name__ == "__main__":
    main(EXPERIMENT)
