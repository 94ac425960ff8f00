"""Network kinds by name: the one place that a new architecture is added to."""
from .edsr import Edsr
from .nlrn import Nlrn
from .rcan import Rcan
from .san import San
from .san_light import SanLight
from .san_plain import SanPlain
from .small import Small
from .srcnn import Srcnn
from .srresnet import SrResNet

KINDS = {"edsr": Edsr, "nlrn": Nlrn, "rcan": Rcan, "san": San, "san-light": SanLight, "san-plain": SanPlain, "small": Small,
         "srcnn": Srcnn, "srresnet": SrResNet}


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
