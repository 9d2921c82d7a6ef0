"""The nets. A value of a layer is a tuple over the layers, in order."""

from __future__ import annotations

from tests.sources import OURS, UNUSED, Table, cite

RNP, RPN, RP = (
    ("relu", "local_response_norm", "max_pool"),
    ("relu", "max_pool", "local_response_norm"),
    ("relu", "max_pool"),
)
R = ("relu",)

PLAIN = OURS + "the source has neither locally connected layers nor truncated initial weights"
NO_DENSE: Table = {
    f"dense.{name}": ((), UNUSED + " (no hidden dense layer)")
    for name in ("features", "groups", "kernel_stddev", "truncate", "bias")
}
UNIFORM = {"convs.uniform": (("pytorch",) * 5, UNUSED + " (normal initial weights)")}
NO_LRN = cite(
    UNUSED, local_response_norm__size=5, local_response_norm__k=2.0, local_response_norm__alpha=1e-4,
    local_response_norm__beta=0.75, local_response_norm__divide_alpha=False, local_response_norm__across_towers=False,
)  # fmt: skip
NO_RNORM = cite(
    UNUSED, spatial_response_norm__size=5, spatial_response_norm__k=1.0, spatial_response_norm__alpha=0.001,
    spatial_response_norm__beta=0.75,
)  # fmt: skip
NO_BATCH_NORM = cite(UNUSED, batch_norm__epsilon=1e-4, batch_norm__decay=0.9)
NO_AVERAGE = cite(UNUSED, average_pool__size=3, average_pool__stride=2, average_pool__rounding="up")


def plain(convs: int, dense: int) -> Table:
    """The fields that most sources do not have."""
    return cite(
        PLAIN, convs__shared_kernel=(True,) * convs, convs__truncate=(False,) * convs, dense__truncate=(False,) * dense,
        dense__groups=(1,) * dense, head_truncate=False, pool_before_dense=False,
    )  # fmt: skip


def as_in(table: Table, source: str) -> Table:
    """The same values, read in another file."""
    return {name: (value, text if text.startswith(OURS) else source) for name, (value, text) in table.items()}


PAPER: Table = {
    **cite(
        "section 3.5 and Figure 2", convs__features=(96, 256, 384, 384, 256), convs__kernel_size=(11, 5, 3, 3, 3),
        convs__stride=(4, 1, 1, 1, 1), convs__groups=(1, 2, 1, 2, 2), dense__features=(4096, 4096), classes=1000,
        image_size=224, channels=3, towers=2,
    ),
    **cite(
        OURS + "the text does not name it; the sizes of Figure 2 need it", convs__padding=(0, 2, 1, 1, 1),
        convs__rounding=("up", "down", "down", "down", "down"), max_pool__rounding="down",
    ),
    "convs.then": ((RNP, RNP, R, R, RP), "sections 3.1, 3.3, 3.4 and 3.5"),
    **cite(
        "section 5", convs__kernel_stddev=(0.01,) * 5, convs__bias=(0.0, 1.0, 0.0, 1.0, 1.0),
        dense__kernel_stddev=(0.01, 0.01), dense__bias=(1.0, 1.0), head_kernel_stddev=0.01, head_bias=0.0,
    ),
    **cite(
        "section 3.3", local_response_norm__size=5, local_response_norm__k=2.0, local_response_norm__alpha=1e-4,
        local_response_norm__beta=0.75, local_response_norm__divide_alpha=False,
    ),
    "local_response_norm.across_towers": (
        False, OURS + "section 3.3 prints N as all kernels of the layer; the authors' GPUs had no link here",
    ),
    **cite("section 3.4", max_pool__size=3, max_pool__stride=2),
    **cite("section 4.2", dropout__rate=0.5, dropout__place="after", dropout__scaled_in="test"),
    **NO_RNORM, **NO_AVERAGE, **NO_BATCH_NORM, **UNIFORM, **plain(5, 2),
}  # fmt: skip

