"""Names of settings that other libraries have: understood, or answered with what stands in their place here."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import UsageError
from ...settings import paths

ALIASES = {
    "learning_rate": "lr", "base_lr": "lr", "lr0": "lr", "max_lr": "lr",
    "batch_size": "batch", "bs": "batch", "train_batch_size": "batch",
    "image_size": "resolution", "img_size": "resolution", "imgsz": "resolution", "input_size": "resolution",
    "max_epochs": "epochs", "num_epochs": "epochs", "n_epochs": "epochs", "num_train_epochs": "epochs",
    "num_workers": "workers", "dataloader_num_workers": "workers",
    "early_stopping": "patience", "early_stopping_patience": "patience",
    "gradient_accumulation_steps": "accumulate", "accumulate_grad_batches": "accumulate", "grad_accum": "accumulate",
    "gradient_clip_val": "clip", "max_grad_norm": "clip", "clip_grad_norm": "clip",
    "label_smoothing": "loss.smoothing",
    "ema_decay": "averaging.decay",
    "wd": "weight_decay", "l2": "weight_decay",
    "opt": "optimizer", "optim": "optimizer", "optimiser": "optimizer",
    "scheduler": "schedule", "lr_scheduler": "schedule", "lr_schedule": "schedule",
    "warmup_epochs": "warmup.epochs",
    "width_mult": "network.settings.width", "width_multiplier": "network.settings.width", "alpha": "network.settings.width",
    "arch": "network.architecture", "backbone": "network.architecture",
    "pretrained": "network.start", "weights": "network.start", "init_from": "network.start",
    "random_seed": "seed", "random_state": "seed",
    "val_split": "val_share", "validation_split": "val_share", "val_fraction": "val_share", "val_ratio": "val_share",
    "cache": "in_memory", "torch_compile": "compile",
}  # fmt: skip
"""The path of a setting by a name that people try."""

GPU = "a GPU is used if there is one; CUDA_VISIBLE_DEVICES chooses among several, and an empty one chooses the CPU"
ANSWERS = {
    "amp": "numbers are chosen by precision: bf16-mixed or 32-true",
    "fp16": "numbers are chosen by precision: bf16-mixed or 32-true",
    "bf16": "numbers are chosen by precision: bf16-mixed or 32-true",
    "classes": "the classes come from the labels",
    "num_classes": "the classes come from the labels",
    "nc": "the classes come from the labels",
    "names": "the classes come from the labels",
    "device": GPU,
    "accelerator": GPU,
    "gpus": "a GPU is used if there is one; torchrun starts a process for each of several",
    "ema": "the average of the weights is averaging: averaging.decay=0.99, or averaging=null",
    "freeze": "no layers are frozen; network.fixed_norms=true keeps the start's batch norm statistics",
    "data": "the images are given by --data",
    "model": "the model to start from is given by --model, or by network.start",
    "time": "the time is given by --minutes, of the recipe finetune",
    "max_time": "the time is given by --minutes, of the recipe finetune",
    "project": "the folder of the run is given by --out",
    "output_dir": "the folder of the run is given by --out",
    "resume": "a run goes on with --resume",
}
"""What stands in the place of a setting that is none here."""


def current_names(changes: Mapping[str, str], settings: Mapping[str, object]) -> dict[str, str]:
    """`changes` with the names that `settings`, a recipe's JSON, has.

    UsageError for what is no setting here, or is given under two names.
    """
    known = {ending for path in paths(settings) for ending in (path, path.rpartition(".")[2])}
    found, given = dict[str, str](), dict[str, str]()
    for name, value in changes.items():
        key, path = name.replace("-", "_"), name
        if name not in known:
            if key in ANSWERS:
                raise UsageError(f"setting {name!r}: {ANSWERS[key]}")
            path = ALIASES.get(key, name)
        if path in found:
            raise UsageError(f"settings {given[path]!r} and {name!r} are the same, {path}; give one")
        found[path], given[path] = value, name
    return found
