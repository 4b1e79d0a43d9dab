"""The two model files of a run: the best score's, which stands for the run, and the last one's."""

from __future__ import annotations

import signal

from ... import modelfile, nn
from ...modelfile import ModelFile
from . import folder
from .best import METRICS, Best
from .checkpoint import TrainingError
from .data import held_out
from .integers import scored_net
from .run import Run
from .scoring import Evaluation


def keep(run: Run, evaluation: Evaluation) -> tuple[ModelFile | None, bool]:
    """Writes the network that was just scored, also as the best if it is; (its model on the first process, whether it is)."""
    if run.step > run.scored:
        run.best = Best.after(run.best, run.step, evaluation.metrics[METRICS[run.recipe.task]])
    is_best = run.best is None or run.best.step == run.step
    if not run.fabric.is_global_zero:
        return None, is_best
    model = trained_model(run, evaluation)
    modelfile.write(model, run.out / folder.LAST)
    if is_best:
        modelfile.write(model, run.out / folder.MODEL)
    return model, is_best


def stopped(run: Run) -> TrainingError:
    """What to raise when the run was asked to stop. Writes the network as it is; without a score before, as the best too."""
    run.scored_net = scored_net(run.fabric, run.result_net, run.training, run.recipe)
    if run.fabric.is_global_zero and (run.step > max(run.scored, 0) or run.best is None):
        model = trained_model(run, None)
        modelfile.write(model, run.out / folder.LAST)
        if run.best is None:
            modelfile.write(model, run.out / folder.MODEL)
    by = run.interruptions.signal or "another process"
    error = TrainingError(
        f"stopped by {by} after step {run.step} of {run.steps}; {kept(run)}; continue with --resume --out {run.out}"
    )
    if run.interruptions.signal:
        error.status = 128 + signal.Signals[run.interruptions.signal]  # as a shell shows it
    return error


def kept(run: Run) -> str:
    """Which models the folder holds, in words."""
    if run.best is None:
        return f"{folder.MODEL} is the network as it is, not scored"
    metric = METRICS[run.recipe.task]
    score = f"{metric} {run.best.value:.4f} after epoch {run.best.step / run.epoch_steps:g}"
    if run.best.step == run.step:
        return f"{folder.MODEL} has the best score, {score}"
    if run.best.step == 0:
        return f"{folder.MODEL} is the start as it was: no later score is above its {score}; {folder.LAST} has the last weights"
    return f"{folder.MODEL} has the best score, {score}, {folder.LAST} the last weights"


def trained_model(run: Run, evaluation: Evaluation | None) -> ModelFile:
    """The model file holds nothing of place or time: equal runs make equal files."""
    return ModelFile(
        network=run.scored_net.network,
        tensors=dict(run.scored_net.arrays()),
        labels=run.training.labels,
        label_ids=run.training.label_ids,
        background=run.objective.background,
        preprocessing=run.recipe.preprocessing,
        provenance={
            "recipe": run.recipe.to_json(),
            "images": len(run.training),
            "failed": len(run.training.failed),
            "steps": run.steps,
            "step": run.step,
            "scored": 0 if evaluation is None else evaluation.images,
            **({} if (division := held_out(run.validation)) is None else {"held_out": division}),
        },
        metrics={} if evaluation is None else evaluation.metrics,
        decoding=run.objective.decoding,
        quantization=run.scored_net.quantization if isinstance(run.scored_net, nn.IntegerNetwork) else None,
    )


def header_of(run: Run) -> dict[str, str] | None:
    """What the run's model files say beside their tensors, for its checkpoints; None for integers."""
    if isinstance(run.result_net, nn.IntegerNetwork):
        return None
    run.scored_net = run.result_net
    return modelfile.metadata_of(trained_model(run, None))
