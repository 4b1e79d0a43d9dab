"""One process or many: who they are (torchrun says it), how they agree, and batch norm over all of them.

Every process runs the same loop on its own share of each batch; gradients are averaged by PyTorch's DistributedDataParallel,
which Lightning Fabric sets up. A collective stands only where all processes meet at the same step.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn

from ...nn.blocks import replace_norms

T = TypeVar("T")
M = TypeVar("M", bound=nn.Module)


def machine(precision: Any, accelerator: str = "auto") -> Fabric:
    """Fabric for the processes that torchrun started, or for this one alone; on GPUs where there are any."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # what it says of itself, the recipe says
    if not TorchElasticEnvironment.detect():
        fabric = Fabric(accelerator=accelerator, devices=1, precision=precision, plugins=[LightningEnvironment()])
        fabric.launch()
        return fabric
    world, local = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if world % local:
        raise ValueError(f"{world} processes, {local} of them on this node: start as many on every node (--nproc-per-node)")
    fabric = Fabric(
        accelerator=accelerator,
        devices=local,
        num_nodes=world // local,
        precision=precision,
        strategy=DDPStrategy(gradient_as_bucket_view=True),
        plugins=[TorchElasticEnvironment()],
    )
    fabric.launch()
    return fabric


def gather(fabric: Fabric, value: T) -> list[T]:
    """Every process's `value`, in the order of their ranks, on all of them. Plain Python objects and arrays."""
    if fabric.world_size == 1:
        return [value]
    values: list[Any] = [None] * fabric.world_size
    dist.all_gather_object(values, value)
    return values


def mean_over(fabric: Fabric) -> Callable[[Tensor], Tensor]:
    """The mean of a () tensor over all processes, who must ask for it together."""
    if fabric.world_size == 1:
        return lambda count: count
    return lambda count: cast(Tensor, fabric.all_reduce(count, reduce_op="mean"))


def close(fabric: Fabric) -> None:
    """Leaves the process group, where there is one."""
    if fabric.world_size > 1 and dist.is_initialized():
        dist.destroy_process_group()


class Interruptions:
    """While it is entered, Ctrl-C and SIGTERM are noted in `asked` instead of ending the process; a second one ends it.

    Processes that it forks meanwhile (those that read pictures) end as always.
    """

    def __init__(self) -> None:
        self.asked: str | None = None
        self.process = os.getpid()
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Interruptions:
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self.note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}

    def note(self, number: int, _: FrameType | None) -> None:
        if self.asked is not None or os.getpid() != self.process:
            self.__exit__()
            os.kill(os.getpid(), number)
        self.asked = signal.Signals(number).name


def synchronised(net: M, device: torch.device) -> M:
    """`net` with batch norm over the pictures of all processes; on GPUs PyTorch's own, which the CPU has not."""
    if device.type == "cuda":
        return cast(M, nn.SyncBatchNorm.convert_sync_batchnorm(net))  # type: ignore[no-untyped-call]
    replace_norms(net, SyncedNorm.like)
    return net


class Summed(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of theirs, since the result entered all their losses."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor) -> Tensor:
        everyone = mine.clone()
        dist.all_reduce(everyone)
        return everyone

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return Summed.forward(ctx, gradients[0])


def summed(mine: Tensor) -> Tensor:
    everyone: Tensor = Summed.apply(mine)
    return everyone


class SyncedNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm whose mean and variance are those of all processes' pictures together; each must bring as many.

    (N, C, H, W) float -> the same. Statistics are made in float32, mean first, so that the variance has no cancellation.
    """

    @classmethod
    def like(cls, norm: nn.BatchNorm2d) -> SyncedNorm:
        """The same parameters and statistics."""
        made = cls(norm.num_features, norm.eps, norm.momentum)
        made._parameters, made._buffers, made.training = norm._parameters, norm._buffers, norm.training
        return made

    def _check_input_dim(self, x: Tensor) -> None:
        assert x.ndim == 4

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        y = x.float()
        count = y.numel() // y.shape[1] * dist.get_world_size()
        mean: Tensor = summed(y.sum((0, 2, 3))) / count
        centred = y - mean[:, None, None]
        variance: Tensor = summed(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            self.num_batches_tracked += 1
            momentum = self.momentum or 0.0
            self.running_mean.lerp_(mean.detach(), momentum)
            self.running_var.lerp_(variance.detach() * (count / max(count - 1, 1)), momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        normed: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return normed.to(x.dtype)
