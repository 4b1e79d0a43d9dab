"""One process or many: how they start (with torchrun), how they communicate, and batch norm over all of them.

Every process runs the same loop on its own share of each batch; gradients are averaged by PyTorch's DistributedDataParallel,
which Lightning Fabric sets up. A collective is called only at points that all processes reach in the same step.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from types import FrameType
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn

from ...errors import UsageError
from ...nn.blocks import replace_norms
from ..losses import MeanOverProcesses, one_process
from ..recipes.recipe import Precision

T = TypeVar("T")
M = TypeVar("M", bound=nn.Module)


def launch(precision: Precision, accelerator: str = "auto") -> Fabric:
    """Fabric for the processes that torchrun started, or for this one alone; on GPUs if there are any."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it repeats settings of the recipe
    if not TorchElasticEnvironment.detect():
        fabric = Fabric(accelerator=accelerator, devices=1, precision=precision, plugins=[LightningEnvironment()])
        fabric.launch()
        return fabric
    world, local = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if world % local:
        raise UsageError(
            f"{world} processes, {local} on this node: every node must start as many; give all one --nproc-per-node"
        )
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
    """The `value` (Python objects and arrays) of every process, in the order of their ranks.

    Collective: every process must call it.
    """
    if fabric.world_size == 1:
        return [value]
    values: list[Any] = [None] * fabric.world_size
    dist.all_gather_object(values, value)
    return values


def mean_over(fabric: Fabric) -> MeanOverProcesses:
    """The mean of a scalar tensor over all processes. Collective: every process must call it."""
    if fabric.world_size == 1:
        return one_process
    return lambda count: cast(Tensor, fabric.all_reduce(count, reduce_op="mean"))


def close(fabric: Fabric) -> None:
    """Leaves the process group if there is one."""
    if fabric.world_size > 1 and dist.is_initialized():
        dist.destroy_process_group()


class Interruptions:
    """A context in which the first Ctrl-C or SIGTERM is stored instead of ending the process; a second one ends it.

    Processes forked meanwhile (the loader's workers) end as usual.

    Attributes:
        signal: name of the signal that was received, or None.
    """

    def __init__(self) -> None:
        self.signal: str | None = None
        self.pid = os.getpid()
        self.handlers: dict[int, Any] = {}

    def __enter__(self) -> Interruptions:
        if threading.current_thread() is threading.main_thread():
            self.handlers = {number: signal.signal(number, self.note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.handlers = {}

    def note(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None or os.getpid() != self.pid:
            self.__exit__()
            os.kill(os.getpid(), number)
        self.signal = signal.Signals(number).name


def with_synced_norms(net: M, device: torch.device) -> M:
    """`net` with batch norm over the images of all processes: PyTorch's SyncBatchNorm on GPUs; it has no CPU version."""
    if device.type == "cuda":
        return cast(M, nn.SyncBatchNorm.convert_sync_batchnorm(net))  # type: ignore[no-untyped-call]
    replace_norms(net, SyncedNorm.like)
    return net


class AllReduceSum(torch.autograd.Function):
    """The sum of a tensor over all processes. Its gradient is the sum of theirs, since the result enters all their losses."""

    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        total = local.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return AllReduceSum.forward(ctx, gradients[0])


def all_reduce_sum(local: Tensor) -> Tensor:
    total: Tensor = AllReduceSum.apply(local)
    return total


class SyncedNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm with the mean and variance of all processes' images together; every process must have as many.

    (N, C, H, W) float -> the same. Statistics are computed in float32, the mean first, to avoid cancellation in the variance.
    """

    @classmethod
    def like(cls, norm: nn.BatchNorm2d) -> SyncedNorm:
        """The same parameters and statistics."""
        synced = cls(norm.num_features, norm.eps, norm.momentum)
        synced._parameters, synced._buffers, synced.training = norm._parameters, norm._buffers, norm.training
        return synced

    def _check_input_dim(self, x: Tensor) -> None:
        assert x.ndim == 4

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        y = x.float()
        count = y.numel() // y.shape[1] * dist.get_world_size()
        mean: Tensor = all_reduce_sum(y.sum((0, 2, 3))) / count
        centered = y - mean[:, None, None]
        variance: Tensor = all_reduce_sum(centered.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            self.num_batches_tracked += 1
            momentum = self.momentum or 0.0
            self.running_mean.lerp_(mean.detach(), momentum)
            self.running_var.lerp_(variance.detach() * (count / max(count - 1, 1)), momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        normalized: Tensor = centered * scale[:, None, None] + self.bias[:, None, None]
        return normalized.to(x.dtype)
