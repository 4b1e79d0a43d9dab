"""The depthwise convolution with its own backward pass, against torch's in float64; and memory that stays."""

from __future__ import annotations

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from mobilenet.nn import mobilenet_v2  # noqa: E402
from mobilenet.nn.depthwise import DepthwiseConv2d, _Strided  # noqa: E402

STRIDED = [
    (3, 2, 1, 1, 16, False),
    (3, 2, 1, 0, 17, True),
    (3, 2, 1, 1, 15, False),
    (3, 2, 2, 2, 13, True),
    (5, 3, 1, 2, 20, False),
]
DILATED = [
    (3, 1, 2, 2, 16, False),
    (3, 1, 2, 2, 17, True),
    (3, 1, 4, 4, 9, False),
    (3, 1, 6, 6, 4, True),
    (5, 1, 3, 6, 20, False),
]


@pytest.mark.parametrize(("kernel", "stride", "dilation", "padding", "side", "bias"), STRIDED + DILATED)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_gradients_are_those_of_float64(
    kernel: int, stride: int, dilation: int, padding: int, side: int, bias: bool, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    conv = DepthwiseConv2d(8, 8, kernel, stride, padding, dilation, groups=8, bias=bias)
    x = torch.randn(2, 8, side, side).to(dtype).float().requires_grad_()
    with torch.no_grad():
        conv.weight.copy_(conv.weight.to(dtype))
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        y = conv(x)
    assert y.dtype == dtype
    ours = "_Dilated" if stride == 1 else "_Strided" if dtype == torch.bfloat16 else "Convolution"
    assert ours in type(y.grad_fn).__name__
    pull = torch.randn_like(y)
    y.backward(pull)

    exact = torch.nn.Conv2d(8, 8, kernel, stride, padding, dilation, groups=8, bias=bias).double()
    exact.load_state_dict({name: value.double() for name, value in conv.state_dict().items()})
    z = x.detach().double().requires_grad_()
    exact(z).backward(pull.double())
    # What comes in is exact; what comes out is summed in float32 and rounded to `dtype` once.
    step = torch.finfo(dtype).eps
    assert x.grad is not None
    assert z.grad is not None
    sums = kernel**2 * 2.0**-23 * conv.weight.detach().abs().max() * pull.abs().max()
    assert ((x.grad.double() - z.grad).abs() <= step * z.grad.abs() + sums).all()
    places = y.shape[0] * y.shape[2] * y.shape[3]
    for mine, theirs in zip(conv.parameters(), exact.parameters(), strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        bound = step * theirs.grad.abs() + places * 2.0**-23 * pull.abs().max() * x.detach().abs().max().clamp_min(1)
        assert ((mine.grad.double() - theirs.grad).abs() <= bound).all()


def test_large_dilated_layers_in_bfloat16() -> None:
    """DeepLab's at 513 px, where PyTorch's own gradient of the filters was found wrong."""
    torch.manual_seed(0)
    conv = DepthwiseConv2d(960, 960, 3, 1, 2, 2, groups=960, bias=False).bfloat16()
    x = torch.randn(4, 960, 33, 33, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    y = conv(x)
    y.backward(torch.ones_like(y))
    exact = torch.nn.Conv2d(960, 960, 3, 1, 2, 2, groups=960, bias=False).double()
    z = exact(x.double())
    z.backward(torch.ones_like(z))
    assert conv.weight.grad is not None
    assert exact.weight.grad is not None
    bound = 2.0**-8 * exact.weight.grad.abs() + 4 * 33 * 33 * 2.0**-23 * x.abs().max()
    assert ((conv.weight.grad.double() - exact.weight.grad).abs() <= bound).all()


def test_shapes_without_a_quick_way_stay_with_torch() -> None:
    even = DepthwiseConv2d(4, 4, 2, 1, 1, 2, groups=4)  # padding 1 = 2 * (2 - 1) / 2, but no middle tap
    shrinking = DepthwiseConv2d(4, 4, 3, 1, 0, 2, groups=4)
    for conv in (even, shrinking):
        assert "Convolution" in type(conv(torch.randn(1, 4, 9, 9)).grad_fn).__name__


def test_only_strided_layers_in_bfloat16_leave_torchs_path(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    apply = _Strided.apply
    monkeypatch.setattr(_Strided, "apply", lambda *given: calls.append(given[1].shape[0]) or apply(*given))
    net = mobilenet_v2(classes=4)
    images = torch.randn(2, 3, 64, 64)
    net(images)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        net(images)
    assert calls == []
    with torch.autocast("cpu", torch.bfloat16):
        net(images).sum().backward()
    assert calls == [96, 144, 192, 576]
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_frozen_input_or_weight() -> None:
    conv = DepthwiseConv2d(4, 4, 3, 2, 1, groups=4, bias=False)
    images = torch.randn(1, 4, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        conv(images).sum().backward()  # an image needs no gradient
    assert conv.weight.grad is not None
    conv.requires_grad_(False)
    images.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        conv(images).sum().backward()
    assert images.grad is not None


GROWN = """
import sys
from mobilenet.training.run.allocator import keep_freed_memory
import resource, torch
kept = keep_freed_memory() if sys.argv[1] == "keep" else False
x = torch.ones(1 << 24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(32):
    y = x + 1
    del y
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc's")
def test_freed_memory_is_used_again_without_fresh_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning_fabric")
    monkeypatch.delenv("MALLOC_MMAP_MAX_", raising=False)

    def faults(mode: str) -> tuple[str, int]:
        done = subprocess.run([sys.executable, "-c", GROWN, mode], capture_output=True, text=True, check=True)
        kept, count = done.stdout.split()
        return kept, int(count)

    kept, few = faults("keep")
    if kept == "False":
        pytest.skip("the C library is not glibc, or the environment sets it")
    _, many = faults("leave")
    assert few < many / 3  # the first blocks have to come from somewhere, those after them must not
