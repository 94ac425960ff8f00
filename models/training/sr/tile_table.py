"""The table by which the largest area of a tile and the halo were chosen: PSNR-Y of tiled against whole-image inference.

    python -m sr.tile_table ../san-light/x4.onnx --scale 4 --sets Set5 Set14
"""
import argparse
from dataclasses import replace
from pathlib import Path

from .evaluate import WHOLE_MULTIPLE, evaluate
from .export import run, session
from .tiling import bounds_of, padded, served


def main(argv=None):
    parser = argparse.ArgumentParser(prog="sr.tile_table", description=__doc__.split("\n\n")[0])
    parser.add_argument("model")
    parser.add_argument("--scale", type=int, required=True, choices=(2, 3, 4))
    parser.add_argument("--sets", nargs="+", default=["Set5", "Set14"])
    parser.add_argument("--areas", type=int, nargs="+", default=[48**2, 108**2, 120 * 108, 160**2, 216**2])
    parser.add_argument("--halos", type=int, nargs="+", default=[4, 8])
    args = parser.parse_args(argv)
    made = session(args.model)

    def upscale(planes):
        return run(made, planes)

    whole = [evaluate(padded(upscale, args.scale, WHOLE_MULTIPLE), name, args.scale)[0] for name in args.sets]
    print(f"| area at most | halo | {' | '.join(args.sets)} |")
    print("|---|---|" + "---|" * len(args.sets))
    print(f"| whole images | | {' | '.join(f'{v:.3f}' for v in whole)} |", flush=True)
    of_model = bounds_of(Path(args.model).parent)
    for area in args.areas:
        for halo in args.halos:
            bounds = replace(of_model, max_area=area, halo=halo)
            cells = []
            for name, reference in zip(args.sets, whole):
                psnr, _ = evaluate(served(upscale, args.scale, bounds), name, args.scale)
                cells.append(f"{psnr:.3f} ({psnr - reference:+.3f})")
            print(f"| {area} | {halo} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
