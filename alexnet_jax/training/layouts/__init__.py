"""Where the arrays of a run are: on one device, on the paper's two, or on many."""

from alexnet_jax.training.layouts.choice import LAYOUTS, choose_layout, reason_of
from alexnet_jax.training.layouts.data_parallel import DataParallel, OneDevice
from alexnet_jax.training.layouts.hybrid import Hybrid
from alexnet_jax.training.layouts.layout import Layout
from alexnet_jax.training.layouts.tower_mesh import TowerMesh
from alexnet_jax.training.layouts.two_towers import TwoTowers

__all__ = [
    "LAYOUTS",
    "DataParallel",
    "Hybrid",
    "Layout",
    "OneDevice",
    "TowerMesh",
    "TwoTowers",
    "choose_layout",
    "reason_of",
]