L145 = "layers-145.cfg and layer-params-145.cfg"
LPR, RLSP, PR = (
    ("local_response_norm", "max_pool", "relu"),
    ("relu", "local_response_norm", "spatial_response_norm", "max_pool"),
    ("max_pool", "relu"),
)
ORIGINAL: Table = as_in(PAPER, L145) | {
    "convs.padding": ((0, 2, 1, 1, 1), f"{L145}, padding"),
    "convs.rounding": (
        ("up", "down", "down", "down", "down"),
        "layer.py, modulesX: ceil, which has no effect where the stride is 1",
    ),
    "max_pool.rounding": ("up", "layer.py, outputsX: ceil"),
    "convs.then": ((LPR, RLSP, R, R, PR), f"{L145}: the order of layers; neuron=relu of pool1, conv2-4 and pool3"),
    "convs.kernel_stddev": ((0.01, 0.01, 0.03, 0.03, 0.03), f"{L145}, initW"),
    "convs.bias": ((0.0, 1.0, 0.0, 1.0, 1.0), f"{L145}, initB"),
    "local_response_norm.divide_alpha": (True, "layer.py, NormLayerParser.add_params: scale /= size"),
    "local_response_norm.across_towers": (False, f"{L145}, one rnorm layer for each tower"),
    **cite(
        f"{L145}, cnorm2a; layer.py divides scale by size squared, minDiv is 1", spatial_response_norm__size=5,
        spatial_response_norm__k=1.0, spatial_response_norm__alpha=0.001, spatial_response_norm__beta=0.75,
    ),
    "dropout.scaled_in": ("test", f"{L145}, type=hs keep=0.5"),
}  # fmt: skip

ONE_GPU: Table = as_in(ORIGINAL, "layers-145-half.cfg") | cite(
    "layers-145-half.cfg", convs__features=(48, 128, 192, 192, 256), convs__groups=(1,) * 5, towers=1
)

SIX: Table = {
    f"convs.{name}": ((*ORIGINAL[f"convs.{name}"][0], value), "layers-146-2012-2009.cfg, conv6a and conv6b")
    for name, value in {
        "features": 256, "kernel_size": 3, "stride": 1, "padding": 1, "rounding": "down", "groups": 1, "then": R,
        "kernel_stddev": 0.03, "bias": 1.0,
    }.items()
}  # fmt: skip
LAYER_FILE_146: Table = as_in(ORIGINAL, "layers-146-2012-2009.cfg") | plain(6, 2) | SIX
LAYER_FILE_146 |= {"convs.uniform": (("pytorch",) * 6, UNUSED + " (normal initial weights)")}

LAYER_FILE_147: Table = as_in(ORIGINAL, "layers-147.cfg") | cite(
    "layers-147.cfg, sizeX of pools, padding of conv2 and conv5", max_pool__size=2, convs__padding=(0, 1, 1, 1, 0)
)
LAYER_FILE_148: Table = as_in(ORIGINAL, "layers-148.cfg") | {
    "convs.then": ((PR, RP, R, R, PR), "layers-148.cfg, inputs of the pools"),
    **cite(UNUSED, local_response_norm__divide_alpha=True),
}
LAYER_FILE_150: Table = as_in(ORIGINAL, "layers-150.cfg") | cite(
    "layers-150.cfg, filters of conv2, inputs of conv3, fc4096 and fc2048b, outputs of fc4096 and fc2048b",
    convs__features=(96, 320, 384, 384, 256), convs__groups=(1, 2, 2, 2, 2), dense__features=(8192, 4096),
    dense__groups=(2, 2),
)  # fmt: skip
LAYER_FILE_167: Table = as_in(ORIGINAL, "layers-167.cfg") | {
    "convs.then": ((LPR, RP, R, R, PR), "layers-167.cfg, inputs of pool2a"),
}

