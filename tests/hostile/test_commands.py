"""Command lines that are refused. A row is a command line and a text that the error must name."""

from __future__ import annotations

import shlex

import pytest

from alexnet_jax.bench import run
from alexnet_jax.training import loop
from tests.helpers.command import alexnet
from tests.hostile.place import contents

BAD_FILES = ("empty", "binary", "text", "zeros", "truncated", "changed", "directory", "loop", "dangling", "pipe")
FLAT = "--workdir new --data.dataset photos --preset quickstart --batch_size 4"

WORDS = [
    ("frobnicate", "frobnicate"),
    ("trian", "train"),
    ("''", "command"),
    ("'tra\nin'", "command"),
    ("ünï", "command"),
    ("--frobnicate", "--frobnicate"),
    ("train --frobnicate", "--frobnicate"),
    ("train frobnicate", "frobnicate"),
    ("train --epochs", "--epochs"),
    ("train --model.convs.features 3", "features"),
    ("train --data.datset x", "--data.dataset"),
    ("evaluate", "no net"),
    ("evaluate --frobnicate", "--frobnicate"),
    ("predict", "missing net"),
    ("predict run", "no images"),
    ("lpips", "missing a"),
    ("lpips photos run extra", "extra"),
    ("convert", "source"),
    ("convert run", "destination"),
    ("export", "net"),
    ("export run", "out"),
    ("summary", "net"),
    ("summary paper extra", "extra"),
    ("variants extra", "extra"),
    ("bench extra", "extra"),
    ("bench data extra", "extra"),
    ("report", "run"),
    ("report run extra", "extra"),
    ("completion", "shell"),
    ("completion powershell", "powershell"),
    ("completion bash zsh", "zsh"),
    ("prepare", "imagenet2012"),
    ("prepare frobnicate", "frobnicate"),
    ("prepare folder", "--source"),
    ("prepare folder --source photos", "--data_dir"),
    ("prepare tfds --data_dir new", "dataset"),
    ("prepare imagenet2012 --data_dir new", "--source"),
    ("prepare imagenet2010 --data_dir new", "--source"),
]

