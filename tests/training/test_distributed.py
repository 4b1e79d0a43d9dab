"""Two and four processes against one with the same global batch: same images, losses and metrics. With gloo, on the CPU."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from support.training_runs import tiny, tiny_detector, tiny_segmenter  # noqa: E402
from support.weights import tolerance  # noqa: E402

from mobilenet import modelfile  # noqa: E402
from mobilenet.training.run.distributed import SyncedNorm  # noqa: E402

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")

FORKING = """
import json, os, socket, sys
from dataclasses import replace
from pathlib import Path
import torch
torch.set_num_threads(1)  # no thread pool, so that forking is safe
sys.path.insert(0, sys.argv[1])
import torch.utils.tensorboard
from support import training_runs as runs
from mobilenet.training.input import ClassificationAugmentation
from mobilenet.training.run import monitor
base = Path(sys.argv[2])

def recipe(kind):
    plain = {"batch": 8, "lr": 0.002, "averaging": None, "sync_norm": True, "checkpoint_steps": 100, "channels_last": False}
    if kind == "classify":
        return runs.tiny(network=replace(runs.tiny().network, dropout=0.0), **plain)
    if kind == "accumulate":
        return runs.tiny(network=replace(runs.tiny().network, dropout=0.0), accumulate=2, epochs=1, **plain)
    plain["lr"] = 1e-5  # batch norm over the 8 values of a map of one pixel magnifies roundings once weights move
    made = runs.tiny_segmenter(**plain) if kind == "segment" else runs.tiny_detector(**plain)
    if kind == "still":  # the detector that one process made, begun from and not moved by as much as a rounding
        file = str(base / "detect1x1-0" / "run" / "model.safetensors")
        return replace(made, lr=1e-30, network=replace(made.network, dropout=0.0, start=file, norm_momentum=1e-12))
    return replace(made, network=replace(made.network, dropout=0.0))

