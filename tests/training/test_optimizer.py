"""Optimizers, averages and schedules against their formulas, in float64."""

from __future__ import annotations

import copy
import math

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from mobilenet import nn  # noqa: E402
from mobilenet.training.optim import optimizer  # noqa: E402
from mobilenet.training.optim.ema import Averaging, WeightAverage  # noqa: E402
from mobilenet.training.optim.optimizer import SGD, AdamW, Muon, RMSProp, parameter_groups  # noqa: E402
from mobilenet.training.optim.schedule import Constant, Cosine, Exponential, OneCycle, Poly, Steps, Warmup, factor  # noqa: E402
from mobilenet.training.optim.update_rules import TensorFlowRMSProp, orthogonal  # noqa: E402

DOUBLE = 2.0**-50  # a few roundings of float64, relative


def toy():
    return nn.mobilenet_v2(width=0.35, resolution=32, classes=3, rows=[(1, 8, 1, 1), (6, 8, 2, 2)])


def test_rmsprop_is_tensorflows():
    """Against the formula of tf.train.RMSPropOptimizer, one number at a time."""
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(7, dtype=torch.float64, generator=generator, requires_grad=True)
    decay, momentum, epsilon, penalty = 0.9, 0.8, 1e-3, 0.05
    stepper = TensorFlowRMSProp([w], lr=0.1, decay=decay, momentum=momentum, epsilon=epsilon, weight_decay=penalty)
    mine, square, moment = w.detach().tolist(), [1.0] * 7, [0.0] * 7
    for number in range(20):
        rate = 0.1 * 0.9**number
        stepper.param_groups[0]["lr"] = rate
        gradient = torch.randn(7, dtype=torch.float64, generator=generator)
        w.grad = gradient.clone()
        stepper.step()
        for i, raw in enumerate(gradient.tolist()):
            g = raw + penalty * mine[i]
            square[i] = decay * square[i] + (1 - decay) * g * g
            moment[i] = momentum * moment[i] + rate * g / math.sqrt(square[i] + epsilon)
            mine[i] -= moment[i]
        assert w.tolist() == pytest.approx(mine, rel=20 * 20 * DOUBLE)


def test_rmsprop_is_not_pytorchs():
    """The two differ: the first step of both, from the same gradient."""
    ours, theirs = (torch.ones(1, dtype=torch.float64, requires_grad=True) for _ in range(2))
    ours.grad = theirs.grad = torch.full((1,), 0.5, dtype=torch.float64)
    TensorFlowRMSProp([ours], lr=0.1, decay=0.9, momentum=0.9, epsilon=1.0).step()
    torch.optim.RMSprop([theirs], lr=0.1, alpha=0.9, momentum=0.9, eps=1.0).step()
    assert 1 - ours.item() == pytest.approx(0.05 / math.sqrt(0.9 + 0.025 + 1.0), rel=DOUBLE * 8)
    assert 1 - theirs.item() == pytest.approx(0.05 / (math.sqrt(0.025) + 1.0), rel=DOUBLE * 8)


def test_rmsprop_skips_what_has_no_gradient_and_runs_a_closure():
    used, unused = (torch.ones(2, requires_grad=True) for _ in range(2))
    stepper = TensorFlowRMSProp([used, unused], lr=0.1, decay=0.9, momentum=0.9, epsilon=1.0)

    def closure():
        loss = used.sum()
        loss.backward()
        return loss

    assert stepper.step(closure) == 2
    assert unused.tolist() == [1, 1]
    assert used[0] < 1
    with pytest.raises(ValueError, match="decay 1"):
        RMSProp(decay=1.0)


@pytest.mark.parametrize("kind", [SGD(0.9, True), RMSProp(), AdamW((0.8, 0.95), 1e-6), Muon(0.8)])
def test_every_optimizer_takes_its_settings_and_lowers_a_loss(kind):
    torch.manual_seed(0)
    net = toy()
    stepper = optimizer.build(kind, net, 0.01, 1e-4, "weights")
    settings = stepper.param_groups[0]
    assert settings["lr"] == 0.01
    decays = [group["weight_decay"] for group in stepper.param_groups]
    assert decays == ([1e-4, 1e-4, 0.0] if isinstance(kind, Muon) else [1e-4, 0.0])
    if isinstance(kind, AdamW):
        assert (settings["betas"], settings["eps"]) == ((0.8, 0.95), 1e-6)
    else:
        assert settings["momentum"] == kind.momentum
    x, losses = torch.randn(8, 3, 32, 32), []
    for _ in range(8):
        loss = torch.nn.functional.cross_entropy(net(x), torch.arange(8) % 3)
        stepper.zero_grad()
        loss.backward()
        stepper.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_an_orthogonal_step_keeps_the_directions_and_levels_their_sizes():
    """Against the singular value decomposition: the same singular vectors, every singular value near 1, tall or wide."""
    generator = torch.Generator().manual_seed(0)
    for shape in ((40, 24), (24, 40), (8, 27)):
        matrix = torch.randn(shape, generator=generator)
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        inside = left.T @ orthogonal(matrix, 5) @ right.T
        kept = inside.diagonal()
        assert kept.min() > 0.65
        assert kept.max() < 1.2
        assert (inside - torch.diag(kept)).norm() < 0.05 * inside.norm()  # bfloat16: 2^-9 for each of some thirty roundings
    assert not orthogonal(torch.zeros(4, 6), 5).any()


