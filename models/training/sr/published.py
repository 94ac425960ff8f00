"""What the papers report at x4, bicubic degradation: PSNR on luma in dB, and where each figure is printed.

SRResNet and SRGAN were measured by their authors with their own preparation of the images, which puts them above what
later papers measure for them.
"""
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A system as its paper reports it; `stand_in` names the model of this project that follows its idea."""

    label: str
    stand_in: str
    source: str
    psnr: dict


PUBLISHED = (
    Published("Bicubic", "bicubic", "Dai et al. 2019, results with BI", {"Set5": 28.42, "Set14": 26.00, "BSD100": 25.96}),
    Published("SRCNN", "srcnn", "Dai et al. 2019, results with BI", {"Set5": 30.48, "Set14": 27.50, "BSD100": 26.90}),
    Published("SRResNet", "small-srresnet", "Ledig et al. 2017, table 2", {"Set5": 32.05, "Set14": 28.49, "BSD100": 27.58}),
    Published("SRGAN", "srgan", "Ledig et al. 2017, table 2", {"Set5": 29.40, "Set14": 26.02, "BSD100": 25.16}),
    Published("EDSR-baseline", "small-none", "as later papers measure the authors' weights",
              {"Set5": 32.09, "Set14": 28.58, "BSD100": 27.57}),
    Published("NLRN", "small-nlrn", "Liu et al. 2018, results in super-resolution", {"Set5": 31.92, "Set14": 28.36, "BSD100": 27.48}),
    Published("RCAN", "small-rcan", "Zhang et al. 2018, results with BI",
              {"Set5": 32.63, "Set14": 28.87, "BSD100": 27.77, "Urban100": 26.82, "Manga109": 31.22}),
    Published("SAN", "small-san", "Dai et al. 2019, results with BI",
              {"Set5": 32.64, "Set14": 28.92, "BSD100": 27.78, "Urban100": 26.79, "Manga109": 31.18}),
)
