"""Other libraries as backends: the same answers as the reference, one clear error for what they cannot do, and every way a
predictor is used: threads, processes, forks, the command."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from support.cli import run
from support.images import photo
from support.models import IMAGE, detector, segmenter, toy
from support.weights import random_tensors, tolerance

import mobilenet
from mobilenet import modelfile
from mobilenet.engine.reference import Reference
from mobilenet.errors import UsageError
from mobilenet.network.heads import deeplabv3_mobilenet_v2
from mobilenet.network.mobilenet import mobilenet_v2
from mobilenet.runtimes import backends, others
from mobilenet.tasks.results import OutputError

MODELS = {"classification": toy, "detection": detector, "segmentation": segmenter}


@pytest.fixture(params=others.OTHERS)
def backend(request):
    if reason := others.missing(request.param):
        pytest.skip(reason)
    return request.param


@pytest.fixture
def file(tmp_path):
    modelfile.write(toy(), tmp_path / "toy.safetensors")
    photo(40, 30).save(tmp_path / "a.png")
    return tmp_path / "toy.safetensors"


def test_the_table_and_the_names_are_one():
    assert (*backends.OWN_BACKENDS, *others.OTHERS) == backends.BACKENDS


SIGNALS = """
import faulthandler, gc, os, signal, sys
from mobilenet import load
faulthandler.enable()  # it gives signals a stack of their own, as pytest does
signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
runtimes = [load(sys.argv[1], backend=sys.argv[2]) for _ in range(2)]
runtimes.pop(0)
gc.collect()
runtimes.append(load(sys.argv[1], backend=sys.argv[2]))
while runtimes:
    runtimes.pop(0)
    gc.collect()
    os.kill(os.getpid(), signal.SIGUSR1)
"""


def test_signals_arrive_after_a_runtime_is_gone(backend, file):
    """OpenVINO's cores put another stack under the signals; what is left behind must be one that exists."""
    command = [sys.executable, "-c", SIGNALS, str(file), backend]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["handled"] * 2), done.stderr


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_the_outputs_are_the_references(backend, make):
    """Of the network's own size, of another, and of two images at once."""
    model = make()
    runtime = backends.choose(model, backend, threads=1)
    expected = Reference(model.network, model.tensors)
    for shape in ((1, 3, *model.network.resolution), (2, 3, 47, 36)):
        images = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        outputs = runtime(images)
        assert outputs.keys() == set(model.network.outputs)
        for name, output in expected(images).items():
            bound = tolerance(model.network, float(np.abs(output).max()))
            np.testing.assert_allclose(outputs[name], output, rtol=0, atol=bound, err_msg=name)
    assert runtime.planned_bytes(32) == expected.planned_bytes(32)


@pytest.mark.parametrize("task", MODELS)
def test_the_answers_are_the_same(backend, task):
    predict, native = (mobilenet.load(MODELS[task](), name, threads=1) for name in (backend, "native"))
    answer, expected = predict(IMAGE), native(IMAGE)
    assert [p.label for p in answer] == [p.label for p in expected]
    np.testing.assert_allclose([p.score for p in answer], [p.score for p in expected], rtol=0, atol=1e-4)
    np.testing.assert_allclose(predict.embed(IMAGE), native.embed(IMAGE), rtol=0, atol=1e-4)
    assert predict.info().runtime == predict.runtime.name == backend
    assert backend in repr(predict)


def test_views_of_other_sizes(backend):
    predict, native = (
        mobilenet.load(segmenter(), name, mobilenet.Views((0.5, 1, 1.5), flip=True)) for name in (backend, "native")
    )
    assert (predict(IMAGE).mask == native(IMAGE).mask).mean() > 0.99


def test_a_quantized_model_runs_in_float32(backend):
    from support.quantized import quantized

    model = toy(epsilon=None)
    tensors, quantization = quantized(model.network, "int8")
    model = replace(model, tensors=tensors, quantization=quantization)
    scores = [mobilenet.load(model, name)(IMAGE).scores for name in (backend, "dequantized")]
    np.testing.assert_allclose(*scores, rtol=0, atol=1e-5)


@pytest.mark.parametrize("task", MODELS)
def test_outputs_that_are_no_number_are_errors(backend, task):
    model = MODELS[task]()
    name = [name for name in model.tensors if name.endswith("weight") and "norm" not in name][-1]
    signs = np.random.default_rng(0).choice([-1, 1], model.tensors[name].shape)
    overflowing = replace(model, tensors={**model.tensors, name: (3e38 * signs).astype(np.float32)})
    with pytest.raises(OutputError, match="holds NaN or infinity"):
        mobilenet.load(overflowing, backend)(IMAGE)


def test_no_number_within_the_network_reaches_the_outputs(backend):
    """Except in OpenVINO, whose clamp makes a number of it; docs/predict.md says so."""
    network = mobilenet_v2(0.35, 33, classes=4)
    tensors = random_tensors(network)
    tensors["layer_2.depthwise.conv.weight"][:] = np.nan
    (output,) = others.make(backend, network, tensors, 1)(np.ones((1, 3, 33, 33), np.float32)).values()
    assert np.isfinite(output).all() == (backend == "openvino")


def test_many_threads_call_one_runtime(backend):
    predict = mobilenet.load(toy(), backend, threads=1)
    images = [photo(40, 30, seed=number) for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(predict, images * 4)) == list(map(predict, images)) * 4


def test_a_predictor_crosses_to_a_process(backend, file):
    predict = mobilenet.load(file, backend, threads=1)
    assert len(pickle.dumps(predict)) < 1000
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        (answer,) = pool.map(predict, [file.parent / "a.png"])
    assert answer == predict(file.parent / "a.png")


