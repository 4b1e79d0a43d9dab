"""The one training loop, for every task, from one process to many.

It is a straight line: processes and folder, data, network, where the weights begin, steps, model file. What is random in a
step is drawn from (seed, step, process) alone, so a run that was interrupted ends with the same bits as one that was not.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor

from ... import modelfile, nn
from ...files import WriteError, write_atomically
from ...modelfile import ModelFile, ModelFileError
from ...nn.blocks import FixedNorm, replace_norms
from ..input import Dataset, ImagesLost, InMemory, Loader, LoaderSettings, open_dataset, shapes, subset
from ..objectives import Objective, objective_of
from ..optim import optimizer
from ..optim.ema import WeightAverage
from ..optim.schedule import factor
from ..recipes.recipe import Recipe
from ..teacher import teacher
from . import checkpoint, report
from .allocator import keep_freed_memory
from .checkpoint import TrainingError
from .distributed import Interruptions, close, machine, mean_over, synchronised
from .log import Progress, RunLog, duration
from .monitor import LossWindow, StepLosses, Throughput
from .scoring import Scored, score
from .start import take_weights

MODEL, RECIPE = "model.safetensors", "recipe.json"
LOG_STEPS = 20


def train(recipe: Recipe, data: Path | str | None, out: Path, resume: bool = False, accelerator: str = "auto") -> Path:
    """Trains by `recipe` on `data` (None for shapes made on the fly) and writes everything to the folder `out`.

    The folder gets ``recipe.json``, ``log.jsonl``, ``checkpoint.pt``, TensorBoard's files, pictures, and at the end the model
    file, whose path is returned. `resume` goes on from the folder's checkpoint, or begins where there is none yet.

    Raises ValueError for what the user can put right, TrainingError where the run cannot go on: a loss that is not finite,
    a full disk, data that vanished, Ctrl-C or SIGTERM. The last good checkpoint then stands in `out`.
    """
    keep_freed_memory()
    fabric = machine(recipe.precision, accelerator)
    try:
        with Interruptions() as interruptions, ExitStack() as opened_here:
            return run(fabric, interruptions, opened_here, recipe, data, Path(out), resume)
    except (OSError, ModelFileError, WriteError, ImagesLost) as error:
        whole = checkpoint.exists(Path(out))
        kept = f"the last checkpoint is whole: go on with --resume --out {out}" if whole else "there was no checkpoint yet"
        raise TrainingError(f"training stopped: {last_line(error)}; {kept}") from error
    finally:
        close(fabric)


def run(
    fabric: Fabric,
    interruptions: Interruptions,
    opened_here: ExitStack,
    recipe: Recipe,
    data: Path | str | None,
    out: Path,
    resume: bool,
) -> Path:
    # 1. The folder, and what an earlier run left in it.
    first = fabric.is_global_zero
    progress = Progress(quiet=not first)
    state = fabric.broadcast(opened(out, recipe, resume) if first else None)

    # 2. Data.
    training, validation = datasets(recipe, data)
    epoch_steps = len(training) // recipe.batch
    if not epoch_steps:
        raise ValueError(f"batch {recipe.batch}: must be at most the {len(training)} training pictures; "
                         f"give --set batch={len(training)}")  # fmt: skip
    steps = epoch_steps * recipe.epochs

    # 3. Network, loss, optimizer, average, teacher.
    torch.manual_seed(recipe.seed)
    network = recipe.network.network(recipe.resolution, len(training.labels))
    task = objective_of(recipe, network, training.labels, mean_over(fabric))
    plan = recipe.network
    net = nn.module(network, plan.dropout, plan.norm_momentum, plan.initialisation, plan.zero_residuals)
    if plan.start is not None and state is None:
        progress.print(take_weights(net, plan.start, training.labels, training.label_ids, recipe.preprocessing))
    if plan.fixed_norms:
        replace_norms(net, FixedNorm.like)
    if recipe.channels_last:
        net.to(memory_format=torch.channels_last)
    if recipe.sync_norm and fabric.world_size > 1:
        net = synchronised(net, fabric.device)
    net.to(fabric.device)
    descent = optimizer.build(recipe.optimizer, net, recipe.lr, recipe.weight_decay, recipe.decayed)
    average = None if recipe.averaging is None else WeightAverage(net, recipe.averaging)
    teaching = None if recipe.teacher is None else teacher(recipe.teacher, training, task).to(fabric.device)
    model, prepared = fabric.setup(cast(torch.nn.Module, torch.compile(net)) if recipe.compile else net, descent)

    # 4. Where it begins: the checkpoint, or (above) a known model's weights, or random ones.
    step, scored, window = 0, 0, LossWindow()
    if state is not None:
        net.load_state_dict(state["net"])
        descent.load_state_dict(state["optimizer"])
        if average is not None:
            average.load_state_dict(state["average"])
        step, scored, window = state["step"], state["scored"], LossWindow(*state["window"])
        training.failed.update(state["failed"])
        progress.print(f"going on after step {step} of {steps}")

    def save() -> None:
        if first:
            checkpoint.save(out, {
                "step": step, "scored": scored, "net": net.state_dict(), "optimizer": descent.state_dict(),
                "average": None if average is None else average.state_dict(),
                "window": (window.names, window.sums, window.steps), "failed": dict(training.failed),
            })  # fmt: skip

    def drain() -> bool:
        """Looks at the losses that are still under way; whether some process was asked to stop."""
        asked = [window.examine(fabric, waiting.popleft()) for _ in range(len(waiting))]
        return any(asked)

    # 5. The steps.
    record = opened_here.enter_context(RunLog(out if first else None, step, scored))
    result: Scored | None = None
    waiting: deque[StepLosses] = deque()
    progress.begin(steps, step)
    model.train()
    while True:
        if step == steps or (step > scored and step % (epoch_steps * recipe.score_epochs) == 0):
            begun = time.perf_counter()
            kept = net if average is None else average.net
            result = score(fabric, kept, task, validation, recipe.workers, lambda: interruptions.asked is not None)
            if result is None:
                raise interrupted(interruptions, out, step, steps)
            if step > scored:
                line = {"step": step, "epoch": step / epoch_steps, "metrics": result.metrics, "images": result.images,
                        "failed": result.failed, "seconds": round(time.perf_counter() - begun, 2)}  # fmt: skip
                record.write(line)
                progress.print(score_line(line, recipe.epochs))
                scored = step
                save()
        if step == steps:
            break
        epoch, done = divmod(step, epoch_steps)
        source = Loader(training, recipe.augmentation, recipe.preprocessing.at(recipe.side(epoch)), LoaderSettings(
            recipe.batch // recipe.accumulate, recipe.workers, recipe.seed, epoch, fabric.global_rank, fabric.world_size,
            drop_last=True, skip=done * recipe.accumulate, channels_last=recipe.channels_last, balanced=recipe.balanced,
            device=fabric.device,
        ))  # fmt: skip
        pace = Throughput()
        batches, waited = iter(source), 0.0
        while step < (epoch + 1) * epoch_steps:
            torch.manual_seed(step_seed(recipe.seed, step, fabric.global_rank))
            rate = recipe.lr * factor(recipe.schedule, recipe.warmup, step, epoch_steps, recipe.epochs)
            for group in descent.param_groups:
                group["lr"] = rate
            descent.zero_grad(set_to_none=True)
            losses, indices = list[Tensor](), list[Tensor]()
            for part in range(recipe.accumulate):
                try:
                    batch = next(batches)
                except ImagesLost:
                    if fabric.world_size == 1:
                        drain()
                        save()
                    raise
                with fabric.no_backward_sync(model, enabled=part < recipe.accumulate - 1):
                    outputs = model(batch["image"])
                    if teaching is None:
                        parts = task.loss(outputs, batch["target"])
                    else:
                        parts = teaching.loss(outputs, batch["target"], batch["image"])
                    fabric.backward(parts["total"] / recipe.accumulate)
                losses.append(torch.stack([value.detach() for value in parts.values()]))
                indices.append(batch["index"])
            asked = interruptions.asked is not None
            waiting.append(StepLosses.shared(fabric, step, list(parts), losses, indices, asked))
            # On a GPU a step later, since it would wait while its losses are looked at. No checkpoint is written before.
            leave = drain() if fabric.device.type == "cpu" else len(waiting) > 1 and window.examine(fabric, waiting.popleft())
            if recipe.clip is not None:
                fabric.clip_gradients(model, prepared, max_norm=recipe.clip, error_if_nonfinite=False)
            prepared.step()
            step += 1
            if average is not None:
                average.update(step)
            pace.pictures += recipe.batch
            pace.waited, waited = pace.waited + source.waited - waited, source.waited
            at_end = step % epoch_steps == 0
            if at_end or step % LOG_STEPS == 0:
                leave = drain() or leave
                means = window.taken()
                line = {"step": step, "epoch": round(step / epoch_steps, 4), "lr": rate, "loss": means.pop("total"),
                        "parts": means, **pace.taken()}  # fmt: skip
                record.write(line)
                progress.show(step, step / epoch_steps, recipe.epochs, line)
            if leave or at_end or step % recipe.checkpoint_steps == 0:
                leave = drain() or leave
                save()
            if leave:
                raise interrupted(interruptions, out, step, steps)

    # 6. The model file, and pictures of the run.
    assert result is not None
    if first:
        kept = net if average is None else average.net
        model_file = trained_model(recipe, task, kept, training, result, steps)
        modelfile.write(model_file, out / MODEL)
        report.draw_run(out, model_file, validation, result)
        progress.print(f"{out / MODEL}: {score_line({'epoch': recipe.epochs, 'metrics': result.metrics}, recipe.epochs)}")
    fabric.barrier()
    return out / MODEL


def opened(out: Path, recipe: Recipe, resume: bool) -> dict[str, Any] | None:
    """Makes the run's folder, or finds in it the state to go on from; None where there is none yet.

    ValueError where the folder holds another run, or one that nobody asked to go on with.
    """
    out.mkdir(parents=True, exist_ok=True)
    checkpoint.sweep(out)
    wanted = recipe.to_json()
    if (out / RECIPE).exists():
        if not resume and (checkpoint.exists(out) or (out / MODEL).exists()):
            raise ValueError(f"--out {out}: holds a run already; give --resume to go on with it, or another folder")
        if resume:
            check_same(json.loads((out / RECIPE).read_text("utf-8")), wanted, out)
    write_atomically(out / RECIPE, (json.dumps(wanted, indent=1) + "\n").encode())
    if not resume or not checkpoint.exists(out):
        return None
    return checkpoint.load(out)


def check_same(before: dict[str, Any], wanted: dict[str, Any], out: Path) -> None:
    """Both recipes must agree but for what cannot change the result: the number of workers."""
    old, new = flat_settings(before), flat_settings(wanted)
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key) and key != "workers"]
    if changed:
        key = changed[0]
        raise ValueError(
            f"--resume: {out / RECIPE} has {key} {old.get(key)!r}, wanted is {new.get(key)!r}: a run goes on by the recipe "
            "it began with; leave the change out, or begin in another folder"
        )


def flat_settings(data: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(data, dict):
        return {path: data}
    return {key: value for name in data for key, value in flat_settings(data[name], f"{path}.{name}".lstrip(".")).items()}


def datasets(recipe: Recipe, data: Path | str | None) -> tuple[Dataset, Dataset]:
    """The pictures to train on and those to score on. ValueError where the recipe and `data` do not go together."""
    task, drawn = recipe.task, recipe.shapes
    both: list[Dataset]
    if drawn is not None:
        if data is not None:
            raise ValueError(f"--data {data}: recipe {recipe.name} draws its own pictures; leave --data out")
        both = [shapes(task, "train", drawn.train, drawn.size, recipe.seed), shapes(task, "val", drawn.val, drawn.size)]
    elif data is None:
        raise ValueError(f"--data: recipe {recipe.name} needs the folder of its pictures; give --data DIR")
    else:
        training = open_dataset(data, task, "train")
        both = [training, open_dataset(data, task, "val", classes=training.label_ids or training.labels)]
    if recipe.limit is not None:
        both = [subset(dataset, recipe.limit) for dataset in both]
    if recipe.in_memory:
        both = [InMemory(dataset) for dataset in both]
    return both[0], both[1]


def step_seed(seed: int, step: int, rank: int) -> int:
    """Of dropout and whatever else is random in a step on one process."""
    digest = hashlib.blake2b(f"step,{seed},{step},{rank}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def trained_model(
    recipe: Recipe, task: Objective, net: nn.TorchNetwork, training: Dataset, result: Scored, steps: int
) -> ModelFile:
    """Everything that the model file says, and nothing of when or where: equal runs make equal files."""
    provenance = {
        "recipe": recipe.to_json(),
        "pictures": len(training),
        "failed": len(training.failed),
        "steps": steps,
        "scored": result.images,
    }
    return ModelFile(
        network=net.network, tensors=dict(net.arrays()), labels=training.labels, label_ids=training.label_ids,
        background=task.background, preprocessing=recipe.preprocessing, provenance=provenance, metrics=result.metrics,
        decoding=task.decoding,
    )  # fmt: skip


def interrupted(interruptions: Interruptions, out: Path, step: int, steps: int) -> TrainingError:
    by = interruptions.asked or "another process"
    return TrainingError(f"stopped by {by} after step {step} of {steps}; go on with --resume --out {out}")


def score_line(line: dict[str, Any], epochs: int) -> str:
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in line["metrics"].items() if value is not None)
    pictures = f" on {line['images']} pictures in {duration(line['seconds'])}" if "images" in line else ""
    failed = f", {len(line['failed'])} unreadable" if line.get("failed") else ""
    return f"epoch {line['epoch']:g}/{epochs}: {metrics}{pictures}{failed}"


def last_line(error: BaseException) -> str:
    """What an error says, without the traceback that comes with one out of a worker."""
    line = (str(error) or type(error).__name__).strip().splitlines()[-1]
    return line.partition("ImagesLost: ")[2] or line
