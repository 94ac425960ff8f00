"""Official checkpoints: which network a state dict is of, by its names, and that network with its weights.

Known are those of SAN's, RCAN's and EDSR's authors (the baseline). Each importer asks for every name and shape.
"""
import torch

from . import edsr, rcan, san

IMPORTERS = {"SAN": (san.recognizes, san.import_checkpoint), "RCAN": (rcan.recognizes, rcan.import_checkpoint),
             "EDSR": (edsr.recognizes, edsr.import_checkpoint)}


def import_checkpoint(state, scale):
    """The network, in evaluation mode, of a state dict {name: tensor}; prefixes left by wrappers are taken away."""
    state = {k.removeprefix("module.").removeprefix("model."): v for k, v in state.items()}
    for recognizes, importer in IMPORTERS.values():
        if recognizes(state):
            return importer(state, scale)
    raise ValueError(f"not a state dict of {', '.join(IMPORTERS)}: no network has these names")


def read(path, scale):
    """The network of a file; read as plain tensors, since a pickle from elsewhere could run code."""
    return import_checkpoint(torch.load(path, map_location="cpu", weights_only=True), scale)