OWT = "cuda-convnet2, layers-imagenet-1gpu.cfg and layer-params-imagenet-1gpu.cfg"
ONE_WEIRD_TRICK: Table = as_in(ORIGINAL, OWT) | NO_RNORM | {
    "convs.then": ((LPR, RNP, R, R, PR), f"{OWT}, the order of layers"),
    **cite(OWT, convs__features=(64, 192, 384, 256, 256), convs__groups=(1,) * 5, towers=1, head_bias=-7.0),
    "dropout.scaled_in": ("test", "layer.cu, Dropout2Layer"),
}  # fmt: skip

CAFFE = "BVLC/caffe, models/bvlc_alexnet/train_val.prototxt"
CAFFE_ALEXNET: Table = {
    **cite(
        CAFFE, convs__features=(96, 256, 384, 384, 256), convs__kernel_size=(11, 5, 3, 3, 3),
        convs__stride=(4, 1, 1, 1, 1), convs__padding=(0, 2, 1, 1, 1), convs__groups=(1, 2, 1, 2, 2),
        convs__kernel_stddev=(0.01,) * 5, convs__bias=(0.0, 0.1, 0.0, 0.1, 0.1), convs__then=(RNP, RNP, R, R, RP),
        dense__features=(4096, 4096), dense__kernel_stddev=(0.005, 0.005), dense__bias=(0.1, 0.1), classes=1000,
        image_size=227, head_kernel_stddev=0.01, head_bias=0.0, local_response_norm__size=5,
        local_response_norm__alpha=1e-4, local_response_norm__beta=0.75, max_pool__size=3, max_pool__stride=2,
        dropout__rate=0.5, dropout__place="after",
    ),
    "convs.rounding": (("down",) * 5, "conv_layer.cpp, compute_output_shape"),
    "max_pool.rounding": ("up", "pooling_layer.cpp, Reshape: ceil"),
    "local_response_norm.k": (1.0, "caffe.proto, LRNParameter.k"),
    "local_response_norm.divide_alpha": (True, "lrn_layer.cpp: alpha / size"),
    "local_response_norm.across_towers": (True, "lrn_layer.cpp: across all channels"),
    "dropout.scaled_in": ("training", "dropout_layer.cpp: scale_ in the train phase"),
    "channels": (3, "colour photos of ILSVRC-2012"),
    "towers": (2, OURS + "one tower for each of Caffe's groups"),
    **NO_RNORM, **NO_AVERAGE, **NO_BATCH_NORM, **UNIFORM, **plain(5, 2),
}  # fmt: skip
NVIDIA_BN = "borisgin/nvcaffe-0.16, models/alexnet_bn/train_val2_fp16.prototxt"
RPB, RB = ("relu", "max_pool", "batch_norm"), ("relu", "batch_norm")
ALEXNET_BN: Table = as_in(CAFFE_ALEXNET, NVIDIA_BN) | NO_LRN | cite(
    NVIDIA_BN, convs__then=(RPB, RPB, RB, RB, RP), convs__bias=(0.01,) * 5, head_bias=0.01, batch_norm__epsilon=1e-4,
    batch_norm__decay=0.9, dense__kernel_stddev=(0.005, 0.005), dense__bias=(0.1, 0.1),
)  # fmt: skip
ALEXNET_BN |= cite(
    UNUSED, local_response_norm__k=1.0, local_response_norm__divide_alpha=True, local_response_norm__across_towers=True
)
CAFFENET: Table = CAFFE_ALEXNET | cite(
    "BVLC/caffe, models/bvlc_reference_caffenet/train_val.prototxt", convs__then=(RPN, RPN, R, R, RP),
    convs__bias=(0.0, 1.0, 0.0, 1.0, 1.0), dense__bias=(1.0, 1.0),
)  # fmt: skip

