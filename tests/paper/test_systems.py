"""The systems of comparison against other people's code: parameters exactly, and multiply-adds where a hook can count them."""

from __future__ import annotations

import pytest

from mobilenet.paper.systems.classifiers import alexnet, googlenet, nasnet_a, shufflenet, squeezenet, vgg16, xception
from mobilenet.paper.systems.detectors import deeplab_resnet101, ssd_vgg16, yolo_v2
from mobilenet.paper.systems.sketch import Sketch, size

torch = pytest.importorskip("torch")
models = pytest.importorskip("torchvision").models


def params(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def counted(module, image) -> int:
    """Multiply-adds of a torch module, counted while it runs on tensors without memory."""
    total = 0

    def conv(layer, inputs, output):
        nonlocal total
        total += output[0].numel() * layer.weight[0].numel()

    def linear(layer, inputs, output):
        nonlocal total
        total += layer.weight.numel() * (inputs[0].numel() // layer.in_features)

    for each in module.modules():
        if isinstance(each, torch.nn.Conv2d):
            each.register_forward_hook(conv)
        elif isinstance(each, torch.nn.Linear):
            each.register_forward_hook(linear)
    module.eval()(image)
    return total


@pytest.mark.parametrize(
    ("sketch", "make", "side"),
    [
        (vgg16(), models.vgg16, 224),
        (squeezenet(224), models.squeezenet1_0, 224),
        (googlenet(norm=True, largest=3), lambda: models.googlenet(aux_logits=False, init_weights=False), 224),
    ],
)
def test_as_torchvision(sketch, make, side):
    with torch.device("meta"):
        module, image = make(), torch.zeros(1, 3, side, side)
    assert sketch.totals == (params(module), counted(module, image))


def test_xception_as_timm():
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        module, image = timm.create_model("legacy_xception"), torch.zeros(1, 3, 299, 299)
    assert xception().totals == (params(module), counted(module, image))


def test_ssd300_as_torchvision():
    detection = models.detection
    with torch.device("meta"):
        module = detection.ssd300_vgg16(weights=None, weights_backbone=None)
        assert ssd_vgg16(300, 90).totals.params == params(module)
        image = torch.zeros(1, 3, 300, 300)
        backbone = counted(module.backbone, image)
        maps = [torch.zeros(1, 512, 38, 38), *(torch.zeros(1, c, s, s) for c, s in
                                               ((1024, 19), (512, 10), (256, 5), (256, 3), (256, 1)))]  # fmt: skip
        heads = sum(
            counted(conv, each)
            for part in (module.head.classification_head, module.head.regression_head)
            for conv, each in zip(part.module_list, maps, strict=True)
        )
    assert ssd_vgg16(300, 90).totals.madds == backbone + heads


def test_nasnet_as_keras():
    """Keras's NASNetMobile, whose making takes half a minute: its trainable variables, and the multiply-adds of its layers."""
    assert nasnet_a().totals == (5_289_978, 563_638_816)


def test_resnet101_of_deeplab_as_torchvision():
    """torchvision begins with one 7x7 convolution of 64 channels, where the released DeepLab has three of 3x3, the last of 128;
    and its head has one more 3x3 convolution."""
    with torch.device("meta"):
        module = models.segmentation.deeplabv3_resnet101(weights=None, weights_backbone=None)
    root = (27 * 64 + 128) + (9 * 64 * 64 + 128) + (9 * 64 * 128 + 256) - (147 * 64 + 128) + 64 * 64 + 64 * 256
    assert deeplab_resnet101().totals.params == params(module) + root - (9 * 256 * 256 + 512)
    assert deeplab_resnet101(output_stride=8).totals.params == deeplab_resnet101().totals.params


def test_figures_of_the_authors():
    assert alexnet().totals.params == 60_965_224  # of the released Caffe model, with its two groups
    assert googlenet().totals.params == 6_998_552  # of the released Caffe model without its helping classifiers
    assert xception().totals.params == 22_855_952  # Table 3 of arXiv 1610.02357
    net = yolo_v2()
    channels = (net.totals.params - net.weights - 425) // 2
    assert 4 * (net.totals.params + 2 * channels) + 16 == 203_934_260  # bytes of yolov2.weights: its head, weights, statistics
    for width, stem, printed in ((1.5, 24, 292), (2, 48, 524)):  # Table 5 of arXiv 1707.01083, in millions
        assert shufflenet(width, stem=stem).totals.madds // 10**6 == printed


def test_shufflenet_against_a_module_of_torch():
    """Blocks as the paper's Figure 2 draws them, written once more with torch's layers."""
    nn = torch.nn

    def unit(inputs, outputs, stride, first):
        inner, after = outputs // 4, outputs - inputs if stride == 2 else outputs
        return nn.Sequential(
            nn.Conv2d(inputs, inner, 1, groups=1 if first else 3, bias=False), nn.BatchNorm2d(inner),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False), nn.BatchNorm2d(inner),
            nn.Conv2d(inner, after, 1, groups=3, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip

    with torch.device("meta"):
        stem = nn.Sequential(nn.Conv2d(3, 48, 3, 2, 1, bias=False), nn.BatchNorm2d(48))
        total = [params(stem), counted(stem, torch.zeros(1, 3, 224, 224))]
        channels, side = 48, 56
        for outputs, repeats in ((480, 4), (960, 8), (1920, 4)):
            for repeat in range(repeats):
                module = unit(channels, outputs, 1 if repeat else 2, channels == 48)
                total[0] += params(module)
                total[1] += counted(module, torch.zeros(1, channels, side, side))
                channels, side = outputs, side if repeat else side // 2
    assert shufflenet(2, stem=48).totals == (total[0] + 1920 * 1000 + 1000, total[1] + 1920 * 1000)


def test_sizes_as_torch():
    """Every kind of padding against torch's own arithmetic, over small sizes."""
    for side in range(7, 20):
        x = torch.zeros(1, 1, side, side, device="meta")
        for kernel, stride, padding in ((3, 2, 0), (3, 2, 1), (2, 2, 0), (3, 1, 1)):
            for ceil in (False, True):
                pooled = torch.nn.functional.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil)
                assert size(side, kernel, stride, padding, ceil=ceil) == pooled.shape[2]
        for kernel, stride, padding, dilation in ((3, 2, 1, 1), (3, 1, 2, 2), (5, 2, 0, 1), (4, 1, 1, 1)):
            weight = torch.zeros(1, 1, kernel, kernel, device="meta")
            found = torch.nn.functional.conv2d(x, weight, None, stride, padding, dilation).shape[2]
            assert size(side, kernel, stride, padding, dilation) == found


def test_what_costs_nothing():
    net = Sketch(8, norm=True)
    x = net.conv(net.image, 6, 3, 2)
    before = net.totals
    y = net.shuffle(net.pool(net.add(x, x), 3, 1), 3)
    assert net.fold(net.concat(y, x), 2) == (48, 2, 2)
    assert net.totals == before == (3 * 9 * 6 + 12, 4 * 4 * 6 * 27)
    with pytest.raises(AssertionError):
        net.shuffle(x, 4)