NAMES = [
    ("summary alexnet", "alexnet"),
    ("summary ''", "summary"),
    ("summary 'pa\nper'", "variant"),
    ("summary ../paper", "../paper"),
    ("bench --variant nothing", "nothing"),
    ("train --preset nothing", "nothing"),
    ("train --log nothing", "--log"),
    ("train --log wandb", "wandb"),
    ("train --preset ''", "preset"),
    ("train --variant nothing", "nothing"),
    ("train --preset quickstart --variant 'sm\nall'", "variant"),
    ("convert net.pth new.safetensors --variant nothing", "nothing"),
    ("convert net.pth new.safetensors --variant small", "net.pth"),
    ("convert net.caffemodel new.safetensors --variant torchvision", "net.caffemodel"),
    ("convert net.pth new.safetensors --format onnx", "--format"),
    ("convert run new.safetensors --checkpoint newest", "--checkpoint"),
    ("evaluate run --views many", "--views"),
    ("evaluate run --split nothing", "nothing"),
    ("evaluate run --split validation", "validation"),
    ("evaluate run --split ''", "split"),
    ("evaluate run --checkpoint newest", "--checkpoint"),
    ("evaluate run --checkpoint 12345", "the checkpoints of steps"),
    ("evaluate run --dataset nothing", "nothing"),
    ("evaluate run --dataset ./nothing", "nothing"),
    ("evaluate run --dataset ''", "dataset"),
    ("evaluate run --dataset empty.json", "empty.json"),
    ("evaluate run --dataset no_classes", "no_classes"),
    ("evaluate run --dataset one_class", "one_class"),
    ("evaluate run --dataset no_images", "no_images"),
    ("evaluate run --dataset only_train", "only_train"),
    ("evaluate run --dataset other_classes", "other_classes"),
    ("evaluate run --dataset not_tfds", "not_tfds"),
    ("evaluate run --dataset cifar10_sample", "cifar10_sample"),
    ("evaluate run --dataset cifar10_sample:9.9.9", "9.9.9"),
    ("evaluate run --dataset 'cifar10\nsample'", "dataset"),
    ("evaluate run --devices 3", "devices"),
    ("evaluate run --devices 0", "devices"),
    ("evaluate run --devices -1", "devices"),
    ("evaluate run --devices two", "--devices"),
    ("evaluate run --json nowhere/out.json", "nowhere"),
    ("evaluate run --json photos", "photos"),
    ("evaluate run net.caffemodel", "image_size"),
    ("predict run photos/test --top 0", "--top"),
    ("predict run photos/test --top -1", "--top"),
    ("predict run photos/test --top many", "--top"),
    ("predict run photos/test --top 1e9", "--top"),
    ("predict run photos/test --views many", "--views"),
    ("predict run photos/test --devices 3", "devices"),
    ("predict run photos/test --json nowhere/out.json", "nowhere"),
    ("predict run photos/test --json photos", "photos"),
    ("lpips photos/test no_images", "no_images"),
    ("lpips photos/test photos/train", "photos/train"),
    ("lpips photos/test/cat/0.png", "0.png"),
    ("lpips photos/test/cat/0.png photos/test/cat/1.png", "16 x 16"),
    ("lpips photos/test/cat empty.png", "empty.png"),
    ("lpips empty.png pipe.png", "empty.png"),
    ("lpips photos/test/cat --map new.png", "--map"),
    ("lpips photos/test/cat --json nowhere/out.json", "nowhere"),
    ("lpips photos/test/cat --net run", "16 x 16"),
    ("lpips photos/test/cat --net missing.pth", "missing.pth"),
    ("lpips photos/test/cat --heads v0.0", "--heads"),
    ("export run new.txt", "new.txt"),
    ("export run new", "new"),
    ("export run ''", "run"),
    ("export run empty.json", "empty.json"),
    ("export run net.onnx/new.bin", "new.bin"),
    ("export run net.pth/new.onnx", "net.pth"),
    ("report run --out new.txt", "new.txt"),
    ("report run --out directory.safetensors", "directory.safetensors"),
    ("report run --images 0", "--images"),
    ("report run --images -3", "--images"),
    ("report run --neighbours_from 0", "--neighbours_from"),
    ("report run --neighbours_from many", "--neighbours_from"),
    ("report run --checkpoint newest", "--checkpoint"),
    ("report run --devices 3", "devices"),
    ("report nothing", "nothing"),
    ("report net.pth", "net.pth"),
    ("report photos", "photos"),
    ("convert run new.txt", "new.txt"),
    ("convert run new", "new"),
    ("convert run ''", "run"),
    ("convert run directory.safetensors", "directory.safetensors"),
    ("convert run net.pth/new.safetensors", "net.pth"),
    ("convert run /proc/new.safetensors", "/proc"),
    ("export run /proc/new.stablehlo", "/proc"),
    ("convert run new.safetensors --mean mean.binaryproto", "--mean"),
    ("convert net.pth new.safetensors --mean mean.binaryproto", "--mean"),
    ("variants --json nowhere/out.json", "nowhere"),
    ("variants --json photos", "photos"),
    ("summary paper --json nowhere/out.json", "nowhere"),
    ("summary paper --json photos", "photos"),
    ("summary paper --json empty.json/out.json", "empty.json"),
]