VISION = "pytorch/vision, torchvision/models/alexnet.py"
TORCHVISION: Table = {
    **cite(
        VISION, convs__features=(64, 192, 384, 256, 256), convs__kernel_size=(11, 5, 3, 3, 3),
        convs__stride=(4, 1, 1, 1, 1), convs__padding=(2, 2, 1, 1, 1), convs__groups=(1,) * 5,
        convs__then=(RP, RP, R, R, RP), dense__features=(4096, 4096), classes=1000, channels=3, max_pool__size=3,
        max_pool__stride=2, dropout__rate=0.5, dropout__place="before",
    ),
    "image_size": (224, "torchvision/models/alexnet.py, transforms of AlexNet_Weights: crop_size"),
    "convs.rounding": (("down",) * 5, "torch.nn.Conv2d: floor"),
    "max_pool.rounding": ("down", "torch.nn.MaxPool2d, ceil_mode"),
    "dropout.scaled_in": ("training", "torch.nn.Dropout"),
    **cite(
        "torch.nn.Conv2d and torch.nn.Linear, reset_parameters", convs__kernel_stddev=(None,) * 5,
        convs__uniform=("pytorch",) * 5, dense__kernel_stddev=(None, None), head_kernel_stddev=None,
    ),
    **cite(UNUSED, convs__bias=(0.0,) * 5, dense__bias=(0.0, 0.0), head_bias=0.0),
    "towers": (1, VISION),
    **NO_LRN, **NO_RNORM, **NO_AVERAGE, **NO_BATCH_NORM, **plain(5, 2),
}  # fmt: skip
POST_004 = "the post AlexNet网络的Pytorch实现, lines 17 to 41 of its code"
SINGLE_TOWER: Table = as_in(TORCHVISION, POST_004) | cite(
    POST_004, convs__features=(96, 256, 384, 384, 256), image_size=224
)
KAOPUKE = "卷积神经网络-AlexNet, kaopuke.com, its code"
SINGLE_TOWER_227: Table = as_in(TORCHVISION, KAOPUKE) | cite(
    KAOPUKE, convs__features=(96, 192, 384, 256, 256), convs__padding=(0, 2, 1, 1, 1), image_size=227
)
SHILI8_POST = "【动手学深度学习】--12.深度卷积神经网络AlexNet, shili8.cn, its code"
SHILI8: Table = as_in(TORCHVISION, SHILI8_POST) | cite(
    SHILI8_POST, convs__features=(96, 256, 384, 384, 256), convs__padding=(0, 2, 1, 1, 1), dropout__place="after"
)
SHILI8["image_size"] = (227, OURS + "the post crops 224 pixels, which its Linear(256 * 6 * 6) cannot read")
BOOK = "d2l.ai, section AlexNet"
D2L: Table = as_in(TORCHVISION, BOOK) | cite(
    BOOK, convs__features=(96, 256, 384, 384, 256), convs__padding=(1, 2, 1, 1, 1), dropout__place="after", channels=1,
    classes=10, image_size=224,
)  # fmt: skip
D2L |= cite(
    OURS + "PyTorch's default; the book uses Xavier's with PyTorch's biases", convs__kernel_stddev=(None,) * 5,
    dense__kernel_stddev=(None, None), head_kernel_stddev=None, convs__uniform=("pytorch",) * 5,
)  # fmt: skip
SLIM = "tensorflow/models, research/slim/nets/alexnet.py"
SLIM_V2: Table = as_in(TORCHVISION, SLIM) | cite(
    f"{SLIM}, alexnet_v2 and alexnet_v2_arg_scope", convs__features=(64, 192, 384, 384, 256),
    convs__padding=(0, 2, 1, 1, 1), convs__bias=(0.1,) * 5, dense__kernel_stddev=(0.005, 0.005),
    dense__truncate=(True, True), dense__bias=(0.1, 0.1), head_kernel_stddev=0.005, head_truncate=True, head_bias=0.0,
    dropout__place="after", image_size=224,
)  # fmt: skip
SLIM_V2 |= cite("slim.conv2d, xavier_initializer", convs__kernel_stddev=(None,) * 5, convs__uniform=("xavier",) * 5)

