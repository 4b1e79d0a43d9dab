"""The one training loop, for every task, on one process or many.

`prepare` makes a `Run`; `train_epoch`, `evaluate_and_save` and `finish` advance it in this order.

Nothing random depends on what happened before. An epoch's order of images is drawn from (seed, epoch), the change of an image
from (seed, epoch, image), dropout from (seed, step, process). So an interrupted run, when it continues, ends with the same bits
as one that was not interrupted.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor

from ... import nn
from ...errors import UsageError
from ...files import WriteError
from ...modelfile import ModelFileError
from ...settings import kind_of
from ..input import Batch, ImagesLost, Loader, LoaderSettings
from ..objectives import objective_of
from ..optim import optimizer
from ..optim.ema import WeightAverage
from ..recipes.recipe import Recipe
from ..teacher import load_teacher
from . import checkpoint, folder, loggers as followers
from .allocator import keep_freed_memory
from .checkpoint import TrainingError
from .data import data_lines, open_splits, work_line
from .distributed import Interruptions, close, launch, mean_over, with_synced_norms
from .heads import set_initial_weights
from .integers import learning_integers, scored_net
from .keep import header_of, keep, kept, stopped
from .log import Line, Progress, RunLog, score_line
from .loggers import Begun, Loggers, MakeLogger, Scored
from .monitor import StepLosses, Throughput
from .report import RunImages
from .run import Run
from .scoring import Evaluation, evaluate_network

LOG_STEPS = 20


def train(
    recipe: Recipe,
    data: Path | str | None,
    out: Path,
    resume: bool = False,
    accelerator: str = "auto",
    layout: str | None = None,
    loggers: Sequence[str | MakeLogger] = followers.DEFAULT,
) -> Path:
    """Trains by `recipe` on `data` (None for generated shapes) and writes everything to the folder `out`.

    The folder gets ``recipe.json``, ``log.jsonl``, ``checkpoint.pt``, and from the first score on two model files, of the best
    score and of the last, images, and what the `loggers` write, see `loggers.find`. The path of the best model file is
    returned. `resume` continues from the folder's checkpoint, or starts if there is none yet. `layout` names that of the data,
    if it can be read in several ways.

    Raises UsageError for what the user can put right, and TrainingError if the run cannot continue: a loss that is not finite,
    a full disk, data that disappeared, Ctrl-C or SIGTERM. The last good checkpoint is then in `out`.
    """
    keep_freed_memory()
    makers = {each if isinstance(each, str) else each.__name__: each for each in loggers}
    made = {name: followers.find(each) if isinstance(each, str) else each for name, each in makers.items()}
    fabric = launch(recipe.precision, accelerator)
    try:
        with Interruptions() as interruptions:
            run = prepare(fabric, interruptions, recipe, (data, layout), Path(out), resume)
            with run.log, following(run, made):
                while not run.is_over:
                    if run.score_is_due:  # before the epoch: the run may continue from a checkpoint whose epoch was not scored
                        evaluate_and_save(run)
                    else:
                        train_epoch(run)
                return finish(run)
    except (OSError, ModelFileError, WriteError, ImagesLost) as error:
        exists = checkpoint.exists(Path(out))
        remedy = (
            f"the last checkpoint is whole: continue with --resume --out {out}" if exists else "there was no checkpoint yet"
        )
        raise TrainingError(f"training stopped: {last_line(error)}; {remedy}") from error
    finally:
        close(fabric)


def prepare(
    fabric: Fabric,
    interruptions: Interruptions,
    recipe: Recipe,
    data: tuple[Path | str | None, str | None],
    out: Path,
    resume: bool,
) -> Run:
    """Everything before the first step. `data` is the folder or file and the name of its layout."""
    # 1. The checkpoint that an earlier run left in the folder.
    is_first = fabric.is_global_zero
    progress = Progress(quiet=not is_first)
    recipe, state = fabric.broadcast(folder.position(out, recipe, resume) if is_first else (recipe, None))

    # 2. Data.
    training, validation = open_splits(recipe, *data)
    if len(training) < recipe.batch:
        raise UsageError(
            f"batch {recipe.batch}: must be at most the {len(training)} training images; give --set batch={len(training)}"
        )

    told = data_lines(training, validation)

    # 3. Network, objective, optimizer, weight average, teacher.
    torch.manual_seed(recipe.seed)
    spec = recipe.network
    network = spec.network(recipe.resolution, len(training.labels))
    objective = objective_of(recipe.loss, network, recipe.preprocessing, training.labels, mean_over(fabric))
    net = nn.module(network, spec.dropout, spec.norm_momentum, spec.initialization, spec.zero_residuals)
    lines = set_initial_weights(net, training, recipe, objective, fabric, state is None)
    if recipe.quantize is not None and recipe.quantize.qat:
        net = learning_integers(fabric, net, training, recipe, None if state is None else state["net"])
    if recipe.channels_last:
        net.to(memory_format=torch.channels_last)
    if recipe.sync_norm and fabric.world_size > 1:
        net = with_synced_norms(net, fabric.device)
    net.to(fabric.device)
    weight_optimizer = optimizer.build(recipe.optimizer, net, recipe.lr, recipe.weight_decay, recipe.decayed)
    average = None if recipe.averaging is None else WeightAverage(net, recipe.averaging)
    teacher = None if recipe.teacher is None else load_teacher(recipe.teacher, training, objective).to(fabric.device)
    compiled = cast(torch.nn.Module, torch.compile(net)) if recipe.compile else net
    model, stepper = fabric.setup(compiled, weight_optimizer)

    # 4. The folder, which an error before this line leaves as it was.
    if is_first:
        folder.begin(out, recipe)

    # 5. The position: that of the checkpoint, or the first step.
    run = Run(
        fabric,
        interruptions,
        progress,
        recipe,
        out,
        training,
        validation,
        objective,
        net,
        weight_optimizer,
        average,
        teacher,
        model,
        stepper,
        scored=-1 if recipe.score_start else 0,
    )
    run.header = header_of(run)
    if state is not None:
        restore(run, state)
    run.log = RunLog(out if is_first else None, run.step, run.scored)
    progress.begin(run.steps, run.step)
    for line in (*(lines if state is None else ()), *told, work_line(recipe, net, run.epoch_steps, fabric.device)):
        progress.print(line)
    model.train()
    return run


def restore(run: Run, state: checkpoint.State) -> None:
    """Continues from a checkpoint's state, and says so."""
    recipe = run.recipe
    run.restore(state)
    run.progress.print(f"continuing after step {run.step} of {run.steps}")
    if recipe.restarts and recipe.restarts[-1] * run.epoch_steps == run.step:
        run.progress.print(
            f"the schedule {kind_of(type(recipe.schedule))} ended with epoch {recipe.restarts[-1]}: it begins again for the "
            f"epochs up to {recipe.epochs}, and the learning rate rises to {recipe.lr:g} once more"
        )