MANY_NUMBERS = [
    *(
        (f"train {FLAT} --{field} {value}", field)
        for field in ("batch_size", "epochs", "steps_per_dispatch", "evaluate_every", "checkpoint_every", "log_every")
        for value in ("0", "-1", "1.5", "x", "''", "nan", "1e3")
    ),
    *((f"train {FLAT} --seed {value}", "seed") for value in ("-1", "4294967296", "1.5", "x", "9" * 5000)),
    *(
        (f"train {FLAT} --{field} {value}", field)
        for field in ("optimizer.learning_rate", "optimizer.momentum", "optimizer.weight_decay", "schedule.factor")
        for value in ("nan", "inf", "-inf", "-1", "x", "''")
    ),
]
"""These are slow, because each parses every option of ``train``."""

NUMBERS = [
    (f"train {FLAT} --batch_size 0", "batch_size"),
    (f"train {FLAT} --batch_size 1.5", "batch_size"),
    (f"train {FLAT} --epochs -1", "epochs"),
    (f"train {FLAT} --log_every x", "log_every"),
    (f"train {FLAT} --seed -1", "seed"),
    (f"train {FLAT} --optimizer.weight_decay nan", "weight_decay"),
    (f"train {FLAT} --optimizer.learning_rate 0", "learning_rate"),
    (f"train {FLAT} --optimizer.momentum 1.5", "momentum"),
    (f"train {FLAT} --optimizer.frozen conv9", "conv9"),
    (f"train {FLAT} --optimizer.frozen ''", "frozen"),
    (f"train {FLAT} --schedule.epochs 3 2", "schedule.epochs"),
    (f"train {FLAT} --schedule.epochs nan", "schedule.epochs"),
    (f"train {FLAT} --schedule.epochs inf", "schedule.epochs"),
    (f"train {FLAT} --schedule.epochs 0", "schedule.epochs"),
    (f"train {FLAT} --schedule.epochs -1", "schedule.epochs"),
    (f"train {FLAT} --schedule.rule sometimes", "schedule.rule"),
    (f"train {FLAT} --schedule.layer_rates conv1 1", "layer_rates"),
    (f"train {FLAT} --schedule.layer_rates conv9 1 2", "layer_rates"),
    (f"train {FLAT} --schedule.layer_rates conv1 nan 2", "layer_rates"),
    (f"train {FLAT} --schedule.layer_rates conv1 1 inf", "layer_rates"),
    (f"train {FLAT} --schedule.patience 0", "patience"),
    (f"train {FLAT} --schedule.max_drops -1", "max_drops"),
    (f"train {FLAT} --dtype float16", "--dtype"),
    (f"train {FLAT} --dtype ''", "--dtype"),
    (f"train {FLAT} --devices 0", "devices"),
    (f"train {FLAT} --devices -2", "devices"),
    (f"train {FLAT} --layout towers --devices 3", "devices 2"),
    (f"train {FLAT} --layout towers --data_parallel 2", "data, mesh or hybrid"),
    (f"train {FLAT} --layout mesh --data_parallel 2 --devices 3", "devices 4"),
    (f"train {FLAT} --layout grid", "layout"),
    (f"train {FLAT} --devices 1e2", "devices"),
    (f"train {FLAT} --data.image_size 0", "image_size"),
    (f"train {FLAT} --data.image_size 27", "image_size"),
    (f"train {FLAT} --data.image_size -32", "image_size"),
    (f"train {FLAT} --data.image_size 1e3", "image_size"),
    (f"train {FLAT} --data.image_size 10000000", "memory"),
    (f"train {FLAT} --data.test_fraction 0", "test_fraction"),
    (f"train {FLAT} --data.test_fraction 1", "test_fraction"),
    (f"train {FLAT} --data.test_fraction nan", "test_fraction"),
    (f"train {FLAT} --data.validation_fraction 1.5", "validation_fraction"),
    (f"train {FLAT} --data.validation_fraction -0.1", "validation_fraction"),
    (f"train {FLAT} --data.validation_fraction 0.999", "0.999"),
    (f"train {FLAT} --data.validation_split nothing", "nothing"),
    (f"train {FLAT} --data.test_split nothing", "nothing"),
    (f"train {FLAT} --data.split_seed -1", "split_seed"),
    (f"train {FLAT} --augment.mean median", "augment.mean"),
    (f"train {FLAT} --augment.random_crop never", "random_crop"),
    (f"train {FLAT} --augment.images_per_crop 0", "images_per_crop"),
    (f"train {FLAT} --augment.images_per_crop 5", "images_per_crop"),
    (f"train {FLAT} --augment.pca_colour_noise nan", "pca_colour_noise"),
    (f"train {FLAT} --augment.pca_colour_noise_divisor 0", "pca_colour_noise_divisor"),
    (f"train {FLAT} --augment.pca_colour_noise_until nan", "pca_colour_noise_until"),
    (f"train {FLAT} --augment.horizontal_flip maybe", "maybe"),
    (f"train {FLAT} --model.classes 0", "classes"),
    (f"train {FLAT} --model.classes -3", "classes"),
    (f"train {FLAT} --model.classes 1", "classes"),
    (f"train {FLAT} --model.channels 2", "channels"),
    (f"train {FLAT} --model.channels 0", "channels"),
    (f"train {FLAT} --model.towers 0", "towers"),
    (f"train {FLAT} --model.towers 3", "towers"),
    (f"train {FLAT} --model.image_size 0", "image_size"),
    (f"train {FLAT} --model.image_size 64", "image_size"),
    (f"train {FLAT} --model.dropout.rate 1", "dropout.rate"),
    (f"train {FLAT} --model.dropout.rate nan", "dropout.rate"),
    (f"train {FLAT} --model.local_response_norm.size 2", "local_response_norm.size"),
    (f"train {FLAT} --model.local_response_norm.beta nan", "local_response_norm.beta"),
    (f"train {FLAT} --model.local_response_norm.k 0", "local_response_norm.k"),
    (f"train {FLAT} --model.convs.0.features 0", "features"),
    (f"train {FLAT} --model.convs.0.features 33", "features"),
    (f"train {FLAT} --model.convs.0.kernel_size 0", "kernel_size"),
    (f"train {FLAT} --model.convs.0.kernel_size 3000", "conv1"),
    (f"train {FLAT} --model.convs.0.stride 0", "stride"),
    (f"train {FLAT} --model.convs.0.stride 1000000000000", "pool1"),
    (f"train {FLAT} --model.convs.0.kernel_stddev nan", "kernel_stddev"),
    (f"train {FLAT} --model.convs.0.then gelu", "then"),
    (f"train {FLAT} --model.convs.9.features 3", "model.convs"),
    (f"train {FLAT} --batch_size 1000", "batch_size"),
    (f"train {FLAT} --batch_size {10**30}", "batch_size"),
    (f"train {FLAT} --epochs {10**30}", "epochs"),
    *(
        (f"bench --{field} {value}", field)
        for field in ("batch_size", "devices", "repeats")
        for value in ("0", "-1", "x")
    ),
    ("bench --variant small --devices 3", "devices"),
    ("bench --dtype float16", "--dtype"),
    ("bench --against tensorflow", "--against"),
    ("bench --json nowhere/out.json", "nowhere"),
    ("bench --json photos", "photos"),
    *(
        (f"bench data --{field} {value}", field)
        for field in ("image_size", "batch_size", "seconds", "images")
        for value in ("0", "-1", "x", "nan")
    ),
    ("bench data --seconds inf", "seconds"),
    ("bench data --images 8", "images"),
    ("bench data --dataset nothing", "nothing"),
    ("bench data --dataset ./nothing", "nothing"),
    ("bench data --dataset no_images", "no_images"),
    ("bench data --tensorflow_python ./nothing", "nothing"),
    ("bench data --torch_python empty.json", "empty.json"),
    ("bench data --json nowhere/out.json", "nowhere"),
]

