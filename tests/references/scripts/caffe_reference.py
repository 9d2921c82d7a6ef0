r"""Writes the reference values of Caffe for the nets caffe_alexnet and caffenet.

    python caffe_reference.py DIRECTORY

writes into DIRECTORY
    caffe_alexnet.npz, caffenet.npz   full-size forward, and a tiny net trained for five steps by Caffe's SGDSolver
    tiny_caffe_alexnet.caffemodel     the tiny caffe_alexnet before training, as net.save writes it
    tiny_caffe_alexnet_v1.caffemodel  the same in the V1 format: V1LayerParameter, blobs of num/channels/height/width
    tiny_mean.binaryproto             a mean image, a BlobProto of 1x3x67x67

Versions: Python 3.9.18, kendryte-caffe 1.0.0.20210829 (Caffe 1.0.0), numpy 1.23.5, protobuf 3.20.3. The environment:
    python3.9 -m venv caffe39
    caffe39/bin/pip install kendryte-caffe==1.0.0.20210829 "numpy<1.24" "protobuf<3.21" "scikit-image<0.20" six
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 GLOG_minloglevel=2 nice -n 19 \\
        caffe39/bin/python caffe_reference.py DIRECTORY
"""

import os
import sys
import tempfile

import caffe
import numpy as np
from caffe import layers as L
from caffe import params as P
from caffe.proto import caffe_pb2

# Outputs of each layer and the standard deviation of its kernel: sqrt(2 / fan_in) to four decimals, but 0.01 in conv1.
FULL = {
    "batch": 2,
    "side": 227,
    "seed": 0,
    "layers": {
        "conv1": (96, 0.01),
        "conv2": (256, 0.0408),
        "conv3": (384, 0.0295),
        "conv4": (384, 0.0340),
        "conv5": (256, 0.0340),
        "fc6": (4096, 0.0147),
        "fc7": (4096, 0.0221),
        "fc8": (1000, 0.0221),
    },
}
TINY = {
    "batch": 6,
    "side": 67,
    "seed": 1,
    "layers": {
        "conv1": (8, 0.01),
        "conv2": (16, 0.1414),
        "conv3": (12, 0.1179),
        "conv4": (12, 0.1925),
        "conv5": (8, 0.1925),
        "fc6": (16, 0.5),
        "fc7": (16, 0.3536),
        "fc8": (10, 0.3536),
    },
}
CONVS = {
    "conv1": {"kernel_size": 11, "stride": 4},
    "conv2": {"kernel_size": 5, "pad": 2, "group": 2},
    "conv3": {"kernel_size": 3, "pad": 1},
    "conv4": {"kernel_size": 3, "pad": 1, "group": 2},
    "conv5": {"kernel_size": 3, "pad": 1, "group": 2},
}
PROBES = ["norm1", "pool1", "conv2", "norm2", "pool2", "conv3", "conv4", "conv5", "pool5", "fc6", "fc7"]
STEPS = 5
V1_TYPES = {
    "Convolution": "CONVOLUTION",
    "ReLU": "RELU",
    "LRN": "LRN",
    "Pooling": "POOLING",
    "InnerProduct": "INNER_PRODUCT",
    "SoftmaxWithLoss": "SOFTMAX_LOSS",
}


def make_proto(name, size):
    """The net as a NetParameter. ReLU works in place, so the blobs conv1..fc7 are its outputs."""
    net = caffe.NetSpec()
    net.data = L.Input(shape={"dim": [size["batch"], 3, size["side"], size["side"]]})
    net.label = L.Input(shape={"dim": [size["batch"]]})
    param = [{"lr_mult": 1, "decay_mult": 1}, {"lr_mult": 2, "decay_mult": 0}]
    x = net.data
    for layer, (out, _) in size["layers"].items():
        n = layer[-1]
        if layer in CONVS:
            x = net[layer] = L.Convolution(x, num_output=out, param=param, **CONVS[layer])
        else:
            x = net[layer] = L.InnerProduct(x, num_output=out, param=param)
        if layer != "fc8":
            x = net["relu" + n] = L.ReLU(x, in_place=True)
        steps = {"conv1": "norm pool", "conv2": "norm pool", "conv5": "pool"}.get(layer, "").split()
        for step in steps if name == "caffe_alexnet" else steps[::-1]:
            if step == "norm":
                x = net["norm" + n] = L.LRN(x, local_size=5, alpha=1e-4, beta=0.75, k=1.0)
            else:
                x = net["pool" + n] = L.Pooling(x, pool=P.Pooling.MAX, kernel_size=3, stride=2)
    net.loss = L.SoftmaxWithLoss(x, net.label)
    proto = net.to_proto()
    proto.name = name
    return proto


def write_text(message):
    """Writes a message to a temporary text file. pycaffe reads nets and solvers from files only."""
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt", delete=False) as file:
        file.write(str(message))
    return file.name


def fill(net, size):
    """Draws the parameters, then the pixels: one standard_normal call per array in float64, cast to float32."""
    rng = np.random.RandomState(size["seed"])
    for layer, (_, stddev) in size["layers"].items():
        kernel, bias = net.params[layer]
        kernel.data[...] = (stddev * rng.standard_normal(kernel.data.shape)).astype(np.float32)
        bias.data[...] = (0.1 * rng.standard_normal(bias.data.shape)).astype(np.float32)
    pixels = (60 * rng.standard_normal(net.blobs["data"].data.shape)).astype(np.float32)
    net.blobs["data"].data[...] = pixels
    net.blobs["label"].data[...] = np.arange(size["batch"]) % 10
    return pixels