def train_epoch(run: Run) -> None:
    """The steps that are left of the current epoch, with their log lines and checkpoints."""
    recipe = run.recipe
    epoch, done = divmod(run.step, run.epoch_steps)
    settings = LoaderSettings(
        batch=recipe.batch // recipe.accumulate,
        workers=recipe.workers,
        seed=recipe.seed,
        epoch=epoch,
        rank=run.fabric.global_rank,
        world=run.fabric.world_size,
        drop_last=True,
        skip=done * recipe.accumulate,
        channels_last=recipe.channels_last,
        balanced=recipe.balanced,
        device=run.fabric.device,
    )
    batches = Loader(run.training, recipe.augmentation, recipe.preprocessing.at(recipe.side(epoch)), settings)
    throughput, iterator = Throughput(), iter(batches)
    while run.step < (epoch + 1) * run.epoch_steps:
        lr = recipe.rate(run.step, run.epoch_steps)
        stop = train_step(run, iterator, lr)
        throughput.add(recipe.batch, batches.waited)
        run.progress.expect(run.step)
        epoch_ends = run.step % run.epoch_steps == 0
        if epoch_ends or run.step % LOG_STEPS == 0:
            stop = run.losses.drain(run.fabric) or stop
            means = run.losses.take_means()
            images_per_second, data_share = throughput.take_rates()
            line: Line = {
                "step": run.step,
                "epoch": round(run.step / run.epoch_steps, 4),
                "lr": lr,
                "loss": means.pop("total"),
                "parts": means,
                "images_per_second": images_per_second,
                "data_share": data_share,
            }
            run.write(line)
            run.progress.show(run.step, run.step / run.epoch_steps, recipe.epochs, line)
        if stop or epoch_ends or run.step % recipe.checkpoint_steps == 0:
            stop = run.losses.drain(run.fabric) or stop
            run.save()
        if stop:
            raise stopped(run)