def test_a_predictor_made_by_hand_crosses_with_its_weights(backend):
    model = toy()
    predict = mobilenet.Predictor(model, backends.choose(model, backend, threads=1))
    assert pickle.loads(pickle.dumps(predict))(IMAGE) == predict(IMAGE)


FORK = """
import os, sys, faulthandler
import mobilenet
predict = mobilenet.load(sys.argv[1], sys.argv[2], threads=2)
expected = predict(sys.argv[3])
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
faulthandler.dump_traceback_later(60, exit=True)
os._exit(0 if predict(sys.argv[3]) == expected else 3)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_forked_child_goes_on(backend, file):
    """It has lost the threads of its parent, for which the libraries would wait forever."""
    images = file.parent / "a.png"
    done = subprocess.run([sys.executable, "-c", FORK, file, backend, images], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_command(backend, file):
    folder, model = file.parent, ("--model", file)
    out, err = run("predict", folder, *model, "--backend", backend, "--workers", 2, "--format", "jsonl")
    (entry,) = map(json.loads, out.splitlines())
    (expected,) = json.loads(run("predict", folder, *model, "--json")[0])
    assert [p["label"] for p in entry["predictions"]] == [p["label"] for p in expected["predictions"]]
    assert f"({backend}, 2 workers)" in err
    _, err = run("predict", folder, *model, "--backend", backend, "--device", "cuda:9", status=2)
    assert err.startswith("mobilenet: device 'cuda:9': ")
    assert err.count("\n") == 1
    assert "leave the device out" in err


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there(backend, device):
    with pytest.raises(UsageError, match=f"device '{device}': .*leave the device out"):
        mobilenet.load(toy(), backend, device=device)
    assert mobilenet.load(toy(), backend, device="cpu").runtime.name == backend


@pytest.mark.parametrize("name", ["native", "reference", "dequantized", lambda model: Reference(model.network, model.tensors)])
def test_own_backends_run_on_the_processor(name):
    with pytest.raises(UsageError, match=r"device 'cuda': .* runs on the processor; .* choose onnxruntime or openvino"):
        mobilenet.load(toy(), name, device="cuda")
    assert mobilenet.load(toy(), name, device="cpu")(IMAGE).labels


def test_what_is_missing_is_named_with_its_extra(monkeypatch):
    def find(name):
        return None if name in ("onnxruntime", "openvino", "torch") else find_spec(name)

    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", find)
    for name, extra in (("onnxruntime", "onnxruntime"), ("openvino", "openvino"), ("torch", "train")):
        with pytest.raises(UsageError, match=rf"backend {name}: {name} not installed; pip install 'mobilenet\[{extra}\]'"):
            mobilenet.load(toy(), name)
    with pytest.raises(
        UsageError, match=r"no backend is called 'tensorrt'; there is native, .*torch \(extra \[train\], not inst"
    ):
        mobilenet.load(toy(), "tensorrt")


@pytest.mark.parametrize("setting", [{"memory_budget": 10**6}])
def test_settings_that_it_cannot_honor(backend, setting):
    with pytest.raises(UsageError, match="leave it out"):
        mobilenet.load(toy(), backend, **setting)


def test_threads_are_those_asked_for(backend, one_thread):
    assert backends.choose(toy(), backend, threads=2).threads == 2
    assert backends.choose(toy(), backend, num_images=1).threads == (None if backend == "torch" else 1)
    if backend == "torch":
        import torch

        assert torch.get_num_threads() == 2


def test_torch_runs_on_the_device_that_is_named():
    """torch's "meta" device stands for a GPU, which is missing here: it computes shapes but no values, so the call must get as
    far as bringing the results back, and no tensor may be on the processor before."""
    torch = pytest.importorskip("torch")
    from mobilenet.nn.runtime import TorchRuntime

    network = mobilenet_v2(0.35, 33, classes=4)
    runtime = TorchRuntime(network, random_tensors(network), device="meta")
    assert runtime.name == "torch on meta"
    assert {tensor.device.type for tensor in (*runtime.net.parameters(), *runtime.net.buffers())} == {"meta"}
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        runtime(np.zeros((1, 3, 33, 33), np.float32))
    assert runtime.net(torch.zeros(1, 3, 33, 33, device="meta"))["classifier"].shape == (1, 4)


def test_onnxruntime_takes_the_provider_of_the_device(monkeypatch):
    ort = pytest.importorskip("onnxruntime")
    from mobilenet.runtimes.onnx_runtime import provider_of

    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    assert provider_of("cuda:1") == ("CUDAExecutionProvider", {"use_tf32": "0", "device_id": "1"})
    assert provider_of("cpu") == ("CPUExecutionProvider", {})
    with (
        pytest.raises(UsageError, match="device 'cuda': ONNX Runtime's CUDAExecutionProvider does not start here"),
        pytest.warns(UserWarning, match="not in available provider names"),
    ):
        mobilenet.load(toy(), "onnxruntime", device="cuda")  # this build has none, and would take the processor


def test_few_shapes_are_kept(backend, monkeypatch):
    if backend == "torch":
        pytest.skip("torch keeps nothing for a shape")
    from mobilenet.runtimes import graphs

    monkeypatch.setattr(graphs, "MAX_GRAPHS", 2)
    network = deeplabv3_mobilenet_v2(0.35, 33, classes=2)
    runtime = others.make(backend, network, random_tensors(network), 1)
    for side in (33, 40, 41, 33):
        assert runtime(np.zeros((1, 3, side, side), np.float32))["upsample"].shape == (1, 2, side, side)
        assert len(runtime.graphs.made) <= 2
