"""The runs: the net, and the values of all other fields."""

from __future__ import annotations

from dataclasses import replace

from alexnet_jax.config import DenseConfig, ModelConfig
from alexnet_jax.variants import variant
from tests.sources import OURS, UNUSED, Table, cite

RUNNING: Table = cite(
    OURS + "how a run is carried out and logged, not what it computes", keep_frozen_outputs=True, steps_per_dispatch=1,
    dtype="float32", init=None, seed=0, evaluate_every=1, views="center", checkpoint_every=1000,
    keep_every=None, log_every=50, on_nan="stop",
    data__data_dir=None, data__split_seed=0,
    data__train_split="train", data__test_fraction=0.1, data__max_unreadable=0.05,
)  # fmt: skip
RUNNING |= cite(
    OURS + "off, because no source has it", label_smoothing=0.0, micro_batches=1, optimizer__clip_norm=None,
    optimizer__nesterov=False, optimizer__ema_decay=None,
)  # fmt: skip
RUNNING |= cite(UNUSED, optimizer__lars_trust=0.001, optimizer__rule_arguments=())
NO_HOLD_OUT: Table = cite(
    OURS + "all training images are used; the source validates on the test images or names none",
    data__validation_split=None, data__validation_fraction=0.0,
)  # fmt: skip
RUNNING |= cite(OURS + "the source does not train on validation images later", data__fold_in_epoch=None)
NO_SCHEDULE: Table = cite(
    UNUSED, schedule__power=2.0, schedule__decay_epochs=None, schedule__final_rate=0.0, schedule__warm_up_epochs=0.0,
    schedule__warm_up="linear", schedule__warm_up_rate=0.0, schedule__bias_factor=0.1, schedule__bias_epochs=(),
    schedule__patience=5, schedule__max_drops=3,
)  # fmt: skip
NO_COLOUR_NOISE: Table = cite(
    OURS + "the source has no colour noise", augment__pca_colour_noise=0.0,
    augment__pca_colour_noise_scale="standard_deviation", augment__pca_colour_noise_until=None,
    augment__pca_colour_noise_divisor=1.0,
)  # fmt: skip
NO_LAYERS: Table = cite(
    OURS + "the source treats all layers alike", optimizer__layer_decay=(), optimizer__frozen=(),
    schedule__layer_rates=(),
)  # fmt: skip
MEASURED: Table = cite(
    "section 2, the mean over the training set", augment__mean="image", augment__statistics="measured"
) | cite(OURS + "the source does not divide", augment__divide_by_stddev=False)
RUNNING |= cite(OURS + "the source does not scale pixels", augment__pixel_scale=1.0)

IMAGENET: Table = RUNNING | {
    **cite("section 2, ILSVRC-2012", data__train_examples=1_281_167, data__test_split="validation"),
    **cite("section 2, 256 x 256 after cropping the centre", data__image_size=256, data__resize="crop"),
    "data.dataset": ("imagenet2012_256", OURS + "the name that alexnet prepare gives"),
}

PAPER: Table = IMAGENET | MEASURED | NO_SCHEDULE | NO_LAYERS | {
    **cite(
        "section 4.1", augment__random_crop="shift", augment__horizontal_flip=True, augment__pca_colour_noise=0.1,
        augment__images_per_crop=1,
    ),
    "augment.mean_crop": ("same", OURS + "section 2: the mean activity is subtracted from each pixel, before cropping"),
    "augment.pca_colour_noise_scale": ("eigenvalue", "section 4.1, on a scale of 0..1 that is ours"),
    **cite(
        OURS + "section 4.1 names no end and no division", augment__pca_colour_noise_until=None,
        augment__pca_colour_noise_divisor=1.0,
    ),
    **cite(
        "section 5", batch_size=128, epochs=90, optimizer__learning_rate=0.01, optimizer__momentum=0.9,
        optimizer__weight_decay=0.0005, optimizer__rule="paper", schedule__rule="plateau", schedule__factor=0.1,
        schedule__max_drops=3, schedule__biases="follow", optimizer__bias_learning_rate=None,
    ),
    "optimizer.bias_decay": (0.0, OURS + "section 5 prints the rule for w; the authors' code has none for biases"),
    **cite(OURS + "the authors lowered the rate by hand", schedule__patience=5, schedule__epochs=()),
    **cite(
        "section 1 and Table 2: validation images of ILSVRC-2012", data__validation_split="validation",
        data__validation_fraction=0.0,
    ),
}  # fmt: skip

LOG = "layer-params-{}.cfg, the log at its end"


