"""SRGAN: a trained SRResNet, tuned against a discriminator; resumes as sr/train.py does.

    python -m sr.srgan --init-from runs/replicate/small-srresnet-5000-seed1/last.pt --out ../zoo/srgan

Ledig et al. (CVPR 2017) weigh a loss on VGG's features with an adversarial one (eqs. 3, 5, 6). Two parts differ. No
VGG trained on photographs is available to this project, so the features that are matched are the discriminator's
own, stage by stage (feature matching: Salimans et al., NeurIPS 2016, section 3.1; by stages: Wang et al., pix2pixHD,
CVPR 2018, eq. 4). And the discriminator is relativistic average (Jolicoeur-Martineau, ICLR 2019; in super-resolution
ESRGAN, Wang et al., ECCVW 2018, eqs. 1 and 2), which settles faster; the pixel loss is ESRGAN's L1.

    loss = pixel * L1 / 255 + feature * mean over stages of L1(features) + adversarial * relativistic loss
"""
import argparse
from pathlib import Path

import torch
import torch.nn.functional as F

from . import config as configuration
from . import train as trainer
from .data import Crops, data_root
from .srresnet import Discriminator
from .zoo import SETS, ZOO, settled, write_model

HERE = Path(__file__).resolve().parents[1]
SCALE = 4


def relativistic(real, fake):
    """Loss of telling `real` logits from `fake` ones: each against the mean of the others (ESRGAN, eq. 1)."""
    ahead = F.binary_cross_entropy_with_logits(real - fake.mean(), torch.ones_like(real))
    behind = F.binary_cross_entropy_with_logits(fake - real.mean(), torch.zeros_like(fake))
    return (ahead + behind) / 2


class AdversarialRun(trainer.Run):
    """A run with a discriminator. `losses` are those of the last step."""

    def __init__(self, config, scale, folder, device):
        super().__init__(config, scale, folder, device)
        self.workers = None  # batch normalization and the relativistic loss want the whole batch
        self.discriminator = Discriminator(scale * config.data.patch, config.adversarial.channels).to(device)
        self.judge_optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=config.adversarial.rate, betas=(0.9, 0.99))
        self.losses = {}

    def state(self):
        return super().state() | {"discriminator": self.discriminator.state_dict(), "judge": self.judge_optimizer.state_dict()}

    def restore(self, state):
        super().restore(state)
        self.discriminator.load_state_dict(state["discriminator"])
        self.judge_optimizer.load_state_dict(state["judge"])

    def figures(self):
        return {k: round(v, 4) for k, v in self.losses.items()}

    def _judged(self, x):
        """(features of every stage, logits), float32."""
        with torch.autocast(self.device, torch.bfloat16):
            features = self.discriminator.features(x)
            logits = self.discriminator.judge(features[-1])
        return [f.float() for f in features], logits.float()

    def _train_discriminator(self, sr, hr):
        for group in self.judge_optimizer.param_groups:
            group["lr"] = self.config.adversarial.rate * self.factor()
        loss = relativistic(self._judged(hr)[1], self._judged(sr)[1])
        self.judge_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.judge_optimizer.step()
        return loss

    def backward(self, lr, hr):
        """One update of the discriminator, then the gradients of the network; returns its loss."""
        weights = self.config.adversarial
        with torch.autocast(self.device, torch.bfloat16):
            sr = self.network(lr.contiguous(memory_format=torch.channels_last))
        judged = self._train_discriminator(sr.detach(), hr)
        self.discriminator.requires_grad_(False)
        with torch.no_grad():
            of_real, real = self._judged(hr)
        of_fake, fake = self._judged(sr)
        self.discriminator.requires_grad_(True)
        pixel = F.l1_loss(sr, hr) / 255
        feature = torch.stack([F.l1_loss(a, b) for a, b in zip(of_fake, of_real)]).mean()
        adversarial = relativistic(fake, real)
        loss = weights.pixel * pixel + weights.feature * feature + weights.adversarial * adversarial
        loss.backward()
        self.losses = {k: float(v.detach()) for k, v in {
            "discriminator": judged, "pixel": pixel, "feature": feature, "adversarial": adversarial,
            "ahead": real.mean() - fake.mean()}.items()}
        return loss.detach()


def export(run, crops, folder, sets=SETS):
    """The averaged network as a model's folder."""
    write_model(folder, settled(run.averaged(), crops, run.config.data.patch), "SRGAN, small",
                "Tuned against a discriminator: sharper, and it invents detail that was not in the scene. Not for documents, "
                "faces that must be true, or measurements.",
                "Ledig et al., Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network, CVPR 2017",
                "python -m sr.replicate, then python -m sr.srgan: relativistic, feature matching in place of VGG",
                run.step, sets)


def tune(start, crops, folder, model, sets=SETS, config=None, scale=SCALE):
    """Tune the network of checkpoint `start`, in run `folder`, and write it as `model`. Resumes. Returns the run."""
    config = config or configuration.load(HERE / "configs" / "srgan.toml")
    run = AdversarialRun(config, scale, folder, "cpu")
    if not run.resume():
        run.initialize(start)
    trainer.train(run, crops)
    if run.progress() >= 1:
        export(run, crops, model, sets)
    return run


def main(argv=None):
    parser = argparse.ArgumentParser(prog="sr.srgan", description=__doc__.split("\n\n")[0])
    parser.add_argument("--config", type=Path, default=HERE / "configs" / "srgan.toml")
    parser.add_argument("--init-from", type=Path, required=True, help="last.pt of the SRResNet's run")
    parser.add_argument("--run", type=Path, default=trainer.RUNS / "replicate" / "srgan")
    parser.add_argument("--out", type=Path, default=ZOO / "srgan", help="where the model's folder goes (default ../zoo/srgan)")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--train-dir", type=Path)
    args = parser.parse_args(argv)
    config = configuration.load(args.config)
    if args.steps:
        config.train.steps = args.steps
    crops = Crops(args.train_dir or data_root() / "train", SCALE, config.data.degradation, trainer.RUNS / "cache")
    tune(args.init_from, crops, args.run, args.out, config=config)


if __name__ == "__main__":
    main()
