"""The pieces that networks are made of."""

from __future__ import annotations

import torch
from torch import nn

from npuface_toolkit.blocks import InvertedResidual, StridedDepthwise, conv_bn


def test_a_strided_depthwise_convolution_stays_in_float32_where_training_casts() -> None:
    torch.manual_seed(0)
    strided = conv_bn(8, 8, 3, stride=2, groups=8)[0]
    assert isinstance(strided, StridedDepthwise)
    x, upstream = torch.randn(2, 8, 6, 6).bfloat16(), torch.randn(2, 8, 3, 3).bfloat16()
    plain = nn.functional.conv2d(x.float(), strided.weight, None, 2, 1, 1, 8)
    (wanted,) = torch.autograd.grad(plain, strided.weight, upstream.float())
    with torch.autocast("cpu", torch.bfloat16):
        cast = strided(x)
    (given,) = torch.autograd.grad(cast, strided.weight, upstream)
    assert cast.dtype == torch.bfloat16
    torch.testing.assert_close(cast.float(), plain, atol=0, rtol=2**-8)
    torch.testing.assert_close(given, wanted, atol=1e-5, rtol=1e-5)  # bfloat16 would have rounded it to 3 digits


def test_only_that_kind_does() -> None:
    kinds = [type(m) for m in InvertedResidual(4, 8, stride=2).modules() if isinstance(m, nn.Conv2d)]
    assert kinds == [nn.Conv2d, StridedDepthwise, nn.Conv2d]
    assert type(conv_bn(8, 8, 3, groups=8)[0]) is type(conv_bn(8, 8, 3, stride=2)[0]) is nn.Conv2d
