"""The protobuf schema of the parts of Caffe's files that this package reads.

Field numbers and defaults are those of ``caffe.proto`` in Caffe 1.0. Protobuf skips fields that are not listed.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto

# By field: its number, its type, and "*" for a repeated field or else its default.
# Enums are int32, as on the wire. Packed numbers are bytes, so that 61 million of them become one NumPy array and not
# Python floats. Names are bytes, because they may not be UTF-8. Sizes are repeated, because some messages have one for
# both sides and some have two.
_MESSAGES: dict[str, dict[str, tuple[Any, ...]]] = {
    "BlobShape": {"dim": (1, "int64", "*")},
    "BlobProto": {
        "num": (1, "int32"),
        "channels": (2, "int32"),
        "height": (3, "int32"),
        "width": (4, "int32"),
        "shape": (7, "BlobShape"),
        "data": (5, "bytes", "*"),
        "double_data": (8, "bytes", "*"),
    },
    "ConvolutionParameter": {
        "bias_term": (2, "bool", "true"),
        "pad": (3, "uint32", "*"),
        "pad_h": (9, "uint32", "*"),
        "pad_w": (10, "uint32", "*"),
        "kernel_size": (4, "uint32", "*"),
        "kernel_h": (11, "uint32", "*"),
        "kernel_w": (12, "uint32", "*"),
        "stride": (6, "uint32", "*"),
        "stride_h": (13, "uint32", "*"),
        "stride_w": (14, "uint32", "*"),
        "dilation": (18, "uint32", "*"),
        "group": (5, "uint32", "1"),
    },
    "PoolingParameter": {
        "pool": (1, "int32"),
        "pad": (4, "uint32", "*"),
        "pad_h": (9, "uint32", "*"),
        "pad_w": (10, "uint32", "*"),
        "kernel_size": (2, "uint32", "*"),
        "kernel_h": (5, "uint32", "*"),
        "kernel_w": (6, "uint32", "*"),
        "stride": (3, "uint32", "*"),
        "stride_h": (7, "uint32", "*"),
        "stride_w": (8, "uint32", "*"),
    },
    "LRNParameter": {
        "local_size": (1, "uint32", "5"),
        "alpha": (2, "float", "1"),
        "beta": (3, "float", "0.75"),
        "norm_region": (4, "int32"),
        "k": (5, "float", "1"),
    },
    "InnerProductParameter": {"bias_term": (2, "bool", "true"), "transpose": (6, "bool")},
    "InputParameter": {"shape": (1, "BlobShape", "*")},
    "TransformationParameter": {"crop_size": (3, "uint32")},
    "DataParameter": {"crop_size": (5, "uint32")},  # used before transform_param existed
    "LayerParameter": {
        "name": (1, "bytes"),
        "type": (2, "bytes"),
        "blobs": (7, "BlobProto", "*"),
        "transform_param": (100, "TransformationParameter"),
        "convolution_param": (106, "ConvolutionParameter"),
        "inner_product_param": (117, "InnerProductParameter"),
        "lrn_param": (118, "LRNParameter"),
        "pooling_param": (121, "PoolingParameter"),
        "input_param": (143, "InputParameter"),
        "data_param": (107, "DataParameter"),
        "image_data_param": (115, "DataParameter"),
    },
    "V0LayerParameter": {},
    "V1LayerParameter": {
        "layer": (1, "V0LayerParameter"),
        "name": (4, "bytes"),
        "type": (5, "int32"),
        "blobs": (6, "BlobProto", "*"),
        "transform_param": (36, "TransformationParameter"),
        "convolution_param": (10, "ConvolutionParameter"),
        "inner_product_param": (17, "InnerProductParameter"),
        "lrn_param": (18, "LRNParameter"),
        "pooling_param": (19, "PoolingParameter"),
        "data_param": (11, "DataParameter"),
        "image_data_param": (15, "DataParameter"),
    },
    "NetParameter": {
        "input_dim": (4, "int32", "*"),
        "input_shape": (8, "BlobShape", "*"),
        "layer": (100, "LayerParameter", "*"),
        "layers": (2, "V1LayerParameter", "*"),
    },
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="alexnet_jax/caffe.proto", package="caffe", syntax="proto2")
    for message_name, fields in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for name, (number, kind, *rest) in fields.items():
            field = message.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL)
            if kind in _MESSAGES:
                field.type, field.type_name = _Field.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                field.type = getattr(_Field, f"TYPE_{kind.upper()}")
            if rest == ["*"]:
                field.label = _Field.LABEL_REPEATED
            elif rest:
                field.default_value = rest[0]
    return file


def message_class(name: str) -> Any:
    """The protobuf class of a Caffe message, such as ``NetParameter``."""
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"caffe.{name}"))


# Not the default pool, where an installed Caffe may have registered messages of the same names.
_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file())