RUNS = [
    (f"train {FLAT} --config {name}", name)
    for name in (
        "missing.json",
        *(f"{kind}.json" for kind in BAD_FILES if kind not in ("pipe", "truncated", "changed")),
        *(f"config_{kind}.json" for kind in ("list", "null", "number", "broken", "unknown", "unknown_model")),
        *(f"config_{kind}.json" for kind in ("text_number", "fraction", "nan", "infinite", "negative", "null_model")),
        *(f"config_{kind}.json" for kind in ("text_model", "null_convs", "no_convs", "text_conv", "empty_conv")),
        *(f"config_{kind}.json" for kind in ("unknown_operation", "huge_kernel", "zero_stride")),
        *(f"config_{kind}.json" for kind in ("true", "duplicate_frozen", "layer_rates", "descending", "dtype")),
        *(f"config_{kind}.json" for kind in ("deep", "digits", "latin", "utf16")),
    )
]
RUNS += [
    ("train --workdir new --config config_surrogate.json", "dataset"),
    ("train --workdir new --config config_nul.json", "dataset"),
    ("train --workdir empty.json --data.dataset photos --batch_size 4", "empty.json"),
    ("train --workdir empty.json/new --data.dataset photos --batch_size 4", "empty.json"),
    ("train --workdir loop.json --data.dataset photos --batch_size 4", "loop.json"),
    ("train --workdir /proc/new --data.dataset photos --batch_size 4", "/proc"),
    ("train --workdir new --data.dataset no_classes", "no_classes"),
    ("train --workdir new --data.dataset one_class", "one_class"),
    ("train --workdir new --data.dataset no_images", "no_images"),
    ("train --workdir new --data.dataset only_train", "only_train"),
    ("train --workdir new --data.dataset other_classes", "other_classes"),
    ("train --workdir new --data.dataset linked_loop", "linked_loop"),
    ("train --workdir new --data.dataset damaged --batch_size 4", "damaged"),
    ("train --workdir new --data.dataset not_tfds", "not_tfds"),
    ("train --workdir new --data.dataset ./nothing", "nothing"),
    ("train --workdir new --data.dataset nothing", "nothing"),
    ("train --workdir new --data.dataset nothing/nothing:1.0.0", "nothing"),
    ("train --workdir new --data.dataset ''", "dataset"),
    ("train --workdir new --data.dataset 'a\nb'", "dataset"),
    ("train --workdir new --data.dataset cifar10_sample --data.data_dir nothing", "cifar10_sample"),
    ("train --workdir new --data.dataset photos --init nothing.pth", "nothing.pth"),
    ("train --workdir new --data.dataset photos --init empty.safetensors", "empty.safetensors"),
    ("train --workdir new --data.dataset photos --init photos", "photos"),
    ("train --workdir new --data.dataset photos --init run --variant small", "--variant"),
    ("train --workdir run --batch_size 8", "batch_size"),
    ("train --workdir run --preset quickstart", "run"),
    ("train --workdir run --data.dataset flat", "run"),
    ("train --workdir run --variant paper", "run"),
    ("train --workdir run --seed 3", "seed"),
]

