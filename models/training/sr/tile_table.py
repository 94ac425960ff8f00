"""The table by which the tile shape and the halo were chosen: PSNR-Y of tiled against whole-image inference.

    python -m sr.tile_table ../san-light/x4.onnx --scale 4 --sets Set5 Set14
"""
import argparse

from .evaluate import WHOLE_MULTIPLE, evaluate
from .export import run, session
from .tiling import padded, tiled


def main(argv=None):
    parser = argparse.ArgumentParser(prog="sr.tile_table", description=__doc__.split("\n\n")[0])
    parser.add_argument("model")
    parser.add_argument("--scale", type=int, required=True, choices=(2, 3, 4))
    parser.add_argument("--sets", nargs="+", default=["Set5", "Set14"])
    parser.add_argument("--tiles", type=int, nargs="+", default=[48, 72, 84, 96, 108])
    parser.add_argument("--halos", type=int, nargs="+", default=[4, 8])
    args = parser.parse_args(argv)
    made = session(args.model)

    def upscale(planes):
        return run(made, planes)

    whole = [evaluate(padded(upscale, args.scale, WHOLE_MULTIPLE), name, args.scale)[0] for name in args.sets]
    print(f"| tile | halo | pixels computed for one of the image | {' | '.join(args.sets)} |")
    print("|---|---|---|" + "---|" * len(args.sets))
    print(f"| whole | | 1.00 | {' | '.join(f'{v:.3f}' for v in whole)} |", flush=True)
    for tile in args.tiles:
        for halo in args.halos:
            cells = []
            for name, reference in zip(args.sets, whole):
                psnr, _ = evaluate(tiled(upscale, args.scale, tile, halo), name, args.scale)
                cells.append(f"{psnr:.3f} ({psnr - reference:+.3f})")
            work = (tile / (tile - 2 * halo)) ** 2
            print(f"| {tile} x {tile} | {halo} | {work:.2f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
