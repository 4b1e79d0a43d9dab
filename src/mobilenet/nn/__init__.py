"""The family in torch. Needs the extra ``[train]``."""

from .network import TorchNetwork, executor, load, mobilenet_v1, mobilenet_v2, module

__all__ = ["TorchNetwork", "executor", "load", "mobilenet_v1", "mobilenet_v2", "module"]