def launch(kind, nodes, local, jitter=0):
    world, folder = nodes * local, base / f"{kind}{nodes}x{local}-{jitter}"
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(world):
        child = os.fork()
        if child:
            children.append(child)
            continue
        if world > 1:
            os.environ.update({
                "RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(rank % local),
                "LOCAL_WORLD_SIZE": str(local), "GROUP_RANK": str(rank // local), "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test", "TORCHELASTIC_USE_AGENT_STORE": "False",
            })
        status = 1
        try:
            seen, examine = [], monitor.LossWindow.examine
            def note(window, fabric, step):
                seen.append([step.mean.tolist(), step.indices.tolist()])
                return examine(window, fabric, step)
            monitor.LossWindow.examine = note
            make = runs.loop.nn.module
            def jittered(*given):
                net = make(*given)
                noise = torch.Generator().manual_seed(jitter)
                with torch.no_grad():
                    for weight in net.parameters():
                        weight.mul_(1 + jitter * 2.0**-23 * (2 * torch.rand(weight.shape, generator=noise) - 1))
                return net
            runs.loop.nn.module = jittered
            runs.report.draw_run = lambda *_: None
            runs.loop.train(recipe(kind), None, folder / "run", False, "cpu")
            (folder / f"seen{rank}.json").write_text(json.dumps(seen))
            status = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0, (kind, nodes, local)

for layout in json.loads(sys.argv[3]):
    launch(*layout)
"""

KINDS = {"classify": tiny, "accumulate": tiny, "detect": tiny_detector, "still": tiny_detector, "segment": tiny_segmenter}
LAYOUTS = [(kind, 1, local) for kind in KINDS for local in (1, 2)] + [("classify", 2, 2)]
JITTERED = [(kind, 1, 1, jitter) for kind in KINDS if kind != "still" for jitter in (1, 2, 3)]
LAYERS_ROOT = 8  # the networks have 50 to 70 layers


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """All runs, one after the other, from one process that has imported everything."""
    base = tmp_path_factory.mktemp("runs")
    layouts = json.dumps([*LAYOUTS, *JITTERED])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKING, str(Path(__file__).parents[1]), str(base), layouts],
        capture_output=True, text=True, check=False, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return base


def seen(base: Path, kind: str, nodes: int, local: int, jitter: int = 0) -> tuple[list[list[float]], list[list[int]]]:
    """The losses of each step, and the indices of its images on all processes together."""
    ranks = [json.loads((base / f"{kind}{nodes}x{local}-{jitter}" / f"seen{r}.json").read_text()) for r in range(nodes * local)]
    losses = [[step[0] for step in rank] for rank in ranks]
    assert all(each == losses[0] for each in losses), "all processes know the same losses"
    return losses[0], [sorted(i for rank in ranks for i in rank[step][1]) for step in range(len(losses[0]))]


@pytest.mark.parametrize("layout", [each for each in LAYOUTS if each[1] * each[2] > 1], ids=str)
def test_many_processes_do_what_one_does(runs, layout):
    """Every image once, in the same step; losses differ by rounding only; the same metrics.

    `tolerance` bounds the rounding of one forward pass. What training makes of it is measured: one process again, its first
    weights changed by up to 1, 2 or 3 units in the last place. Each layer of the other run rounds by about as much, and the
    roundings of independent layers add up as the root of their number. "still" never moves its weights, so the forward
    pass alone bounds it.

    Images are channels-first: in channels-last memory PyTorch's own batch norm sums its statistics one by one in float32 (an
    error of 2e-4 over 8,192 values, 3e-3 over 131,072, against 6e-7), so that the one process would be the inexact one.
    """
    kind = layout[0]
    (alone, images), (together, divided_images) = seen(runs, kind, 1, 1), seen(runs, *layout)
    assert divided_images == images
    recipe = KINDS[kind]()
    network = recipe.network.network(recipe.resolution, 5)
    for step, (one, many) in enumerate(zip(alone, together, strict=True)):
        jittered = [seen(runs, *run)[0][step] for run in JITTERED if run[0] == kind]
        moved = max((abs(a - b) for losses in jittered for a, b in zip(losses, one, strict=True)), default=0.0)
        assert many == pytest.approx(one, abs=LAYERS_ROOT * moved + tolerance(network, max(map(abs, one))))
    folders = [runs / f"{kind}{nodes}x{local}-0" / "run" for _, nodes, local in ((kind, 1, 1), layout)]
    first, second = (modelfile.read(folder / "model.safetensors") for folder in folders)
    if kind != "detect":  # one step magnifies its roundings a thousandfold; "still" compares a detector's metrics
        assert second.metrics == first.metrics
    assert second.provenance["scored"] == first.provenance["scored"] == recipe.shapes.val


def test_synced_norm_alone_is_batch_norm():
    """In evaluation mode it computes the same as batch norm, and its statistics have the same names."""
    norm = torch.nn.BatchNorm2d(4)
    with torch.no_grad():
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    synced, x = SyncedNorm.like(norm).eval(), torch.randn(2, 4, 3, 3)
    assert torch.equal(synced(x), norm.eval()(x))
    assert list(synced.state_dict()) == list(norm.state_dict())


@pytest.fixture
def two_hosts():
    """Two connected network namespaces, (name, address, interface); skips if they cannot be made."""
    if shutil.which("ip") is None:
        pytest.skip("no 'ip' to make network namespaces with")
    hosts = [(f"mobilenet{os.getpid()}{end}", f"10.213.77.{number}", f"v{end}") for number, end in enumerate("ab", start=1)]
    commands = [f"netns add {name}" for name, _, _ in hosts]
    commands += [f"link add va netns {hosts[0][0]} type veth peer name vb netns {hosts[1][0]}"]
    commands += [
        f"-n {name} {what}"
        for name, address, link in hosts
        for what in (f"addr add {address}/24 dev {link}", f"link set {link} up", "link set lo up")
    ]
    try:
        for command in commands:
            done = subprocess.run(["ip", *command.split()], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"no network namespaces here: ip {command}: {done.stderr.strip()}")
        yield hosts
    finally:
        for name, _, _ in hosts:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def test_two_hosts_with_addresses_of_their_own(two_hosts, tmp_path):
    """torchrun on each, as on two machines: together they train one network, and the first one writes it."""
    address = two_hosts[0][1]
    running = []
    for rank, (name, _, link) in enumerate(two_hosts):
        command = f"ip netns exec {name} {sys.executable} -m torch.distributed.run --nnodes 2 --nproc-per-node 1"
        command += f" --node-rank {rank} --master-addr {address} --master-port 29517"
        command += f" -m mobilenet train shapes_classify --smoke --out {tmp_path / str(rank)}"
        environment = {**os.environ, "GLOO_SOCKET_IFNAME": link, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        running.append(subprocess.Popen(command.split(), env=environment, stderr=subprocess.PIPE, text=True))
    said = [each.communicate(timeout=300)[1] for each in running]
    assert [each.returncode for each in running] == [0, 0], said
    assert "top1" in said[0]
    assert "top1" not in said[1]
    assert modelfile.read(tmp_path / "0" / "model.safetensors").provenance["scored"] == 16
    assert not (tmp_path / "1").exists()