FINE = "train --workdir new --init torchvision_features --data.dataset"
FINE_TUNING = [
    (f"{FINE} photos --init nothing", "nothing"),
    (f"{FINE} photos --init torchvision_feature", "torchvision_feature"),
    (f"{FINE} photos --init ''", "init"),
    (f"{FINE} photos --init hf://nothing", "hf://nothing"),
    (f"{FINE} photos --augment.mean image", "augment.mean"),
    (f"{FINE} photos --optimizer.frozen conv9", "conv9"),
    (f"{FINE} photos --optimizer.frozen pool5", "pool5"),
    (f"{FINE} photos --views many", "--views"),
    (f"{FINE} photos --batch_size 0", "batch_size"),
    (f"{FINE} no_classes", "no_classes"),
    (f"{FINE} only_cats", "only_cats"),
    (f"{FINE} no_images", "no_images"),
    (f"{FINE} one_image", "one_image"),
    (f"{FINE} ./nothing", "nothing"),
]

WEIGHTS = [
    *(
        (f"convert {kind}.{suffix} new.safetensors", f"{kind}.{suffix}")
        for suffix in ("safetensors", "pth", "pt", "caffemodel", "onnx")
        for kind in BAD_FILES
        if (kind, suffix) != ("changed", "caffemodel")  # the change is in a name
    ),
    *(
        (f"convert {name}.safetensors new.safetensors", f"{name}.safetensors")
        for name in ("header", "list", "latin", "none", "offsets", "shape", "negative", "dtype", "foreign", "metadata",
                     "huge_header")
    ),
    *(
        (f"convert {name}.pth new.safetensors", f"{name}.pth")
        for name in ("bomb", "no_pickle", "code", "loop_pickle", "number", "module", "pickle")
    ),
    *((f"convert net.caffemodel new.safetensors --mean {kind}.binaryproto", kind) for kind in (*BAD_FILES, "missing")),
    *(
        (f"{command}", "missing")
        for command in (
            "convert missing.pth new.safetensors",
            "evaluate missing",
            "predict missing photos/test",
            "export missing new.stablehlo",
        )
    ),
    *(
        (f"{command}", "photos")
        for command in (
            "convert photos new.safetensors",
            "evaluate photos",
            "predict photos photos/test",
            "export photos new.stablehlo",
        )
    ),
    ("convert untrained.onnx new.safetensors", "untrained.onnx"),
    ("convert net.onnx new.safetensors --variant torchvision", "net.onnx"),
    ("convert net.onnx new.safetensors --mean empty.binaryproto", "empty.binaryproto"),
    ("evaluate run missing.pth", "missing.pth"),
    ("evaluate empty.safetensors", "empty.safetensors"),
    ("evaluate text.json", "text.json"),
    ("predict changed.safetensors photos/test", "changed.safetensors"),
    ("export truncated.pth new.stablehlo", "truncated.pth"),
    ("convert '' new.safetensors", "convert"),
    ("convert 'mis\nsing.pth' new.safetensors", "sing.pth"),
]  # fmt: skip

