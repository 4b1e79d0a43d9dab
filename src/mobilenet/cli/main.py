"""The command ``mobilenet``."""

from . import predict  # noqa: F401, its commands join the group
from .shell import main

__all__ = ["main"]
