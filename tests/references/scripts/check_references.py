"""Draws everything again, computes the reference values in float64 with separate code, and prints the differences.

    OMP_NUM_THREADS=1 nice -n 19 torch311/bin/python check_references.py CAFFE_DIRECTORY TORCH_DIRECTORY

It also prints how much each likely mistake would change the result ("wrong: ..."), to choose the tests' tolerances.
"""

import sys

import numpy as np
import torch
import torch.nn.functional as F

CAFFE, TORCH = sys.argv[1:]
NAMES = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]


def draw(seed, channels, groups, in_channels_fc6, conv1, scale, shape):
    rng, before, out = np.random.RandomState(seed), 3, {}
    for name, after in zip(NAMES, channels, strict=False):
        if name.startswith("conv"):
            k = {"conv1": 11, "conv2": 5}.get(name, 3)
            size = (after, before // groups.get(name, 1), k, k)
        else:
            size = (after, in_channels_fc6 if name == "fc6" else before)
        std = round(float(np.sqrt(2 / np.prod(size[1:]))), 4)
        std = conv1 if name == "conv1" and conv1 else std
        out[name] = [
            (std * rng.standard_normal(size)).astype(np.float32),
            (0.1 * rng.standard_normal(after)).astype(np.float32),
        ]
        before = after
    return out, (scale * rng.standard_normal(shape)).astype(np.float32)


def lrn(x, towers=1, alpha=1e-4, k=1.0):
    return torch.cat([F.local_response_norm(part, 5, alpha, 0.75, k) for part in x.chunk(towers, 1)], 1)


def forward(w, x, kind, groups, lrn=lrn):
    blobs = {}
    for name in NAMES:
        kernel, bias = w[name]
        n = name[-1]
        if name.startswith("conv"):
            first = name == "conv1"
            pad = (2 if kind == "torch" else 0) if first else kernel.shape[-1] // 2
            x = F.conv2d(x, kernel, bias, 4 if first else 1, pad, groups=groups.get(name, 1))
        else:
            x = F.linear(x.flatten(1), kernel, bias)
        x = x if name == "fc8" else x.clamp(min=0)
        blobs[name] = x
        steps = ["pool"] if n in "125" and name.startswith("conv") else []
        if steps and n in "12" and kind != "torch":
            steps = ["norm", "pool"] if kind == "caffe_alexnet" else ["pool", "norm"]
        for step in steps:
            x = blobs[step + n] = lrn(x) if step == "norm" else F.max_pool2d(x, 3, 2)
    return blobs


def rel(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(np.abs(a - b).max() / np.abs(b).max())


def tensors(w, grad=False):
    return {k: [torch.from_numpy(p).double().requires_grad_(grad) for p in v] for k, v in w.items()}


def check_full(f, w, pixels, kind, groups):
    assert np.array_equal(pixels.ravel()[:8], f["full/pixels_head"])
    w, x = tensors(w), torch.from_numpy(pixels).double()
    blobs = forward(w, x, kind, groups)
    print(
        "  fc8 std {:.3f}, max |difference| / max {:.1e}".format(f["full/fc8"].std(), rel(blobs["fc8"], f["full/fc8"]))
    )
    for name in sorted({k.split("/")[2] for k in f.files if k.startswith("full/probe")}):
        flat = blobs[name].numpy().ravel()
        at, values, stats = (f[f"full/probe/{name}/{k}"] for k in ("positions", "values", "stats"))
        print(
            "  %-6s values %.1e (%2d of 16 not 0), mean, std %.1e; mean %.3f std %.3f"
            % (name, rel(values, flat[at]), (values != 0).sum(), rel(stats, [flat.mean(), flat.std()]), *stats)
        )
    if kind != "torch":

        def no(x):
            return x

        for what, other in {
            "no_lrn": no,
            "lrn_in_each_tower": lambda x: lrn(x, 2),
            "k_2": lambda x: lrn(x, k=2.0),
            "alpha_not_divided": lambda x: lrn(x, alpha=5e-4),
        }.items():
            print("  wrong: %-18s %.1e" % (what, rel(forward(w, x, kind, groups, other)["fc8"], f["full/fc8"])))


def train(w, x, labels, kind, groups, base_lr, decay, bias_lr, bias_decay, rate_inside=True, steps=5):
    w = tensors(w, True)
    velocity = {k: [0, 0] for k in w}
    losses, first = [], None
    for step in range(steps):
        rate = base_lr * (1 if step < 3 else 0.1)
        logits = forward(w, x, kind, groups)["fc8"]
        loss = F.cross_entropy(logits, labels)
        names = [(k, i) for k in w for i in (0, 1)]
        grads = torch.autograd.grad(loss, [w[k][i] for k, i in names])
        first = first or (logits.detach(), {(k, i): g for (k, i), g in zip(names, grads, strict=False)})
        losses.append(loss.item())
        with torch.no_grad():
            for (k, i), g in zip(names, grads, strict=False):
                g = g + decay * (bias_decay if i else 1) * w[k][i]
                r = rate * (bias_lr if i else 1)
                velocity[k][i] = 0.9 * velocity[k][i] + (r * g if rate_inside else g)
                w[k][i] -= velocity[k][i] if rate_inside else r * velocity[k][i]
    losses.append(F.cross_entropy(forward(w, x, kind, groups)["fc8"], labels).item())
    return losses, first, w


def check_tiny(f, w, pixels, kind, groups, base_lr, decay, bias_lr, bias_decay, rate_inside):
    assert np.array_equal(pixels.ravel()[:8], f["tiny/pixels_head"])
    x, labels = torch.from_numpy(pixels).double(), torch.arange(len(pixels)) % 10
    args = {
        "base_lr": base_lr,
        "decay": decay,
        "bias_lr": bias_lr,
        "bias_decay": bias_decay,
        "rate_inside": rate_inside,
    }

    def worst(after):
        return max(
            rel(after[k][i].detach(), f[f"tiny/after/{k}/{n}"]) for k in after for i, n in enumerate(("kernel", "bias"))
        )

    losses, (logits, grads), after = train(w, x, labels, kind, groups, **args)
    print("  tiny losses", f["tiny/losses"], f["tiny/loss_after"])
    print(
        "  tiny logits {:.1e} losses {:.1e} grads {:.1e} after {:.1e}".format(
            rel(f["tiny/logits"], logits),
            rel([*f["tiny/losses"], f["tiny/loss_after"]], losses),
            max(rel(f["tiny/grad/{}/{}".format(k, ("kernel", "bias")[i])], g) for (k, i), g in grads.items()),
            worst(after),
        )
    )
    print(
        "  max |grad|",
        {k: "{:.1e}".format(max(np.abs(f[f"tiny/grad/{k}/{n}"]).max() for n in ("kernel", "bias"))) for k in NAMES},
    )
    print(
        "  max |after - before|",
        {k: "{:.1e}".format(np.abs(f[f"tiny/after/{k}/kernel"] - w[k][0]).max()) for k in NAMES},
    )
    for wrong in (
        {"decay": 0},
        {"bias_lr": 3 - bias_lr},
        {"bias_decay": 1 - bias_decay},
        {"rate_inside": not rate_inside},
    ):
        print("  wrong: %-22s %.1e" % (wrong, worst(train(w, x, labels, kind, groups, **{**args, **wrong})[2])))


groups = {"conv2": 2, "conv4": 2, "conv5": 2}
for kind in ("caffe_alexnet", "caffenet"):
    print(kind)
    f = np.load(f"{CAFFE}/{kind}.npz")
    check_full(
        f, *draw(0, (96, 256, 384, 384, 256, 4096, 4096, 1000), groups, 9216, 0.01, 60, (2, 3, 227, 227)), kind, groups
    )
    check_tiny(
        f,
        *draw(1, (8, 16, 12, 12, 8, 16, 16, 10), groups, 8, 0.01, 60, (6, 3, 67, 67)),
        kind,
        groups,
        1e-4,
        0.5,
        2,
        0,
        True,
    )
for kind, channels in {"torchvision": (64, 192, 384, 256, 256), "single_tower": (96, 256, 384, 384, 256)}.items():
    print(kind)
    f = np.load(f"{TORCH}/{kind}.npz")
    check_full(f, *draw(0, (*channels, 4096, 4096, 1000), {}, 9216, None, 1, (2, 3, 224, 224)), "torch", {})
    if "tiny/losses" in f.files:
        w, pixels = draw(1, (8, 12, 16, 12, 8, 16, 16, 10), {}, 288, None, 1, (4, 3, 224, 224))
        check_tiny(f, w, pixels, "torch", {}, 0.01, 1e-4, 1, 1, False)
    del f

places = dict(
    zip(
        NAMES,
        [
            "features.0",
            "features.3",
            "features.6",
            "features.8",
            "features.10",
            "classifier.1",
            "classifier.4",
            "classifier.6",
        ],
        strict=False,
    )
)
import safetensors.torch  # noqa: E402

for state in (
    torch.load(f"{TORCH}/tiny_torchvision.pth"),
    torch.load(f"{TORCH}/tiny_torchvision_legacy.pth"),
    safetensors.torch.load_file(f"{TORCH}/tiny_torchvision.safetensors"),
):
    assert len(state) == 16
    assert all(np.array_equal(state[f"{places[k]}.{n}"], w[k][i]) for k in w for i, n in enumerate(("weight", "bias")))
print("the three samples of the tiny torchvision hold the drawn weights")
