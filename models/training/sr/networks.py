"""Network kinds by name: the one place that a new architecture is added to."""
from .san import San
from .san_light import SanLight
from .san_plain import SanPlain
from .srcnn import Srcnn

KINDS = {"san": San, "san-light": SanLight, "san-plain": SanPlain, "srcnn": Srcnn}


def build(network, scale):
    """Make the network of a configuration's [network] table at `scale`."""
    arguments = dict(network)
    kind = arguments.pop("kind")
    if kind not in KINDS:
        raise ValueError(f"network.kind {kind!r}: expected one of {', '.join(KINDS)}")
    return KINDS[kind](scale, **arguments)


def count_parameters(network):
    """All learned numbers."""
    return sum(p.numel() for p in network.parameters())
