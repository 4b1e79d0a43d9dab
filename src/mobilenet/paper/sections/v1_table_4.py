"""MobileNetV1's Tables 4 and 5: separable against full convolutions, and thinner against shallower."""

from __future__ import annotations

from ...network.cost import cost
from ...network.layers import Network
from ...network.mobilenet import MOBILENET_V1_SHALLOW, mobilenet_v1
from .printed import agree
from .section import Compared, Material, Prose, Section, Table, counted


def row(name: str, network: Network, top1: str, madds: str, params: str) -> tuple[str, str, Compared, Compared]:
    ledger = cost(network)
    return name, top1, Compared(madds, ledger.madds, why(madds, network)), Compared(params, ledger.params)


def why(madds: str, network: Network) -> str:
    """What explains printed MAdds that are not those of `network`: a classifier left out, or one for ImageNet's classes."""
    ledger = cost(network)
    classifier = ledger.layers[-1].madds
    if agree(madds, ledger.madds - classifier):
        return f"Without the classifier's {classifier:,} ours is what the paper prints."
    thousand = cost(network.with_classes(1000)).madds
    if agree(madds, thousand):
        return f"With a classifier for ImageNet's 1000 classes ours is {thousand / 1e6:.1f}M."
    return ""


COLUMNS = ("network", "top-1 in the paper, %", "MAdds", "params")


def make(material: Material) -> Section:
    full, separable = mobilenet_v1(convolution="full"), mobilenet_v1()
    thin, shallow = mobilenet_v1(0.75), mobilenet_v1(rows=MOBILENET_V1_SHALLOW)
    four = Table(
        "Table 4",
        COLUMNS,
        (
            row("with full convolutions", full, "71.7", "4866M", "29.3M"),
            row("MobileNet", separable, "70.6", "569M", "4.2M"),
        ),
    )
    five = Table(
        "Table 5",
        COLUMNS,
        (
            row("0.75 MobileNet, thinner", thin, "68.4", "325M", "2.6M"),
            row("shallow MobileNet", shallow, "65.3", "307M", "2.9M"),
        ),
    )
    missing = len(separable.blocks()) - len(shallow.blocks())
    text = Prose(
        f"""Table 4 asks what the separable form costs in accuracy: one point in a hundred, for
        {cost(full).madds / cost(separable).madds:.1f} times less work. Table 5 asks which way to make a network smaller. One
        candidate keeps all layers and takes a quarter of the channels from each; the other keeps the channels and leaves out
        {missing} layers of 14 x 14 x 512. Both cost about the same. In the paper the thinner one is three points better. The
        same comparison is trained here too, at a small size; the chapter on trainings has its verdict."""
    )
    return Section(
        "v1-table-4",
        "Thinner is better than shallower",
        "MobileNetV1, section 4.1, Tables 4 and 5",
        "Separable convolutions lose one point of accuracy for about nine times less work; at equal cost a thinner network "
        "beats a "
        "shallower one by three points.",
        (text, four, five),
        counted(four, five),
    )