L13 = "cuda-convnet, layers-conv-local-13pct.cfg"
ROUND_UP = "layer.py, outputsX: ceil; modulesX has no effect where the stride is 1"
PYTORCH4 = (("pytorch",) * 4, UNUSED + " (normal initial weights)")
CIFAR10_13PCT: Table = {
    **cite(
        L13, convs__features=(64, 64, 32, 32), convs__kernel_size=(5, 5, 3, 3), convs__stride=(1,) * 4,
        convs__padding=(2, 2, 1, 1), convs__groups=(1,) * 4, convs__then=(RP, RP, R, R),
        convs__shared_kernel=(True, True, False, False), convs__kernel_stddev=(0.0001, 0.01, 0.04, 0.04),
        convs__bias=(0.0,) * 4, head_kernel_stddev=0.01, head_bias=0.0, classes=10, channels=3, towers=1,
        max_pool__size=3, max_pool__stride=2,
    ),
    "image_size": (24, "cuda-convnet, --crop-border=4 of 32 pixels"),
    **cite(ROUND_UP, convs__rounding=("down",) * 4, max_pool__rounding="up"),
    "convs.truncate": ((False,) * 4, PLAIN),
    "convs.uniform": PYTORCH4,
    **cite(PLAIN, head_truncate=False, pool_before_dense=False),
    **cite(UNUSED, dropout__rate=0.5, dropout__place="after", dropout__scaled_in="test"),
    **NO_LRN, **NO_RNORM, **NO_AVERAGE, **NO_BATCH_NORM, **NO_DENSE,
}  # fmt: skip
L11 = "cuda-convnet r541 and cuda-convnet2, layers-*-11pct.cfg and layer-params-*-11pct.cfg"
CIFAR10_11PCT: Table = as_in(CIFAR10_13PCT, L11) | {
    **cite(L11, convs__features=(64, 64, 64, 32), convs__then=(RPN, RNP, R, R)),
    **cite(
        f"{L11}, rnorm1 and rnorm2", local_response_norm__size=9, local_response_norm__alpha=0.001,
        local_response_norm__beta=0.75,
    ),
    "local_response_norm.k": (1.0, "layer.py of cuda-convnet2, minDiv"),
    "local_response_norm.divide_alpha": (True, "layer.py, NormLayerParser.add_params: scale /= size"),
}  # fmt: skip
RSP = ("relu", "spatial_response_norm", "max_pool")
R540 = "cuda-convnet r540, layers-conv-local-11pct.cfg"
CIFAR10_11PCT_R540: Table = as_in(CIFAR10_13PCT, R540) | {
    "convs.then": ((RSP, RSP, R, R), f"{R540}, the order of layers"),
    "spatial_response_norm.size": (5, f"{R540}, rnorm1 and rnorm2"),
    **cite(
        OURS + "the file names no constants; those of r541", spatial_response_norm__k=1.0,
        spatial_response_norm__alpha=0.001, spatial_response_norm__beta=0.75,
    ),
}  # fmt: skip
L18 = "cuda-convnet, layers-18pct.cfg and layer-params-18pct.cfg"
MRS, RAS, RA = (
    ("max_pool", "relu", "spatial_response_norm"),
    ("relu", "average_pool", "spatial_response_norm"),
    ("relu", "average_pool"),
)
CIFAR10_18PCT: Table = {
    **cite(
        L18, convs__features=(32, 32, 64), convs__kernel_size=(5,) * 3, convs__stride=(1,) * 3,
        convs__padding=(2,) * 3, convs__groups=(1,) * 3, convs__then=(MRS, RAS, RA), convs__shared_kernel=(True,) * 3,
        convs__kernel_stddev=(0.0001, 0.01, 0.01), convs__bias=(0.0,) * 3, head_kernel_stddev=0.01, head_bias=0.0,
        classes=10, image_size=32, channels=3, towers=1, max_pool__size=3, max_pool__stride=2, average_pool__size=3,
        average_pool__stride=2, spatial_response_norm__size=3, spatial_response_norm__alpha=0.00005,
        spatial_response_norm__beta=0.75,
    ),
    "spatial_response_norm.k": (1.0, "layer.py of cuda-convnet2, minDiv"),
    **cite(ROUND_UP, convs__rounding=("down",) * 3, max_pool__rounding="up", average_pool__rounding="up"),
    "convs.truncate": ((False,) * 3, PLAIN),
    "convs.uniform": (("pytorch",) * 3, UNUSED + " (normal initial weights)"),
    **cite(PLAIN, head_truncate=False, pool_before_dense=False),
    **cite(UNUSED, dropout__rate=0.5, dropout__place="after", dropout__scaled_in="test"),
    **NO_LRN, **NO_BATCH_NORM, **NO_DENSE,
}  # fmt: skip

