"""Dissimilarity matrices and their correlations by rsatoolbox 0.3.2, into rsatoolbox/similarity.npz.

python rsatoolbox_reference.py OUT.npz
"""

import sys

import numpy as np
import rsatoolbox

rng = np.random.default_rng(0)
common = rng.normal(size=(12, 5))
features = {
    name: (common @ rng.normal(size=(5, 30)) + noise * rng.normal(size=(12, 30))).astype(np.float32)
    for name, noise in (("a", 0.5), ("b", 2.0))
}
arrays = dict(features)
rdms = {}
for name, values in features.items():
    data = rsatoolbox.data.Dataset(values.astype(np.float64))
    for method in ("correlation", "euclidean"):
        rdms[name, method] = rsatoolbox.rdm.calc_rdm(data, method=method)
        arrays[f"{name}/{method}"] = rdms[name, method].get_matrices()[0]
for method in ("spearman", "tau-b"):
    arrays[method] = rsatoolbox.rdm.compare(rdms["a", "correlation"], rdms["b", "correlation"], method=method)
np.savez(sys.argv[1], **arrays)