def parameters(net, prefix, attribute):
    """Copies of all parameters (attribute "data") or of their gradients ("diff"), in Caffe's memory format."""
    return {
        f"{prefix}/{layer}/{kind}": getattr(blob, attribute).copy()
        for layer, blobs in net.params.items()
        for kind, blob in zip(("kernel", "bias"), blobs, strict=False)
    }


def probe(blob):
    """Mean, standard deviation, and the values at 16 evenly spaced positions of the flattened NCHW blob."""
    flat = blob.data.ravel()
    positions = np.arange(16) * (flat.size - 1) // 15
    wide = flat.astype(np.float64)
    return {"stats": np.array([wide.mean(), wide.std()]), "positions": positions, "values": flat[positions]}


def full_forward(name):
    path = write_text(make_proto(name, FULL))
    net = caffe.Net(path, caffe.TEST)
    os.remove(path)
    pixels = fill(net, FULL)
    net.forward()
    out = {"full/pixels_head": pixels.ravel()[:8], "full/fc8": net.blobs["fc8"].data.copy()}
    for blob in PROBES:
        out.update({f"full/probe/{blob}/{key}": value for key, value in probe(net.blobs[blob]).items()})
    return out


def make_solver(name):
    """Caffe's usual rate 0.01 and decay 0.0005 diverge here, because pixels large enough for LRN make large gradients."""
    settings = caffe_pb2.SolverParameter(
        base_lr=1e-4,
        momentum=0.9,
        weight_decay=0.5,
        lr_policy="step",
        stepsize=3,
        gamma=0.1,
        type="SGD",
        max_iter=STEPS,
        snapshot_after_train=False,
        solver_mode=caffe_pb2.SolverParameter.CPU,
    )
    settings.net_param.CopyFrom(make_proto(name, TINY))
    path = write_text(settings)
    solver = caffe.SGDSolver(path)
    os.remove(path)
    return solver


def tiny_training(name):
    solver = make_solver(name)
    net = solver.net
    pixels = fill(net, TINY)
    net.forward()
    net.backward()
    out = {"tiny/pixels_head": pixels.ravel()[:8], "tiny/logits": net.blobs["fc8"].data.copy()}
    out.update(parameters(net, "tiny/grad", "diff"))  # step() clears these before it adds its own
    losses = []
    for _ in range(STEPS):
        solver.step(1)
        losses.append(float(net.blobs["loss"].data))  # of the forward pass before the update
    net.forward()
    assert np.array_equal(net.blobs["data"].data, pixels)
    out["tiny/losses"] = np.array(losses, np.float32)
    out["tiny/loss_after"] = np.float32(net.blobs["loss"].data)
    out.update(parameters(net, "tiny/after", "data"))
    return out


def to_v1(net, proto):
    """The net and its parameters as Caffe wrote them in 2014: field `layers`, and blobs that always have four axes."""
    old = caffe_pb2.NetParameter(name=proto.name)
    for layer in proto.layer:
        if layer.type == "Input":
            old.input.extend(layer.top)
            dims = list(layer.input_param.shape[0].dim)
            old.input_dim.extend(dims + [1] * (4 - len(dims)))
            continue
        new = old.layers.add(name=layer.name, bottom=layer.bottom, top=layer.top)
        new.type = caffe_pb2.V1LayerParameter.LayerType.Value(V1_TYPES[layer.type])
        for field in ["convolution_param", "lrn_param", "pooling_param", "inner_product_param"]:
            if layer.HasField(field):
                getattr(new, field).CopyFrom(getattr(layer, field))
        for blob in net.params.get(layer.name, []):
            shape = [1] * (4 - blob.data.ndim) + list(blob.data.shape)
            message = new.blobs.add(data=blob.data.ravel().tolist())
            message.num, message.channels, message.height, message.width = shape
        if new.blobs:
            new.blobs_lr.extend([1, 2])
            new.weight_decay.extend([1, 0])
    return old


def write_samples(folder):
    proto = make_proto("caffe_alexnet", TINY)
    path = write_text(proto)
    net, other = caffe.Net(path, caffe.TEST), caffe.Net(path, caffe.TEST)
    os.remove(path)
    fill(net, TINY)
    net.save(os.path.join(folder, "tiny_caffe_alexnet.caffemodel"))
    old = os.path.join(folder, "tiny_caffe_alexnet_v1.caffemodel")
    with open(old, "wb") as file:
        file.write(to_v1(net, proto).SerializeToString())
    other.copy_from(old)  # Caffe must read the V1 file back to the same parameters
    drawn, read = parameters(net, "", "data"), parameters(other, "", "data")
    assert all(np.array_equal(drawn[key], read[key]) for key in drawn)

    channels = np.array([104.91, 119.72, 127.30]).reshape(1, 3, 1, 1)  # BGR
    mean = (channels + 2 * np.random.RandomState(2).standard_normal((1, 3, 67, 67))).astype(np.float32)
    blob = caffe_pb2.BlobProto(num=1, channels=3, height=67, width=67, data=mean.ravel().tolist())
    with open(os.path.join(folder, "tiny_mean.binaryproto"), "wb") as file:
        file.write(blob.SerializeToString())


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    caffe.set_mode_cpu()
    for name in ("caffe_alexnet", "caffenet"):
        np.savez_compressed(os.path.join(folder, name + ".npz"), **full_forward(name), **tiny_training(name))
    write_samples(folder)


if __name__ == "__main__":
    main()