STAND_IN = OURS + "the net of Figure 1 is not published; cifar10_13pct with convolutions"
CONV_RELU: Table = {name: (value, STAND_IN) for name, (value, _) in CIFAR10_13PCT.items()} | cite(
    STAND_IN, convs__shared_kernel=(True,) * 4, local_response_norm__k=1.0, local_response_norm__alpha=0.001,
    local_response_norm__divide_alpha=True,
)  # fmt: skip
TP = ("tanh", "max_pool")

RPN_SMALL = OURS + "a net for a first run on a CPU"
SMALL: Table = {
    name: (value, RPN_SMALL) for name, (value, _) in PAPER.items()
} | cite(
    RPN_SMALL, convs__features=(32, 64, 96, 64, 64), convs__kernel_size=(5, 3, 3, 3, 3), convs__stride=(1,) * 5,
    convs__padding=(2, 1, 1, 1, 1), convs__rounding=("down",) * 5, convs__then=(RPN, RPN, R, R, RP),
    convs__kernel_stddev=(0.163, 0.118, 0.059, 0.068, 0.083), convs__bias=(0.0,) * 5, dense__features=(128, 128),
    dense__kernel_stddev=(0.044, 0.125), dense__bias=(0.0, 0.0), classes=10, image_size=28, max_pool__rounding="up",
    dropout__rate=0.1, head_kernel_stddev=0.0625,
)  # fmt: skip

NETS: dict[str, Table] = {
    "paper": PAPER,
    "original": ORIGINAL,
    "one_gpu": ONE_GPU,
    "layer_file_146": LAYER_FILE_146,
    "layer_file_147": LAYER_FILE_147,
    "layer_file_148": LAYER_FILE_148,
    "layer_file_150": LAYER_FILE_150,
    "layer_file_167": LAYER_FILE_167,
    "one_weird_trick": ONE_WEIRD_TRICK,
    "caffe_alexnet": CAFFE_ALEXNET,
    "caffenet": CAFFENET,
    "alexnet_bn": ALEXNET_BN,
    "torchvision": TORCHVISION,
    "single_tower": SINGLE_TOWER,
    "single_tower_227": SINGLE_TOWER_227,
    "shili8": SHILI8,
    "d2l": D2L,
    "slim_v2": SLIM_V2,
    "cifar10_13pct": CIFAR10_13PCT,
    "cifar10_11pct": CIFAR10_11PCT,
    "cifar10_11pct_r540": CIFAR10_11PCT_R540,
    "cifar10_18pct": CIFAR10_18PCT,
    "cifar10_conv_relu": CONV_RELU,
    "cifar10_conv_norm": CONV_RELU | cite(STAND_IN, convs__then=(RNP, RNP, R, R)),
    "cifar10_conv_tanh": CONV_RELU | cite(STAND_IN, convs__then=(TP, TP, ("tanh",), ("tanh",))),
    "small": SMALL,
}