PREPARE = [
    ("prepare folder --source nothing --data_dir new", "nothing"),
    ("prepare folder --source empty.json --data_dir new", "empty.json"),
    ("prepare folder --source no_classes --data_dir new", "no_classes"),
    ("prepare folder --source no_images --data_dir new", "no_images"),
    ("prepare folder --source photos --data_dir empty.json", "empty.json"),
    ("prepare folder --source photos --data_dir empty.json/new", "empty.json"),
    ("prepare folder --source photos --data_dir loop.json", "loop.json"),
    ("prepare folder --source photos --data_dir new --name ''", "name"),
    ("prepare folder --source photos --data_dir new --name ../up", "name"),
    ("prepare folder --source photos --data_dir new --name a/b", "name"),
    ("prepare folder --source photos --data_dir new --name 'a\nb'", "name"),
    ("prepare folder --source photos --data_dir new --name ünï", "name"),
    *(
        (f"prepare folder --source photos --data_dir new --{field} {value}", field)
        for field, values in {
            "image_size": ("0", "-1", "x", "1.5"),
            "quality": ("0", "101", "-1", "x"),
            "threads": ("0", "-1", "x"),
            "encoding": ("png", "''"),
            "test_fraction": ("0", "1", "nan", "x"),
            "validation_fraction": ("-1", "1", "nan"),
            "split_seed": ("-1", "x"),
        }.items()
        for value in values
    ),
    ("prepare tfds nothing --data_dir new", "nothing"),
    ("prepare tfds nothing:1.0.0 --data_dir new", "nothing"),
    ("prepare tfds '' --data_dir new", "tfds"),
    ("prepare tfds cifar10_sample:9.9.9 --data_dir new", "9.9.9"),
    ("prepare tfds cifar10_sample --data_dir new --train_split nothing", "nothing"),
    ("prepare tfds cifar10_sample --data_dir new --test_split nothing", "nothing"),
    ("prepare tfds cifar10_sample --data_dir new --source nothing", "cifar10_sample"),
    ("prepare imagenet2012 --source nothing --data_dir new", "nothing"),
    ("prepare imagenet2012 --source photos --data_dir new", "ILSVRC2012"),
    ("prepare imagenet2012 --source photos --data_dir new --validation_only", "ILSVRC2012"),
    ("prepare imagenet2010 --source photos --data_dir new", "ILSVRC2010"),
]

