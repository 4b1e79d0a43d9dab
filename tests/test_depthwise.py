"""The depthwise convolution with its own backward pass, against torch's in float64; and memory that stays."""

from __future__ import annotations

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from mobilenet.nn import mobilenet_v2  # noqa: E402
from mobilenet.nn.depthwise import DepthwiseConv2d, _Strided  # noqa: E402

BF16 = 2.0**-8  # unit roundoff


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "padding", "side", "bias"),
    [(3, 2, 1, 1, 16, False), (3, 2, 1, 0, 17, True), (3, 2, 1, 1, 15, False), (3, 2, 2, 2, 13, True), (5, 3, 1, 2, 20, False)],
)
def test_gradients_are_those_of_float64(kernel: int, stride: int, dilation: int, padding: int, side: int, bias: bool) -> None:
    torch.manual_seed(0)
    conv = DepthwiseConv2d(8, 8, kernel, stride, padding, dilation, groups=8, bias=bias)
    x = torch.randn(2, 8, side, side).bfloat16().float().requires_grad_()
    with torch.no_grad():
        conv.weight.copy_(conv.weight.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(x)
    assert y.dtype == torch.bfloat16
    assert "_Strided" in type(y.grad_fn).__name__
    pull = torch.randn_like(y)
    y.backward(pull)

    exact = torch.nn.Conv2d(8, 8, kernel, stride, padding, dilation, groups=8, bias=bias).double()
    exact.load_state_dict({name: value.double() for name, value in conv.state_dict().items()})
    z = x.detach().double().requires_grad_()
    exact(z).backward(pull.double())
    # What comes in is exact in bfloat16; what comes out is rounded to it once, and float32's sums are finer by far.
    assert x.grad is not None
    assert z.grad is not None
    torch.testing.assert_close(x.grad.double(), z.grad, rtol=BF16, atol=BF16 * 1e-3)
    places = y.shape[0] * y.shape[2] * y.shape[3]
    for mine, theirs in zip(conv.parameters(), exact.parameters(), strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        bound = BF16 * theirs.grad.abs() + places * 2.0**-23 * pull.abs().max() * x.abs().max()
        assert ((mine.grad.double() - theirs.grad).abs() <= bound).all()


def test_only_strided_depthwise_layers_in_bfloat16_leave_torchs_path(monkeypatch: pytest.MonkeyPatch) -> None:
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
        conv(images).sum().backward()  # a picture wants no gradient
    assert conv.weight.grad is not None
    conv.requires_grad_(False)
    images.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        conv(images).sum().backward()
    assert images.grad is not None


GROWN = """
import sys
from mobilenet.training.allocator import keep_freed_memory
import resource, torch
kept = keep_freed_memory() if sys.argv[1] == "keep" else False
x = torch.ones(1 << 22)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(64):
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
