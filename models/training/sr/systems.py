"""The systems that the replication compares, each a body of sr/small.py at 0.2 to 0.4 M parameters and x4.

The first five differ in the attention alone and answer the talk's question over three seeds; the rest stand for the
other papers, with one. Every setting beside the body is that of configs/replicate.toml.
"""
from dataclasses import dataclass

ATTENTION = {"kind": "small", "body": "attention", "channels": 32, "groups": 3, "blocks": 3}
SAN_PAPER = "Dai et al., Second-order Attention Network for Single Image Super-Resolution, CVPR 2019"


@dataclass(frozen=True)
class System:
    """`name` is that of the model's folder; `label` that of tables; `network` the [network] table."""

    name: str
    label: str
    paper: str
    network: dict
    seeds: tuple = (1,)


SYSTEMS = {s.name: s for s in (
    System("small-none", "no attention", "the residual body of " + SAN_PAPER, ATTENTION, (1, 2, 3)),
    System("small-se", "first order (SE)", "Hu et al., Squeeze-and-Excitation Networks, CVPR 2018",
           ATTENTION | {"attention": "first"}, (1, 2, 3)),
    System("small-nonlocal", "non-local", "Wang et al., Non-local Neural Networks, CVPR 2018",
           ATTENTION | {"region": 32}, (1, 2, 3)),
    System("small-soca", "second order (SOCA)", SAN_PAPER, ATTENTION | {"attention": "second"}, (1, 2, 3)),
    System("small-san", "SOCA and region-level non-local (SAN)", SAN_PAPER,
           ATTENTION | {"attention": "second", "region": 16}, (1, 2, 3)),
    System("small-rcan", "residual in residual (RCAN)",
           "Zhang et al., Image Super-Resolution Using Very Deep Residual Channel Attention Networks, ECCV 2018",
           {"kind": "small", "body": "rcan", "channels": 32, "groups": 3, "blocks": 3}),
    System("small-srresnet", "SRResNet",
           "Ledig et al., Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network, CVPR 2017",
           {"kind": "small", "body": "srresnet", "channels": 32, "blocks": 10}),
    System("small-nlrn", "recurrence (NLRN)",
           "Liu et al., Non-Local Recurrent Network for Image Restoration, NeurIPS 2018",
           {"kind": "small", "body": "nlrn", "channels": 96, "inner": 32, "unrollings": 6, "region": 16}),
)}