IMAGES = [
    (f"predict run {shlex.quote(name)}", text)
    for name, text in (
        *((f"{kind}.{suffix}", f"{kind}.{suffix}") for suffix in ("png", "jpg", "webp") for kind in BAD_FILES),
        ("missing.png", "missing.png"),
        ("wide.png", "wide.png"),
        ("text.json", "text.json"),
        ("no_images", "no_images"),
        ("name\nwith\nlines.png", "lines.png"),
        ("ünï😀.png", "ünï😀.png"),
        ("", "run"),
    )
]

FEATURES = [
    ("features", "net"),
    ("features run photos", "--out"),
    ("features run photos --out new.txt", "new.txt"),
    ("features run photos --out nowhere/new.h5", "nowhere"),
    ("features run photos --out directory.h5", "directory.h5"),
    ("features run photos --out net.h5", "net.h5"),
    ("features run photos --out text.h5", "text.h5"),
    ("features run photos --out new.h5 --layers convv1", "conv1"),
    ("features run photos --out new.h5 --layers features.99", "features.99"),
    ("features run photos --out new.h5 --layers ''", "layers"),
    ("features run photos --out new.h5 --pca 0", "--pca"),
    ("features run photos --out new.h5 --pca 18 --layers conv1", "--pca"),
    ("features run photos --out new.h5 --pca 3 --random_projection 3", "--pca"),
    ("features run photos --out new.h5 --random_projection -1", "--random_projection"),
    ("features run photos --out new.h5 --untrained -1", "--untrained"),
    ("features run photos --out new.h5 --seed 4294967296", "--seed"),
    ("features run photos --out new.h5 --split train", "--split"),
    ("features run photos --out new.h5 --json nowhere/out.json", "nowhere"),
    ("features run cifar10_sample --split nothing --out new.h5", "nothing"),
    ("features run nothing --out new.h5", "nothing"),
    ("features run ./nothing --out new.h5", "nothing"),
    ("features run no_images --out new.h5", "no_images"),
    ("features run net.h5 --out new.h5", "net.h5:/floats"),
    ("features run net.h5:/imagse --out new.h5", "/images"),
    ("features run net.h5:/floats --out new.h5", "uint8"),
    ("features missing photos --out new.h5", "missing"),
    ("features truncated.pth photos --out new.h5", "truncated.pth"),
    *((f"features run {kind}.h5:/images --out new.h5", f"{kind}.h5") for kind in BAD_FILES),
]

