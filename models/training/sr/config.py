"""One TOML file a model -> a checked `Config`. An unknown key is an error, so that a typo cannot pass unseen."""
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path


@dataclass
class Data:
    """Where patches come from. `patch` is in LR pixels; `candidates` 1 turns the preference for detail off;
    `flat` is the share of patches of one color, which teaches a flat image to stay flat up to its border, and `drawn`
    the share that sr/drawing.py draws: documents, screens, line art; `piece` patches are worked on at a time on a CPU."""

    degradation: str = "BI"
    patch: int = 32
    batch: int = 16
    piece: int = 4
    candidates: int = 2
    flat: float = 0.0
    drawn: float = 0.0


@dataclass
class Train:
    """The run. It ends after `steps`, or after `minutes` of training time where that is above 0. The rate warms up, stays,
    and falls over the last share `decay` of the budget. `loss` is "l1", or "l2" for a last turn (sr/workers.py)."""

    steps: int = 10000
    minutes: float = 0.0
    optimizer: str = "adam"
    loss: str = "l1"
    rate: float = 5e-4
    rate_floor: float = 0.002
    decay: float = 0.15
    warmup_steps: int = 200
    weight_decay: float = 0.0  # of Muon's parameters, times the rate, a step
    ema: float = 0.999
    seed: int = 1
    threads: int = 0
    eval_every: int = 1000
    eval_set: str = "Set5"
    save_minutes: float = 5.0


@dataclass
class Adversarial:
    """The second network of sr/srgan.py and the weights of its losses: pixels (0..1), features of the discriminator,
    adversarial."""

    channels: int = 64
    rate: float = 1e-4
    pixel: float = 1.0
    feature: float = 1.0
    adversarial: float = 5e-3


@dataclass
class Config:
    """A whole configuration file; `network` holds "kind" and that network's own arguments."""

    name: str
    network: dict
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=Train)
    adversarial: Adversarial = field(default_factory=Adversarial)


def _fill(cls, table, where):
    known = {f.name: f.type for f in fields(cls)}
    for key, value in table.items():
        if key not in known:
            raise ValueError(f"{where}.{key}: unknown; expected one of {', '.join(known)}")
        wanted = known[key]
        if not isinstance(value, (int, float) if wanted is float else wanted) or isinstance(value, bool):
            raise ValueError(f"{where}.{key} = {value!r}: expected {wanted.__name__}")
    return cls(**table)


def load(path):
    """Read and check a configuration file."""
    with open(path, "rb") as file:
        raw = tomllib.load(file)
    unknown = set(raw) - {"name", "network", "data", "train", "adversarial"}
    if unknown:
        raise ValueError(f"{path}: unknown section {', '.join(sorted(unknown))}")
    if "kind" not in raw.get("network", {}):
        raise ValueError(f"{path}: network.kind is missing")
    name = raw.get("name", Path(path).stem)
    return Config(name, raw["network"], _fill(Data, raw.get("data", {}), "data"),
                  _fill(Train, raw.get("train", {}), "train"),
                  _fill(Adversarial, raw.get("adversarial", {}), "adversarial"))
