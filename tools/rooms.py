"""The rooms of src/mobilenet and the imports between them: drawn from the code, held by tests/test_package.py.

A room is a folder of the package, or a module that stands at its top. `python tools/rooms.py` prints the drawing, and
`--write` puts it into docs/architecture.md.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "mobilenet"
PAGE = ROOT / "docs" / "architecture.md"
START, END = "<!-- rooms -->", "<!-- end -->"

TOWER = [
    "__main__",
    "cli",
    "paper", "paper/sections", "paper/studies", "paper/systems",
    "training/run", "training", "training/recipes", "training/input", "training/optim",
    "hub",
    "bench",
    "parity",
    "quantizing",
    "cluster",
    "serving",
    "predict",
    "pages",
    "runtimes",
    "exports",
    "web",
    "serving/page",
    "nn",
    "zoo",
    "convert", "convert/readers",
    "engine", "engine/plan",
    "checking",
    "analysis",
    "data",
    "modelfile",
    "tensorfile",
    "tasks",
    "drawing",
    "video",
    "images",
    "network",
    "tensors",
    "charts",
    "transfer",
    "files",
    "settings",
    "limits",
    "values",
    "errors",
]  # fmt: skip
"""The rooms from the roof to the ground. Each imports only rooms that stand below it."""


def modules() -> dict[str, Path]:
    """Every module by dotted name, ``network.layers``; the package itself is ``""``."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room(module: str) -> str:
    """``training.run.loop`` stands in ``training/run``, ``values`` in itself."""
    path = modules_by_name[module]
    folder = path.relative_to(PACKAGE).parent
    return folder.as_posix() if folder.parts else module


modules_by_name = modules()


def imported(path: Path, types: bool = False) -> Iterator[tuple[str, bool]]:
    """(dotted name, whether at the top of the file) of all that a file imports; of this package as ``mobilenet.x.y``.

    Imports that only a type checker sees are left out unless `types`.
    """
    tree = ast.parse(path.read_text("utf-8"))
    package = ["mobilenet", *path.relative_to(PACKAGE).parent.parts]
    unseen = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
        if not types
    }
    for node in ast.walk(tree):
        if node in unseen:
            continue
        top = node in tree.body
        if isinstance(node, ast.Import):
            yield from ((alias.name, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((f"{source}.{alias.name}", top) for alias in node.names)


def module_imports(types: bool = False) -> dict[str, set[str]]:
    """For every module, the modules of this package that it imports, inside functions too."""
    graph: dict[str, set[str]] = {}
    for name, path in modules_by_name.items():
        graph[name] = set()
        for target, _ in imported(path, types):
            if not target.startswith("mobilenet."):
                continue
            inner = target.removeprefix("mobilenet.")
            while inner and inner not in modules_by_name:
                inner = inner.rpartition(".")[0]
            if inner and inner != name:
                graph[name].add(inner)
    return graph


def room_imports(types: bool = False) -> dict[str, set[str]]:
    """For every room, the other rooms it imports. The package's lazy front door is left out."""
    graph: dict[str, set[str]] = {}
    for name, targets in module_imports(types).items():
        if name:
            graph.setdefault(room(name), set()).update(room(target) for target in targets)
    return {here: {there for there in targets if there != here} for here, targets in graph.items()}


def floors(graph: dict[str, set[str]]) -> dict[str, int]:
    """The ground is 1; a room stands one above the highest it imports."""
    heights: dict[str, int] = {}

    def height(here: str, path: tuple[str, ...] = ()) -> int:
        if here in path:
            raise ValueError(f"circle: {' -> '.join([*path, here])}")
        if here not in heights:
            heights[here] = 1 + max((height(there, (*path, here)) for there in graph[here]), default=0)
        return heights[here]

    for here in graph:
        height(here)
    return heights


def upward(graph: dict[str, set[str]]) -> list[str]:
    """Imports that do not run downwards in the tower."""
    place = {name: number for number, name in enumerate(TOWER)}
    return [f"{here} -> {there}" for here in graph for there in sorted(graph[here]) if place[there] <= place[here]]


def purpose(name: str) -> str:
    """The first line of a room's docstring."""
    path = PACKAGE / name / "__init__.py" if (PACKAGE / name).is_dir() else PACKAGE / f"{name}.py"
    return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]


def drawing() -> str:
    """The rooms by floor, with what each is for and what it imports, as Markdown."""
    graph = room_imports()
    heights = floors(graph)
    lines = ["| floor | room | what it is for | imports |", "| ---: | --- | --- | --- |"]
    for name in sorted(graph, key=lambda name: (-heights[name], TOWER.index(name))):
        lines.append(f"| {heights[name]} | `{name}` | {purpose(name)} | {', '.join(sorted(graph[name]))} |")
    arrows = sum(map(len, graph.values()))
    lines += ["", f"{len(graph)} rooms, {max(heights.values())} floors, {arrows} imports between rooms, "
              f"{len(upward(graph))} of them upward."]  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    if "--write" in sys.argv:
        text = PAGE.read_text("utf-8")
        head, _, rest = text.partition(START)
        PAGE.write_text(f"{head}{START}\n{drawing()}\n{END}{rest.partition(END)[2]}", "utf-8")
    else:
        print(drawing())
