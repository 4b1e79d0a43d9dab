"""timm's and transformers' JSON beside a weight file: settings, preprocessing and labels that the tensors do not tell."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..images.preprocessing import Interpolation, Preprocessing
from ..limits import TooLarge, check_limit, parse_json
from ..modelfile import ModelFileError

RESAMPLE: dict[int, Interpolation] = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers
SETTINGS = {
    "layer_norm_eps": "epsilon",
    "output_stride": "output_stride",
    "hidden_act": "activation",
    "min_depth": "min_depth",
}
"""transformers' name of a setting, and the builder's."""

Config = Mapping[str, Any]
"""A JSON object as it was read: its values have not been checked."""


def read_config(path: Path) -> Config:
    """The ``config.json`` beside the weights at `path`; empty if there is none or it is of another family."""
    config = read_json(path.with_name("config.json"))
    names = str(config.get("model_type", "")) + str(config.get("architecture", ""))
    return config if "mobilenet" in names else {}


def read_json(path: Path) -> Config:
    try:
        with path.open("rb") as file:
            check_limit("max_json_bytes", os.fstat(file.fileno()).st_size, f"{path}, bytes", ModelFileError)
            config = parse_json(file.read())
    except FileNotFoundError:
        return {}
    except ModelFileError:
        raise
    except TooLarge as error:
        raise ModelFileError(f"{path}: {error}") from error
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path}: cannot be read as JSON ({error}); mend it or move it away") from error
    return config if isinstance(config, dict) else {}


def config_settings(config: Config) -> dict[str, object]:
    """What transformers' configuration says of the network beyond its tensors."""
    if "model_type" not in config:
        return {}
    settings = {name: config[key] for key, name in SETTINGS.items() if key in config}
    if "tf_padding" in config:
        settings["padding"] = "tensorflow" if config["tf_padding"] else "pytorch"
    return settings


def config_preprocessing(config: Config, path: Path, default: Preprocessing) -> Preprocessing:
    """timm's ``pretrained_cfg``, or transformers' ``preprocessor_config.json``, over the layout's own."""
    try:
        if timm := config.get("pretrained_cfg"):
            size = int(timm["input_size"][-2]), int(timm["input_size"][-1])
            return Preprocessing(
                size=size,
                fit="center_crop",
                resize=int(min(size) / timm["crop_pct"]),
                interpolation=timm["interpolation"],
                mean=tuple(timm["mean"]),
                std=tuple(timm["std"]),
            )
        if "model_type" in config and (content := read_json(path.with_name("preprocessor_config.json"))):
            crop = content["crop_size"]
            return replace(
                default,
                size=(crop["height"], crop["width"]),
                resize=content["size"]["shortest_edge"],
                interpolation=RESAMPLE[content.get("resample", 2)],
                mean=tuple(content["image_mean"]),
                std=tuple(content["image_std"]),
            )
    except (KeyError, TypeError, IndexError, ZeroDivisionError, OverflowError) as error:
        raise ModelFileError(
            f"{path.parent}: configuration beside the weights does not parse ({error!r}); move it away"
        ) from error
    return default


def config_labels(config: Config) -> list[str]:
    """A name for each output, as far as the configuration has any."""
    names = config.get("id2label") or config.get("label_names") or []
    if isinstance(names, dict):
        names = list(names.values())
    return [str(name) for name in names] if isinstance(names, list) else []