def test_muon_is_pytorchs_on_matrices_and_adamw_beside_them():
    """Two libraries' optimizers against one of ours, over changing learning rates, gradients of any size and weight decay."""
    pytorchs = getattr(torch.optim, "Muon", None)
    if pytorchs is None:
        pytest.skip("this torch has no Muon to compare with")
    torch.manual_seed(0)
    net, twin = toy(), toy()
    twin.load_state_dict(net.state_dict())
    begun = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    ours = optimizer.build(Muon(0.9, 4, (0.8, 0.95), 1e-6), net, 0.1, 0.3, "weights")
    full = [part.weight for part in twin.modules() if isinstance(part, torch.nn.Conv2d) and part.groups == 1]
    matrices = [torch.nn.Parameter(weight.detach().flatten(1)) for weight in full]
    apart = {id(weight) for weight in full}
    kept = parameter_groups(twin, 0.3, "weights")
    for group in kept:
        group["params"] = [p for p in group["params"] if id(p) not in apart]
    theirs = [
        pytorchs(matrices, 0.1, 0.3, 0.9, ns_steps=4, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(kept, 0.1, (0.8, 0.95), 1e-6),
    ]
    for number in range(5):
        for group in [*ours.param_groups, *theirs[0].param_groups, *theirs[1].param_groups]:
            group["lr"] = 0.1 / (number + 1)
        for mine, its in zip(net.parameters(), twin.parameters(), strict=True):
            mine.grad = torch.randn_like(mine) * 10.0 ** (number - 3)
            its.grad = mine.grad.clone()
        for matrix, weight in zip(matrices, full, strict=True):
            matrix.grad = weight.grad.flatten(1)
        for each in (ours, *theirs):
            each.step()
    with torch.no_grad():
        for matrix, weight in zip(matrices, full, strict=True):
            weight.copy_(matrix.view(weight.shape))
    for (name, mine), its in zip(net.named_parameters(), twin.parameters(), strict=True):
        if id(its) in apart:  # the same steps, but for bfloat16's rounding before and after the norm is taken
            assert (mine - its).norm() < 0.05 * (its - begun[name]).norm(), name
        else:
            torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


def test_which_parameters_have_weight_decay():
    """By name: every parameter once, with weight decay as the four rules say."""
    net = toy()
    names = {id(parameter): name for name, parameter in net.named_parameters()}

    def shrunk(decayed):
        groups = parameter_groups(net, 0.1, decayed)
        listed = [names[id(p)] for group in groups for p in group["params"]]
        assert sorted(listed) == sorted(names.values())
        return {names[id(p)] for group in groups if group["weight_decay"] for p in group["params"]}

    weights = {name for name in names.values() if name.endswith(("conv.weight", "classifier.weight"))}
    assert shrunk("weights") == weights
    assert shrunk("dense") == {name for name in weights if ".depthwise." not in name}
    assert shrunk("all_but_norms") == weights | {"classifier.bias"}
    assert shrunk("all") == set(names.values())


def test_the_average_in_closed_form():
    """After n updates with decay d the average of constant weights w, begun at v, is w + d^n (v - w); statistics too."""
    net = torch.nn.BatchNorm2d(3).double()
    average = WeightAverage(net, Averaging(decay=0.75, every=2, ramp=False))
    with torch.no_grad():
        for value in (net.weight, net.running_mean):
            value.add_(4.0)
    before = {name: value.clone() for name, value in average.net.state_dict().items()}
    for step in range(1, 11):
        average.update(step)
    for name in ("weight", "running_mean"):
        wanted = net.state_dict()[name] + 0.75**5 * (before[name] - net.state_dict()[name])
        assert torch.allclose(average.net.state_dict()[name], wanted, rtol=10 * DOUBLE, atol=0)
    assert not any(parameter.requires_grad for parameter in average.net.parameters())


def test_the_average_keeps_a_share_of_the_start_and_can_be_resumed():
    """start s: s v + (1 - s) times the average without it, whatever the weights do; the same from a saved state."""
    net = torch.nn.BatchNorm2d(3).double()
    settings = {"decay": 0.9, "ramp": True}
    first = {name: value.clone() for name, value in net.state_dict().items()}
    plain, kept = WeightAverage(net, Averaging(**settings)), WeightAverage(net, Averaging(**settings, start=0.3))
    resumed = None
    for step in range(1, 11):
        with torch.no_grad():
            net.weight.add_(step)
            net.running_var.mul_(1.1)
        for average in (plain, kept, *([resumed] if resumed else [])):
            average.update(step)
        if step == 4:
            resumed = WeightAverage(net, Averaging(**settings, start=0.3))
            resumed.load_state_dict(copy.deepcopy(kept.state_dict()))
    for name in ("weight", "running_var"):
        wanted = 0.3 * first[name] + 0.7 * plain.net.state_dict()[name]
        assert torch.allclose(kept.net.state_dict()[name], wanted, rtol=20 * DOUBLE, atol=0)
        assert torch.equal(kept.net.state_dict()[name], resumed.net.state_dict()[name])
    with pytest.raises(ValueError, match="start 1"):
        Averaging(start=1.0)


def test_the_average_ramps_up_as_tensorflows():
    """min(decay, (1 + n) / (10 + n)): 0.1 at first, the decay from n = (10 decay - 1) / (1 - decay) on."""
    averaging = Averaging(decay=0.9)
    assert averaging.share(0) == 0.1
    assert averaging.share(10) == 11 / 20
    assert averaging.share(79) < 0.9 == averaging.share(80) == averaging.share(10**6)
    assert Averaging(decay=0.9, ramp=False).share(0) == 0.9
    with pytest.raises(ValueError, match="power 1"):
        Averaging(ramp=False, power=1.0)
    with pytest.raises(ValueError, match="decay 1"):
        Averaging(decay=1.0)


@pytest.mark.parametrize("power", [0, 1])
def test_updates_count_in_proportion_to_a_power(power):
    """The weights before the first update count 1 ** power, those after update number k, from 1, (k + 1) ** power."""
    averaging, shares = Averaging(decay=0.999, power=float(power)), [1.0]
    for update in range(20):
        old = averaging.share(update)
        shares = [share * old for share in shares] + [1 - old]
    counts = [(k + 1) ** power for k in range(21)]
    assert shares == pytest.approx([count / sum(counts) for count in counts])


def at(schedule, t, epochs=10.0):
    return schedule(t, epochs)


def test_schedules_in_closed_form():
    assert at(Constant(), 7) == 1
    assert at(Exponential(0.98, 1, True), 3.999) == pytest.approx(0.98**3)
    assert at(Exponential(0.98, 1, False), 2.5) == pytest.approx(0.98**2.5)
    assert at(Exponential(0.94, 2.5, True), 5.0) == pytest.approx(0.94**2)
    assert [at(Steps((0.5, 0.75), 0.1), t) for t in (4.99, 5, 7.4, 7.5)] == pytest.approx([1, 0.1, 0.1, 0.01])
    assert at(Cosine(), 2.5) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert at(Cosine(final=0.1), 10) == pytest.approx(0.1)
    assert at(Poly(0.9), 4) == pytest.approx(0.6**0.9)
    assert at(Poly(1.0, final=0.2), 5) == pytest.approx(0.6)
    cycle = OneCycle(rise=0.2, start=0.1, final=0.01)
    assert [at(cycle, t) for t in (0, 1, 2, 6, 10)] == pytest.approx([0.1, 0.55, 1.0, 0.505, 0.01])


def test_pytorch_schedules_agree():
    """Step by step with torch's own cosine, exponential and polynomial schedulers, one epoch of theirs to a step."""
    schedulers = torch.optim.lr_scheduler
    for mine, theirs in (
        (Cosine(), lambda o: schedulers.CosineAnnealingLR(o, 10)),
        (Exponential(0.9, 1, True), lambda o: schedulers.ExponentialLR(o, 0.9)),
        (Poly(0.9), lambda o: schedulers.PolynomialLR(o, 10, 0.9)),
    ):
        stepper = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler = theirs(stepper)
        for step in range(10):
            assert factor(mine, Warmup(), step, 1, 10) == pytest.approx(stepper.param_groups[0]["lr"], rel=1e-12)
            stepper.step()
            scheduler.step()


def test_the_papers_learning_rate():
    """0.045 x 0.98 after every epoch, exactly at its last step, even if steps are no binary fractions of an epoch."""
    schedule, steps = Exponential(0.98, 1.0, True), 13345  # 1,281,167 images in batches of 96
    for epoch in (0, 1, 2, 99, 411):
        for step in (epoch * steps, (epoch + 1) * steps - 1):
            assert 0.045 * factor(schedule, Warmup(), step, steps, 412) == pytest.approx(0.045 * 0.98**epoch, rel=1e-12)


def test_warm_up_rises_and_is_followed_by_the_schedule():
    """Linear from `start`, then the schedule over the rest, as torch's SequentialLR of LinearLR and the schedule."""
    warm = Warmup(epochs=2, start=0.1)
    values = [factor(Cosine(), warm, step, 4, 10) for step in range(40)]
    assert values[:8] == pytest.approx([0.1 + 0.9 * step / 8 for step in range(8)])
    assert values[8:] == pytest.approx([(1 + math.cos(math.pi * step / 32)) / 2 for step in range(32)])


@pytest.mark.parametrize(
    "made",
    [
        lambda: Exponential(rate=0.0),
        lambda: Exponential(every=0.0),
        lambda: Steps((1.5,)),
        lambda: Cosine(final=2.0),
        lambda: Poly(power=0.0),
        lambda: OneCycle(rise=0.0),
        lambda: OneCycle(start=-1.0),
        lambda: Warmup(epochs=-1.0),
    ],
)
def test_settings_out_of_range_are_rejected(made):
    with pytest.raises(ValueError, match="must be"):
        made()