FEATURES += [
    ("nearest run photos", "no images"),
    ("nearest run photos missing.png", "missing.png"),
    ("nearest run photos text.png", "text.png"),
    ("nearest run photos no_images", "no_images"),
    ("nearest run missing photos/test", "missing"),
    ("nearest missing photos photos/test", "missing"),
    ("nearest run photos photos/test --count 0", "--count"),
    ("nearest run photos photos/test --layer relu99", "relu99"),
    ("nearest run photos photos/test --out new.jpg", "new.jpg"),
    ("nearest run photos photos/test --out nowhere/new.png", "nowhere"),
    ("nearest run photos photos/test --out directory.png", "directory.png"),
    ("nearest run photos photos/test --json photos", "photos"),
    ("similarity", "features_a"),
    ("similarity net.h5", "features_b"),
    ("similarity net.h5 run", "run"),
    ("similarity net.h5 net.h5 --images 2", "--images"),
    ("similarity net.h5 net.h5 --seed -1", "--seed"),
    ("similarity net.h5 net.h5 --layers flotas", "floats"),
    ("similarity net.h5 net.h5 --distance manhattan", "--distance"),
    ("similarity net.h5 net.h5 --out new.jpg", "new.jpg"),
    ("similarity net.h5 net.h5 --matrices new.h5", "new.h5"),
    ("similarity net.h5 net.h5 --matrices nowhere/new.npz", "nowhere"),
    ("similarity net.h5 net.h5 --json nowhere/out.json", "nowhere"),
    *((f"similarity net.h5 {kind}.h5", f"{kind}.h5") for kind in BAD_FILES),
]

NETS = [
    *((line, near) for line, near in (
        ("predict torchvison photos/test", "torchvision"),
        ("predict pretrained:torchvison photos/test", "torchvision"),
        ("evaluate bvlc_alexnt --dataset photos", "bvlc_alexnet"),
        ("features torchvison_features photos --out new.h5", "torchvision_features"),
        ("nearest bvlc_alexnt photos photos/test", "bvlc_alexnet"),
        ("lpips photos/test/cat --net torchvison", "torchvision"),
        ("train --init torchvison --workdir new --data.dataset photos", "torchvision"),
        ("features hf://owner photos --out new.h5", "hf://OWNER/REPO"),
        ("features torchvision_features photos --layers fc6 --out new.h5", "pool5"),
        ("nearest torchvision_features photos photos/test --layer relu7", "pool5"),
        ("features run photos --out new.h5 --layers poool1", "pool1"),
        ("nearest run photos photos/test --layer poool1", "pool1"),
    )),
    *((f"{line} {kind}.{suffix} {rest}", f"{kind}.{suffix}")
      for line, rest in (("features", "photos --out new.h5"), ("nearest", "photos photos/test"),
                         ("lpips photos/test/cat --net", ""))
      for kind, suffix in (("truncated", "pth"), ("truncated", "safetensors"), ("truncated", "caffemodel"))),
    *((f"nearest run {kind}.h5 photos/test", f"{kind}.h5") for kind in BAD_FILES),
    ("nearest run net.h5 photos/test", "net.h5:/floats"),
    ("nearest run photos photos/test/cat/0.png pipe.png", "pipe.png"),
    ("nearest run photos wide.png", "wide.png"),
    ("nearest run damaged photos/test", "damaged"),
    ("lpips photos/train photos/test", "photos/test does not have"),
]  # fmt: skip

CASES = [*NETS, *FEATURES, *WORDS, *NAMES, *NUMBERS, *RUNS, *FINE_TUNING, *WEIGHTS, *PREPARE, *IMAGES]


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    """Fails where a wrong input would be worked with."""

    def work(*arguments, **options):
        raise AssertionError("was accepted")

    monkeypatch.setattr(loop, "describe_run", work)
    monkeypatch.setattr(run, "alternate", work)


def cases(rows, *marks):
    return [pytest.param(*row, id=repr(row[0])[1:-1][:120], marks=marks) for row in rows]


@pytest.mark.parametrize(("line", "named"), [*cases(CASES), *cases(MANY_NUMBERS, pytest.mark.slow)])
def test_a_wrong_command_prints_one_line_and_changes_nothing(place, line, named):
    before = contents(place)
    done = alexnet(*shlex.split(line), cwd=place)
    lines = done.stderr.splitlines()
    assert done.returncode in (1, 2), done
    assert len(lines) == 1, done
    assert lines[0].startswith("alexnet: error: "), done
    assert named in lines[0], done
    assert "--debug" not in lines[0], done
    assert len(lines[0]) < 1000, done
    assert contents(place) == before