def train_step(run: Run, batches: Iterator[Batch], lr: float) -> bool:
    """One step of the optimizer; True if some process was asked to stop. Collective: every process must call it."""
    fabric, accumulate = run.fabric, run.recipe.accumulate
    torch.manual_seed(step_seed(run.recipe.seed, run.step, fabric.global_rank))
    for group in run.optimizer.param_groups:
        group["lr"] = lr
    run.optimizer.zero_grad(set_to_none=True)
    losses, indices, terms = list[Tensor](), list[Tensor](), dict[str, Tensor]()
    for part in range(accumulate):
        try:
            batch = next(batches)
        except ImagesLost:
            if fabric.world_size == 1:
                run.losses.drain(fabric)
                run.save()
            raise
        with fabric.no_backward_sync(run.model, enabled=part < accumulate - 1):
            outputs = run.model(batch["image"])
            if run.teacher is None:
                terms = run.objective.loss(outputs, batch["target"])
            else:
                terms = run.teacher.loss(outputs, cast(Tensor, batch["target"]), batch["image"])
            fabric.backward(terms["total"] / accumulate)
        losses.append(torch.stack([value.detach() for value in terms.values()]))
        indices.append(batch["index"])
    signaled = run.interruptions.signal is not None
    stop = run.losses.add(fabric, StepLosses.reduced(fabric, run.step, list(terms), losses, indices, signaled))
    if run.recipe.clip is not None:
        fabric.clip_gradients(run.model, run.stepper, max_norm=run.recipe.clip, error_if_nonfinite=False)
    run.stepper.step()
    run.step += 1
    run.evaluation = None
    if run.average is not None:
        run.average.update(run.step)
    return stop


def step_seed(seed: int, step: int, rank: int) -> int:
    """The seed of dropout and everything else that is random in a step on one process."""
    digest = hashlib.blake2b(f"step,{seed},{step},{rank}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def evaluate_and_save(run: Run) -> Evaluation:
    """Scores the network and keeps it: its model files, the score in the log, a checkpoint. Then tells the loggers."""
    start = time.perf_counter()
    run.scored_net = scored_net(run.fabric, run.result_net, run.training, run.recipe)
    asked = lambda: run.interruptions.signal is not None  # noqa: E731
    evaluation = evaluate_network(run.fabric, run.scored_net, run.objective, run.validation, run.recipe.workers, asked)
    if evaluation is None:
        raise stopped(run)
    line: Line = {
        "step": run.step,
        "epoch": run.step / run.epoch_steps,
        "metrics": evaluation.metrics,
        "images": evaluation.images,
        "failed": evaluation.failed,
        "seconds": round(time.perf_counter() - start, 2),
    }
    is_new = run.step > run.scored
    model, is_best = keep(run, evaluation)
    if is_new:  # after the model files: a run that is killed in between scores again, and writes the same
        run.write(line)
        run.progress.print(score_line(line, run.recipe.epochs))
        run.scored = run.step
        run.save()
    if run.loggers is not None and model is not None:
        run.loggers.scored(Scored(run.out, line, model, is_best, run.is_over, run.validation, evaluation))
    run.fabric.barrier()
    run.evaluation = evaluation
    return evaluation


def following(run: Run, makers: Mapping[str, MakeLogger]) -> AbstractContextManager[object]:
    """The run's loggers, on the first process: the user's, then the images of every run."""
    if not run.fabric.is_global_zero:
        return nullcontext()
    begun = Begun(run.out, run.recipe, run.step, run.steps, run.training.labels)
    run.loggers = Loggers({**makers, "images": RunImages}, begun, run.progress.print)
    return run.loggers


def finish(run: Run) -> Path:
    """Scores the last weights, unless that was done, and names the result; the path of the best model file."""
    evaluation = run.evaluation or evaluate_and_save(run)
    if run.step < run.steps:
        print_ = run.progress.print
        print_(f"no better score in {run.recipe.patience} epochs: the run ends; --resume --set patience=null goes on")
    line: Line = {"epoch": run.step / run.epoch_steps, "metrics": evaluation.metrics}
    run.progress.print(f"{run.out / folder.LAST}: {score_line(line, run.recipe.epochs)}")
    run.progress.print(f"{run.out}: {kept(run)}")
    return run.out / folder.MODEL


def last_line(error: BaseException) -> str:
    """An error's message, without the traceback of the worker process that it came from."""
    line = (str(error) or type(error).__name__).strip().splitlines()[-1]
    return line.partition("ImagesLost: ")[2] or line
