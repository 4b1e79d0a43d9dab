"""The addresses of a server: answers, errors and the KServe protocol, without a socket."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image
from support.cli import run
from support.models import IMAGE
from support.serving import PNG, PREDICT, file_of, need_packages, state_of

import mobilenet

need_packages()


@pytest.fixture(scope="module")
def client(files):
    from starlette.testclient import TestClient

    from mobilenet.serving.app import make_app

    with TestClient(make_app(state_of(files, max_body_bytes=200_000, max_images=3))) as client:
        yield client


def error_of(response, status):
    """The message of an error, which is JSON of one line with the remedy in it."""
    assert response.status_code == status, response.text
    value = response.json()
    assert value["status"] == status
    assert "\n" not in value["error"]
    return value["error"]


@pytest.mark.parametrize("name", ["toy", "boxes", "masks"])
def test_an_image_is_answered_as_the_command_does(client, files, tmp_path, name):
    (tmp_path / "image.png").write_bytes(PNG)
    arguments = ["--json", "--threshold", "0.1", "--top", "3"]
    (expected,) = json.loads(run("predict", tmp_path / "image.png", "--model", files[name], *arguments)[0])
    response = client.post(f"/v1/models/{name}/predict?threshold=0.1&top=3", content=PNG)
    assert response.status_code == 200, response.text
    found = response.json()
    assert found["predictions"] == expected["predictions"] != []
    assert (found["task"], found["backend"]) == (expected["task"], expected["backend"])
    assert (found["input"], found["model"], found["size"]) == ("-", name, [40, 50])
    assert found["milliseconds"]["whole"] >= found["milliseconds"]["network"] > 0


def test_a_form_is_answered_with_a_list_and_each_error_stands_at_its_image(client):
    several = client.post(PREDICT, files=[("a", ("cat.png", PNG)), ("b", ("broken.png", PNG[:60])), ("a", ("c.jpg", PNG))])
    assert several.status_code == 200
    first, broken, third = several.json()
    assert (first["input"], broken["input"], third["input"]) == ("cat.png", "broken.png", "c.jpg")
    assert "predictions" not in broken
    assert "broken.png" in broken["error"]
    assert first["predictions"] == third["predictions"] == client.post(PREDICT, content=PNG).json()["predictions"]
    (alone,) = client.post(PREDICT, files={"image": ("cat.png", PNG)}).json()
    assert alone["predictions"] == first["predictions"]
    assert "broken.png" in error_of(client.post(PREDICT, files={"image": ("broken.png", PNG[:60])}), 422)


@pytest.mark.parametrize(("name", "output"), [("toy", "png"), ("boxes", "jpeg"), ("masks", "png")])
def test_an_annotated_image_is_what_draw_makes(client, files, name, output):
    by_query = client.post(f"/v1/models/{name}/predict?output={output}&threshold=0.2", content=PNG)
    by_header = client.post(
        f"/v1/models/{name}/predict?threshold=0.2", content=PNG, headers={"accept": f"text/html, image/{output}, */*;q=0.1"}
    )
    assert by_query.headers["content-type"] == by_header.headers["content-type"] == f"image/{output}"
    assert by_query.content == by_header.content
    predict = mobilenet.load(files[name], threads=1)
    drawn = Image.open(io.BytesIO(by_query.content)).convert("RGB")
    assert drawn.size == IMAGE.size
    expected = predict(IMAGE, threshold=0.2).plot()
    largest = 0 if output == "png" else 40  # JPEG's own loss on noise is larger, so that its mean is compared
    difference = np.abs(np.asarray(drawn, int) - np.asarray(expected, int))
    assert difference.max() == 0 if output == "png" else difference.mean() < largest


def test_a_mask_comes_as_an_image_and_as_runs(client, files):
    expected = mobilenet.load(files["masks"], threads=1)(IMAGE).mask
    mask = Image.open(io.BytesIO(client.post("/v1/models/masks/predict?output=mask", content=PNG).content))
    assert mask.mode == "P"
    assert np.array_equal(np.asarray(mask), expected)
    runs = client.post("/v1/models/masks/predict?mask=runs", content=PNG).json()["mask"]
    assert np.array_equal(np.repeat(runs["classes"], runs["lengths"]).reshape(runs["height"], runs["width"]), expected)
    assert len(runs["classes"]) == 1 + np.count_nonzero(np.diff(expected.ravel()))


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v1/models/tpy/predict", 404, "toy"),
        (f"{PREDICT}?treshold=0.5", 400, "threshold"),
        (f"{PREDICT}?threshold=nan", 400, "0 to 1"),
        (f"{PREDICT}?threshold=0.1&threshold=0.2", 400, "twice"),
        (f"{PREDICT}?top=0", 400, "1 to 1000"),
        (f"{PREDICT}?output=gif", 400, "jpeg"),
        (f"{PREDICT}?output=mask", 400, "segmentation"),
        (f"{PREDICT}?mask=yes", 400, "runs"),
        ("/v1/nothing", 404, "/docs"),
        ("/v1/models", 405, "/docs"),
        ("/v2/models/toy/versions/2/infer", 404, "'1'"),
    ],
)
def test_a_wrong_address_says_what_is_right(client, path, status, words):
    assert words in error_of(client.post(path, content=PNG), status)


@pytest.mark.parametrize(
    ("content", "headers", "status", "words"),
    [
        (b"", {}, 400, "empty"),
        (b"GIF89a", {}, 422, "no image format"),
        (PNG[:-30], {}, 422, "damaged"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", {"content-type": "image/png"}, 422, "no image format"),
        (PNG, {"content-type": "text/html"}, 415, "multipart/form-data"),
        (PNG, {"accept": "video/mp4"}, 406, "image/jpeg"),
        (PNG, {"content-type": "multipart/form-data"}, 400, "form"),
        (b"--x\r\n\r\nno form", {"content-type": "multipart/form-data; boundary=x"}, 400, "form"),
        (b'{"urls": ["http://127.0.0.1/"]}', {"content-type": "application/json"}, 403, "--fetch-urls"),
        (bytes(200_001), {}, 413, "200000"),
    ],
)
def test_a_body_that_is_no_image_is_refused_in_one_line(client, caplog, content, headers, status, words):
    assert words in error_of(client.post(PREDICT, content=content, headers=headers), status)
    assert not [record for record in caplog.records if record.name.startswith("python_multipart")], "no line for each request"


def test_images_past_the_limits_are_refused(client):
    many = [("a", (f"{number}.png", PNG)) for number in range(4)]
    assert "3" in error_of(client.post(PREDICT, files=many), 400)
    assert "for one" in error_of(client.post(f"{PREDICT}?output=png", files=many[:2]), 400)
    bomb = file_of(Image.new("1", (70_000, 1_000)))
    assert "max_image_pixels" in error_of(client.post(PREDICT, content=bomb), 422)


def test_the_description_of_models_and_addresses(client):
    models = client.get("/v1/models").json()["models"]
    assert [model["name"] for model in models] == ["toy", "boxes", "masks"]
    assert [model["task"] for model in models] == ["classification", "detection", "segmentation"]
    assert client.get("/v1/models/masks").json() == models[2]
    assert models[2]["background"] == 0
    status = client.get("/v1/status").json()
    assert status["memory_bytes"] > 10_000_000
    assert (status["ready"], status["workers"]) == (True, 2)
    document = client.get("/openapi.json").json()
    from mobilenet.serving.app import TABLE

    missing = {("/openapi.json", "get"), ("/docs", "get")}
    described = {(path, method) for path, item in document["paths"].items() for method in item if method != "parameters"}
    assert described | missing == {(path, method.lower()) for method, path, _ in TABLE if "{version}" not in path}
    references = set()

    def walk(value):
        if isinstance(value, dict):
            references.update([value["$ref"]] if "$ref" in value else [])
            value = list(value.values())
        for each in value if isinstance(value, list) else []:
            walk(each)

    walk(document)
    assert {f"#/components/schemas/{name}" for name in document["components"]["schemas"]} == references
    page = client.get("/docs").text
    assert all(path in page for path, _ in described)


def test_kserve_runs_the_network(client, files):
    metadata = client.get("/v2/models/boxes").json()
    assert metadata["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 3, 33, 33]}]
    predict = mobilenet.load(files["boxes"], threads=1)
    images = np.random.default_rng(3).standard_normal((2, 3, 33, 33)).astype(np.float32)
    expected = predict.runtime(images)
    assert {entry["name"]: entry["shape"][1:] for entry in metadata["outputs"]} == {
        name: list(array.shape[1:]) for name, array in expected.items()
    }
    tensor = {"name": "input", "shape": [2, 3, 33, 33], "datatype": "FP32"}
    request = {"id": "7", "inputs": [{**tensor, "data": images.tolist()}]}
    answer = client.post("/v2/models/boxes/infer", json=request).json()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("7", "boxes", "1")
    for entry in answer["outputs"]:
        array = np.array(entry["data"], np.float32).reshape(entry["shape"])
        assert np.array_equal(array, expected[entry["name"]])
    name = metadata["outputs"][1]["name"]
    wanted = [{"name": name, "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": images.nbytes}}], "outputs": wanted}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "content-type": "application/octet-stream"}
    binary = client.post("/v2/models/boxes/versions/1/infer", content=head + images.tobytes(), headers=headers)
    length = int(binary.headers["inference-header-content-length"])
    (entry,) = json.loads(binary.content[:length])["outputs"]
    assert entry["parameters"]["binary_data_size"] == len(binary.content) - length
    assert np.array_equal(np.frombuffer(binary.content[length:], "<f4").reshape(entry["shape"]), expected[name])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "x"}, "'input'"),
        ({"datatype": "INT8"}, "FP32"),
        ({"shape": [1, 3, 32, 33]}, "[N, 3, 32, 32]"),
        ({"shape": [65, 3, 32, 32]}, "at most 64"),
        ({"shape": [True, 3, 32, 32]}, "[N, 3, 32, 32]"),
        ({"data": [1, 2]}, "3072"),
        ({"data": [[1], [2, 3]]}, "equal lengths"),
        ({"data": ["1"] * 3072}, "numbers only"),
        ({"data": [1e39] * 3072}, "float32"),
        ({"parameters": {"binary_data_size": 12288}}, "binary_data_size"),
    ],
)
def test_kserve_refuses_tensors_that_do_not_fit(client, change, words):
    tensor = {"name": "input", "shape": [1, 3, 32, 32], "datatype": "FP32", "data": [0] * 3072, **change}
    assert words in error_of(client.post("/v2/models/toy/infer", json={"inputs": [tensor]}), 400)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[]", "object"),
        (b"{", "JSON"),
        (b"[" * 2000, "JSON"),
        (b'{"inputs": []}', "one tensor"),
        (b'{"inputs": [{}], "id": 5}', "id"),
    ],
)
def test_kserve_refuses_bodies_that_are_no_request(client, body, words):
    assert words in error_of(client.post("/v2/models/toy/infer", content=body), 400)
    assert "Content-Length" in error_of(
        client.post("/v2/models/toy/infer", content=body, headers={"Inference-Header-Content-Length": "99999"}), 400
    )


def test_metrics_count_what_happened(client):
    """Read by a parser of the text format that is not ours: each sample is a name, labels and a number."""
    import re

    client.post(PREDICT, content=PNG)
    client.post(PREDICT, content=b"x")
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples, kinds = {}, {}
    for line in response.text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            kinds[name] = kind
        elif not line.startswith("#"):
            match = re.fullmatch(r'([a-z_]+)((?:\{(?:[a-z]+="[^"]*",?)+\})?) ([0-9.e+-]+|\+Inf)', line)
            assert match, line
            samples[match[1] + match[2]] = float(match[3])
    labels = '{{route="/v1/models/{{model}}/predict",model="toy",status="{}"}}'
    assert samples["mobilenet_requests_total" + labels.format(200)] >= 1
    assert samples["mobilenet_requests_total" + labels.format(422)] >= 1
    count = samples['mobilenet_network_seconds_count{model="toy"}']
    assert samples['mobilenet_network_seconds_bucket{model="toy",le="+Inf"}'] == count
    assert samples['mobilenet_images_total{model="toy"}'] == count
    assert samples["mobilenet_held_bytes"] == samples["mobilenet_workers_busy"] == 0
    assert kinds["mobilenet_network_seconds"] == "histogram"


def test_the_page_loads_nothing_from_elsewhere(client):
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "//" not in policy
    assert client.get("/", headers={"if-none-match": page.headers["etag"]}).status_code == 304
    colors = client.get("/palette.json").json()
    from mobilenet.images.palette import class_color

    assert colors["colors"][5][0] == "#{:02x}{:02x}{:02x}".format(*class_color(5))
    assert client.get("/__init__.py").status_code == client.get("/../settings.py").status_code == 404