def layer_file(
    number: str, epochs: int, drops: tuple[int, ...], conv1: tuple[int, int], noise_until: int | None
) -> Table:
    log = LOG.format(number)
    return IMAGENET | MEASURED | NO_SCHEDULE | NO_HOLD_OUT | {
        **cite(
            "convdata_jpeg.py", augment__random_crop="shift", augment__horizontal_flip=True,
            augment__images_per_crop=32, augment__mean_crop="center", augment__pca_colour_noise_divisor=1.1,
            augment__pca_colour_noise_scale="standard_deviation",
        ),
        **cite(
            log, epochs=epochs, schedule__epochs=drops, augment__pca_colour_noise=0.1,
            augment__pca_colour_noise_until=noise_until,
            schedule__layer_rates=(("conv1", conv1[0], 0.1), ("conv1", conv1[1], 0.0)), schedule__biases="stay",
            optimizer__learning_rate=0.01, schedule__factor=0.1, schedule__rule="steps",
        ),
        **cite(
            f"layer-params-{number}.cfg", optimizer__bias_learning_rate=0.02, optimizer__momentum=0.9,
            optimizer__weight_decay=0.0005, optimizer__layer_decay=(), optimizer__frozen=(),
        ),
        **cite("src/weights.cu and src/layer.cu", optimizer__rule="paper", optimizer__bias_decay=0.0),
        "batch_size": (128, "section 5"),
    }  # fmt: skip


OWT = "cuda-convnet2, layer-params-imagenet-1gpu.cfg"
ONE_WEIRD_TRICK: Table = IMAGENET | MEASURED | NO_SCHEDULE | NO_HOLD_OUT | NO_LAYERS | {
    **cite(
        "cuda-convnet2, convdata.py and jpeg.cpp", augment__random_crop="shift", augment__horizontal_flip=True,
        augment__images_per_crop=1, augment__mean_crop="center", augment__pca_colour_noise_divisor=1.1,
        augment__pca_colour_noise_scale="standard_deviation", augment__pca_colour_noise_until=None,
    ),
    **cite(
        "cuda-convnet2, the example command of its wiki", augment__pca_colour_noise=0.1, batch_size=128, epochs=90
    ),
    **cite(
        OWT, optimizer__learning_rate=0.01, optimizer__bias_learning_rate=0.02, optimizer__momentum=0.9,
        optimizer__weight_decay=0.0005, schedule__rule="steps", schedule__factor=250 ** (-1 / 3),
        schedule__epochs=(22.5, 45.0, 67.5), schedule__biases="steps", schedule__bias_factor=0.1,
        schedule__bias_epochs=(45.0,),
    ),
    **cite("cuda-convnet2, weights.cu and layer.cu", optimizer__rule="paper", optimizer__bias_decay=0.0),
}  # fmt: skip

SOLVER = "BVLC/caffe, models/bvlc_alexnet/solver.prototxt"
TRAIN_VAL = "BVLC/caffe, models/bvlc_alexnet/train_val.prototxt"
CAFFE: Table = IMAGENET | MEASURED | NO_SCHEDULE | NO_HOLD_OUT | NO_LAYERS | NO_COLOUR_NOISE | {
    **cite(
        TRAIN_VAL, batch_size=256, augment__horizontal_flip=True, augment__random_crop="shift",
        optimizer__bias_learning_rate=0.02, optimizer__bias_decay=0.0,
    ),
    **cite(
        "data_transformer.cpp", augment__mean_crop="same", augment__images_per_crop=1
    ),
    **cite(
        SOLVER, optimizer__learning_rate=0.01, optimizer__momentum=0.9, optimizer__weight_decay=0.0005,
        schedule__rule="steps", schedule__factor=0.1,
        schedule__epochs=tuple(count * 100_000 / 5004 for count in (1, 2, 3, 4)),
    ),
    "epochs": (90, f"{SOLVER}: 450,000 steps of 256 images"),
    "optimizer.rule": ("paper", "sgd_solver.cpp, ComputeUpdateValue"),
    "schedule.biases": ("follow", f"{TRAIN_VAL}, lr_mult 2"),
    "data.resize": ("crop", OURS + "the images that prepare makes for all recipes; squash is a choice"),
}  # fmt: skip

