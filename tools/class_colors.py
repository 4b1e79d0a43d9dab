"""Chooses the colors of classes: `python tools/class_colors.py` prints the table in src/mobilenet/images/palette.py.

Farthest-point sampling in OKLab (Ottosson, 2020), where equal distances look equally different: each color is the candidate
whose nearest color chosen before is farthest away. Candidates are colors of a grid over sRGB that stand out on photos: not
dark, pale or gray. Classes of near numbers are often of one kind and on one image (bus, train, truck), so distances to the last
`NEAR` colors count less: near ones must differ more. The first colors are the most distinct.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NUM_COLORS = 256
FIRST = (38, 73, 255)  # blue. Of fifty colors it sets things apart that are often together, in COCO and in VOC: cat and sofa
GRID_STEP = 5
LIGHTNESS, CHROMA = (0.5, 0.87), (0.12, 0.25)
LIGHTNESS_SHARE = 0.5  # of a difference in lightness: under a tint, the image's own light and dark hide it
NEAR, NEAR_SHARE = 12, 0.6  # a distance to one of the last 12 colors counts as 0.6 of it


def oklab(colors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) sRGB from 0 to 1 -> (N, 3) L, a, b."""
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    cones = np.cbrt(
        linear @ [[0.4122214708, 0.2119034982, 0.0883024619], [0.5363325363, 0.6806995451, 0.2817188376],
                  [0.0514459929, 0.1073969566, 0.6299787005]]
    )  # fmt: skip
    lab: NDArray[np.float64] = cones @ [
        [0.2104542553, 1.9779984951, 0.0259040371],
        [0.7936177850, -2.4285922050, 0.7827717662],
        [-0.0040720468, 0.4505937099, -0.8086757660],
    ]
    return lab


def class_colors(count: int = NUM_COLORS) -> list[tuple[int, int, int]]:
    levels = np.arange(0, 256, GRID_STEP)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = oklab(grid / 255)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    stands_out = (lab[:, 0] >= LIGHTNESS[0]) & (lab[:, 0] <= LIGHTNESS[1]) & (chroma >= CHROMA[0]) & (chroma <= CHROMA[1])
    grid, lab = grid[stands_out], lab[stands_out] * (LIGHTNESS_SHARE, 1, 1)
    chosen = [int(np.abs(grid - FIRST).sum(axis=1).argmin())]
    distances = np.empty((count, len(grid)))
    for number in range(1, count):
        distances[number - 1] = np.linalg.norm(lab - lab[chosen[-1]], axis=1)
        far = distances[: max(number - NEAR, 0)].min(axis=0, initial=np.inf)
        near = distances[max(number - NEAR, 0) : number].min(axis=0) * NEAR_SHARE
        chosen.append(int(np.minimum(far, near).argmax()))
    return [(int(red), int(green), int(blue)) for red, green, blue in grid[chosen]]


if __name__ == "__main__":
    text = bytes(value for color in class_colors() for value in color).hex()
    print("\n".join(f'    "{text[start : start + 96]}"' for start in range(0, len(text), 96)))