NVIDIA_LOG = "borisgin/nvcaffe-0.16, models/bvlc_alexnet/logs/alexnet_fp32.log"
NVCAFFE: Table = CAFFE | {
    **cite(
        NVIDIA_LOG + ", solver parameters", optimizer__learning_rate=0.02, optimizer__momentum=0.9,
        optimizer__weight_decay=0.0005, schedule__rule="polynomial", schedule__power=2.0, schedule__final_rate=5e-6,
        schedule__decay_epochs=125_000 / 1251,
    ),
    "batch_size": (1024, NVIDIA_LOG + ", batch_size 128 on 8 GPUs"),
    "epochs": (100, NVIDIA_LOG + ", max_iter 125000, which is 99.9 epochs of 1,251 steps"),
    **cite(
        NVIDIA_LOG + ", layers without lr_mult and decay_mult", optimizer__bias_learning_rate=None,
        optimizer__bias_decay=0.0005, schedule__biases="follow",
    ),
    **cite(UNUSED, schedule__factor=0.1, schedule__epochs=()),
}  # fmt: skip

ALEXNET_BN_FILES = "borisgin/nvcaffe-0.16, models/alexnet_bn, "


def alexnet_bn(files: str, batch: int, steps: int, rate: float, epochs: tuple[int, str]) -> Table:
    source = ALEXNET_BN_FILES + files
    return NVCAFFE | {
        **cite(
            source, batch_size=batch, optimizer__learning_rate=rate, optimizer__momentum=0.9,
            optimizer__weight_decay=0.0005, schedule__rule="polynomial", schedule__power=2.0,
            schedule__decay_epochs=steps / (1_281_167 // batch), schedule__final_rate=0.0,
        ),
        **cite(source + ": mean_file, scale and mirror", augment__mean="image", augment__pixel_scale=1 / 256,
               augment__horizontal_flip=True),
        **cite(
            source + ", layers without lr_mult and decay_mult", optimizer__bias_learning_rate=None,
            optimizer__bias_decay=0.0005,
        ),
        "epochs": epochs,
    }  # fmt: skip


def large_batch(solver: str, batch: int, steps: int, rate: float, warm_up: int, epochs: tuple[int, str]) -> Table:
    files = f"{solver} and train_val2_fp16.prototxt"
    return alexnet_bn(files, batch, steps, rate, epochs) | {
        **cite(
            ALEXNET_BN_FILES + solver + ", rampup_lr and rampup_interval", schedule__warm_up_rate=1.0,
            schedule__warm_up_epochs=warm_up / (1_281_167 // batch),
        ),
        "schedule.warm_up": ("quadratic", "src/caffe/solvers/sgd_solver.cpp, GetLearningRate: alpha * alpha"),
        **cite(
            ALEXNET_BN_FILES + solver + ", local_lr_auto and local_gw_ratio", optimizer__rule="lars",
            optimizer__lars_trust=0.001,
        ),
        "dtype": ("bfloat16", OURS + "the source has FLOAT16, default_forward_type"),
        "micro_batches": (batch // 1024, OURS + "1,024 images on each of 8 GPUs; the script says -gpu=all"),
    }  # fmt: skip


HUNDRED = (100, "max_iter, with the comment 100 epochs")

REFERENCE = "pytorch/vision, references/classification, train.py and presets.py, --model alexnet --lr 1e-2"
CONSTANTS: Table = cite(
    "mean 0.485, 0.456, 0.406 and std 0.229, 0.224, 0.225", augment__mean="channel", augment__statistics="imagenet",
    augment__divide_by_stddev=True,
) | cite(UNUSED, augment__mean_crop="same", augment__images_per_crop=1)  # fmt: skip
TORCHVISION: Table = IMAGENET | CONSTANTS | NO_SCHEDULE | NO_HOLD_OUT | NO_LAYERS | NO_COLOUR_NOISE | {
    **cite(
        REFERENCE, augment__random_crop="resize", augment__horizontal_flip=True, batch_size=256, epochs=90,
        optimizer__learning_rate=0.01, optimizer__momentum=0.9, optimizer__weight_decay=1e-4,
        optimizer__bias_decay=1e-4, optimizer__bias_learning_rate=None, schedule__rule="steps", schedule__factor=0.1,
        schedule__epochs=(30, 60), schedule__biases="follow",
    ),
    "optimizer.rule": ("optax_sgd", "torch.optim.SGD"),
}  # fmt: skip
MODERN_REASON = OURS + "a usual value of today's recipes, not run on ImageNet"
MODERN: Table = TORCHVISION | cite(
    MODERN_REASON, optimizer__learning_rate=0.04, optimizer__bias_decay=0.0, optimizer__nesterov=True,
    optimizer__ema_decay=0.9999, schedule__rule="cosine", schedule__warm_up_epochs=5, schedule__warm_up="linear",
    schedule__warm_up_rate=0.0, schedule__epochs=(), schedule__final_rate=0.0, label_smoothing=0.1, batch_size=1024,
)  # fmt: skip
POST = "【动手学深度学习】--12.深度卷积神经网络AlexNet, shili8.cn, its code"
SHILI8: Table = TORCHVISION | cite(
    POST, augment__random_crop="center", augment__horizontal_flip=False, batch_size=32, epochs=10,
    optimizer__learning_rate=0.01, optimizer__momentum=0.9, optimizer__weight_decay=0.0, optimizer__bias_decay=0.0,
    schedule__epochs=(),
)  # fmt: skip

PARAMS = "cuda-convnet, layer-params-conv-local-{}.cfg"
CIFAR10_BASE: Table = RUNNING | MEASURED | NO_SCHEDULE | NO_HOLD_OUT | NO_COLOUR_NOISE | NO_LAYERS | {
    **cite(
        OURS + "batch 5 is not held out for the first 350 epochs", data__dataset="cifar10", data__test_split="test",
        data__train_examples=50_000,
    ),
    **cite("CIFAR-10", data__image_size=32),
    **cite(UNUSED, data__resize="crop"),
    "batch_size": (128, "cuda-convnet, the default of --mini"),
    **cite("src/weights.cu and src/layer.cu", optimizer__rule="paper", optimizer__bias_decay=0.0),
    "augment.images_per_crop": (1, "convdata.py, CroppedCIFARDataProvider"),
}  # fmt: skip


def local(name: str, layer_decay: tuple[tuple[str, float], ...]) -> Table:
    params = PARAMS.format(name)
    return CIFAR10_BASE | {
        **cite(
            "convdata.py, CroppedCIFARDataProvider", augment__random_crop="shift", augment__horizontal_flip=True,
            augment__mean_crop="center",
        ),
        **cite(
            params, optimizer__learning_rate=0.001, optimizer__bias_learning_rate=0.002, optimizer__momentum=0.9,
            optimizer__weight_decay=0.004, optimizer__layer_decay=layer_decay,
        ),
        **cite(
            PARAMS.format("11pct") + ", Methodology: 10 epochs of 50,000 images are 12.5 of 40,000",
            schedule__rule="steps", schedule__epochs=(537.5, 550.0), schedule__factor=0.1, schedule__biases="stay",
        ),
        **cite(
            PARAMS.format("11pct") + ", Methodology: first batches 1 to 4, for about 350 epochs, then batch 5 as well",
            data__train_split="train[:40000]", data__validation_split="train[40000:]", data__train_examples=40_000,
            data__fold_in_epoch=350, data__validation_fraction=0.0,
        ),
        "epochs": (562, PARAMS.format("11pct") + ", Methodology; " + OURS + "562.5 rounded to a whole number"),
    }  # fmt: skip


PARAMS_18 = "cuda-convnet, layer-params-18pct.cfg"
CIFAR10_18PCT: Table = CIFAR10_BASE | {
    **cite(
        "convdata.py, CIFARDataProvider", augment__random_crop="shift", augment__horizontal_flip=False,
        augment__mean_crop="same",
    ),
    **cite(
        PARAMS_18, optimizer__learning_rate=0.001, optimizer__bias_learning_rate=0.002, optimizer__momentum=0.9,
        optimizer__weight_decay=0.004, optimizer__layer_decay=(("fc4", 1.0),), schedule__rule="steps",
        schedule__epochs=(120, 130), schedule__factor=0.1, schedule__biases="follow",
    ),
    "epochs": (140, OURS + "the file does not say when to stop; ten epochs after the last drop, as in the others"),
}  # fmt: skip

FIRST_RUN = OURS + "a first run on a CPU"
QUICKSTART: Table = {name: (value, FIRST_RUN) for name, (value, _) in PAPER.items()} | NO_COLOUR_NOISE | cite(
    FIRST_RUN, data__dataset="cifar10_sample", data__train_examples=5000, data__image_size=32, data__test_split="test",
    data__validation_split=None, augment__divide_by_stddev=True, optimizer__learning_rate=0.02, schedule__rule="steps",
    schedule__epochs=(19, 24), batch_size=32, epochs=26, evaluate_every=2, log_every=52,
    steps_per_dispatch=4,
)  # fmt: skip
CIFAR10: Table = QUICKSTART | cite(
    FIRST_RUN, data__dataset="cifar10", data__validation_fraction=0.05, data__train_examples=47_500,
    schedule__rule="plateau", schedule__epochs=(), schedule__patience=4, schedule__max_drops=2, batch_size=64,
    epochs=60, log_every=100, steps_per_dispatch=1,
)  # fmt: skip
PHOTOS: Table = QUICKSTART | cite(
    FIRST_RUN, data__image_size=128, data__test_fraction=0.2, data__train_examples=None, schedule__epochs=(30, 36),
    batch_size=16, epochs=40, log_every=20, steps_per_dispatch=1,
)  # fmt: skip

FINE_TUNING = OURS + "chosen by the error on 1,000 of the training photos"
FINETUNE: Table = QUICKSTART | NO_SCHEDULE | cite(
    OURS + "the weights were trained so", augment__mean="channel", augment__divide_by_stddev=True,
    augment__statistics="imagenet", init="torchvision_features",
) | cite(
    OURS + "the outputs of frozen layers are computed once", augment__random_crop="center",
    optimizer__frozen=("conv1", "conv2", "conv3", "conv4", "conv5"),
) | cite(
    FINE_TUNING, data__image_size=160, data__test_fraction=0.2, optimizer__rule="optax.adamw",
    optimizer__learning_rate=5e-4, optimizer__weight_decay=0.5, schedule__rule="cosine", schedule__epochs=(),
    label_smoothing=0.1, batch_size=64, epochs=15, evaluate_every=5, views="center-flip", log_every=50,
    steps_per_dispatch=1,
)  # fmt: skip


def finetune_net(dense: tuple[DenseConfig, ...]) -> ModelConfig:
    return replace(variant("torchvision"), dense=dense, image_size=160, towers=2)


def photos_net() -> ModelConfig:
    small = variant("small")
    conv1 = replace(small.convs[0], kernel_size=11, stride=4, padding=0, rounding="up", kernel_stddev=0.074)
    return replace(small, convs=(conv1, *small.convs[1:]), image_size=112)


_NO_DECAY = (("conv1", 0.0), ("conv2", 0.0))
RUNS: dict[str, tuple[ModelConfig, Table]] = {
    "quickstart": (variant("small"), QUICKSTART),
    "cifar10": (variant("small"), CIFAR10),
    "photos": (photos_net(), PHOTOS),
    "finetune": (finetune_net((DenseConfig(1024, kernel_stddev=None),)), FINETUNE),
    "finetune_linear": (finetune_net(()), FINETUNE),
    "cifar10_13pct": (variant("cifar10_13pct"), local("13pct", _NO_DECAY)),
    "cifar10_11pct": (variant("cifar10_11pct"), local("11pct", (*_NO_DECAY, ("fc5", 0.01)))),
    "cifar10_18pct": (variant("cifar10_18pct"), CIFAR10_18PCT),
    "imagenet_paper": (variant("paper"), PAPER),
    "imagenet_original": (variant("original"), layer_file("145", 91, (25, 51, 79), (67, 72), 67)),
    "imagenet_layer_file_147": (variant("layer_file_147"), layer_file("147", 90, (23, 51, 79), (79, 79), None)),
    "imagenet_layer_file_148": (variant("layer_file_148"), layer_file("148", 97, (22, 44, 86), (69, 73), 69)),
    "imagenet_layer_file_150": (variant("layer_file_150"), layer_file("150", 92, (25, 49, 79), (66, 72), 66)),
    "imagenet_one_weird_trick": (variant("one_weird_trick"), ONE_WEIRD_TRICK),
    "imagenet_caffe": (variant("caffe_alexnet"), CAFFE),
    "imagenet_nvcaffe": (variant("caffe_alexnet"), NVCAFFE),
    "imagenet_alexnet_bn": (
        variant("alexnet_bn"),
        alexnet_bn("solver.prototxt and train_val2.prototxt", 512, 250_000, 0.08, HUNDRED),
    ),
    "imagenet_large_batch_8k": (
        variant("alexnet_bn"),
        large_batch("solver_8K.prototxt", 8192, 15_600, 10, 600, HUNDRED),
    ),
    "imagenet_large_batch_16k": (
        variant("alexnet_bn"),
        large_batch("solver_16k.prototxt", 16_384, 7_800, 24, 400, HUNDRED),
    ),
    "imagenet_large_batch_32k": (
        variant("alexnet_bn"),
        large_batch(
            "solver_32k.prototxt",
            32_768,
            4_000,
            32,
            400,
            (103, OURS + "the whole epochs that hold max_iter 4000"),
        ),
    ),
    "imagenet_torchvision": (variant("torchvision"), TORCHVISION),
    "imagenet_shili8": (variant("shili8"), SHILI8),
    "imagenet_modern": (variant("torchvision"), MODERN),
}
