"""Documents, screens and line art drawn by code, at random, as high-resolution training images.

What photographs lack and what people send: text of many sizes, dark on light and light on dark; user interfaces with
hairlines of any gray; tables; line art; screentones; logos with soft shadows. Everything is drawn at twice the size and
reduced by area, so edges are smooth. Fonts are those of the distribution's packages fonts-dejavu, fonts-liberation,
fonts-noto-core and fonts-ipafont (models/ATTRIBUTION.md has their licenses); matplotlib's DejaVu where none is installed.
"""
import math
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

FONT_FOLDERS = ("/usr/share/fonts/truetype", "/usr/share/fonts/opentype")
LATIN = ("dejavu/DejaVuSans*.ttf", "dejavu/DejaVuSerif*.ttf", "liberation/*.ttf", "noto/NotoSans-*.ttf", "noto/NotoSerif-*.ttf",
         "noto/NotoSansDisplay-*.ttf", "noto/NotoSansMono-*.ttf")
JAPANESE = ("ipafont-gothic/*.ttf", "ipafont-mincho/*.ttf")
LETTERS = "etaoinshrdlucmfwypvbgkqjxz" * 2 + "ETAOINSHRDLUCMFWYPVBGKQJXZ" + "äöüéèçñß.,:;-@/()&'"
DIGITS = "0123456789" * 3 + "+-.,/()%€$"
KANA = "".join(chr(c) for c in range(0x3041, 0x3094)) + "".join(chr(c) for c in range(0x30A1, 0x30F6))
# The common kanji: level 1 of JIS X 0208, rows 16 to 47.
KANJI = b"".join(bytes((row, cell)) for row in range(0xB0, 0xCF) for cell in range(0xA1, 0xFF)).decode("euc_jp")
TEXT_SIZES = (6.0, 48.0)  # heights in LR pixels
BILEVEL = 0.2  # share of documents whose LR is black and white alone
OVERSAMPLING = 2


@lru_cache(maxsize=1)
def font_files():
    """(Latin, Japanese) paths of the installed fonts."""
    def found(patterns):
        return tuple(sorted(str(p) for folder in FONT_FOLDERS for pattern in patterns for p in Path(folder).glob(pattern)))

    import matplotlib

    own = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
    return found(LATIN) or (own,), found(JAPANESE)


@lru_cache(maxsize=512)
def _font(path, size):
    return ImageFont.truetype(path, size)


class Drawings:
    """Draws one image at a time; everything random comes from the generator that is passed."""

    def __init__(self):
        self.latin, self.japanese = font_files()
        self.kinds = ((self._page, 0.38), (self._interface, 0.24), (self._table, 0.10), (self._line_art, 0.12),
                      (self._screentone, 0.06), (self._logo, 0.10))

    def draw(self, rng, side, scale):
        """(HR uint8 (side, side, 3), whether its LR is to be black and white alone)."""
        shares = [share for _, share in self.kinds]
        kind = self.kinds[int(rng.choice(len(shares), p=shares))][0]
        ground, ink = _colors(rng)
        bilevel = kind in (self._page, self._table, self._line_art, self._screentone) and rng.random() < BILEVEL
        if bilevel:
            ground, ink = (255, 255, 255), (0, 0, 0)
        unit = scale * OVERSAMPLING  # one LR pixel
        image = Image.new("RGB", (side * OVERSAMPLING,) * 2, ground)
        image = kind(rng, image, unit, ground, ink) or image
        return np.asarray(image.resize((side, side), Image.Resampling.BOX)), bilevel

    def _words(self, rng):
        """(text, font path)"""
        if self.japanese and rng.random() < 0.25:
            count = int(rng.integers(4, 16))
            kana = [KANA[i] for i in rng.integers(len(KANA), size=count)]
            kanji = [KANJI[i] for i in rng.integers(len(KANJI), size=count)]
            return "".join(a if rng.random() < 0.5 else b for a, b in zip(kana, kanji)), _pick(rng, self.japanese)
        words = []
        for _ in range(int(rng.integers(2, 8))):
            letters = DIGITS if rng.random() < 0.25 else LETTERS
            words.append("".join(letters[i] for i in rng.integers(len(letters), size=int(rng.integers(1, 10)))))
        return " ".join(words), _pick(rng, self.latin)

    def _line(self, rng, draw, at, height, ink):
        text, path = self._words(rng)
        draw.text(at, text, fill=ink, font=_font(path, max(8, round(height))))

    def _page(self, rng, image, unit, ground, ink):
        """Lines of text; now and then turned a little, as a scan is."""
        draw, y = ImageDraw.Draw(image), rng.uniform(-10, 4) * unit
        height = unit * math.exp(rng.uniform(*(math.log(v) for v in TEXT_SIZES)))
        while y < image.height:
            if rng.random() < 0.15:
                height = unit * math.exp(rng.uniform(*(math.log(v) for v in TEXT_SIZES)))
            self._line(rng, draw, (rng.uniform(-12, 8) * unit, y), height, ink)
            y += height * rng.uniform(1.1, 1.7)
        if rng.random() < 0.25:
            return image.rotate(rng.uniform(-4, 4), Image.Resampling.BICUBIC, fillcolor=ground)
        return None

    def _interface(self, rng, image, unit, ground, ink):
        """Boxes, hairlines of any gray, gradients, icons, small text; most edges on the LR grid, as a screen draws them."""
        draw, side = ImageDraw.Draw(image), image.width
        if rng.random() < 0.4:
            image.paste(_gradient(rng, side))
        for _ in range(int(rng.integers(2, 9))):
            grid = unit if rng.random() < 0.8 else 1
            x0, y0 = (int(v) // grid * grid for v in rng.integers(-side // 4, side, 2))
            x1, y1 = (a + int(v) // grid * grid for a, v in zip((x0, y0), rng.integers(4 * unit, side, 2)))
            fill = tuple(int(v) for v in rng.integers(0, 256, 3)) if rng.random() < 0.5 else None
            line = _gray(rng) if rng.random() < 0.6 else tuple(int(v) for v in rng.integers(0, 256, 3))
            kind, width = rng.random(), unit * int(rng.choice((1, 1, 1, 2)))
            if kind < 0.4:
                draw.rounded_rectangle((x0, y0, x1 - 1, y1 - 1), int(rng.choice((0, 0, 3, 6))) * unit, fill, line, width)
            elif kind < 0.55:
                draw.rectangle((x0, y0, x1 - 1, y0 + width - 1), line)
            elif kind < 0.7:
                draw.rectangle((x0, y0, x0 + width - 1, y1 - 1), line)
            elif kind < 0.85:
                draw.ellipse((x0, y0, x0 + 12 * unit, y0 + 12 * unit), fill, line, width)
            else:
                draw.polygon([(int(a), int(b)) for a, b in rng.integers(0, side, (3, 2))], fill, line)
            if rng.random() < 0.7:
                color = ink if fill is None else ((255, 255, 255) if sum(fill) < 384 else (0, 0, 0))
                self._line(rng, draw, (x0 + 3 * unit, y0 + 2 * unit), unit * rng.uniform(7, 18), color)

    def _table(self, rng, image, unit, ground, ink):
        """Rules and cells with text in them."""
        draw, side = ImageDraw.Draw(image), image.width
        line, width = (_gray(rng) if ground != (255, 255, 255) or rng.random() < 0.5 else ink), unit * int(rng.choice((1, 1, 2)))
        rows, columns = (unit * int(rng.integers(8, 24)), unit * int(rng.integers(16, 48)))
        top, left = (int(v) * unit for v in rng.integers(-8, 8, 2))
        for y in range(top, side, rows):
            draw.rectangle((0, y, side, y + width - 1), line)
            for x in range(left, side, columns):
                draw.rectangle((x, y, x + width - 1, y + rows), line)
                self._line(rng, draw, (x + 3 * unit, y + 2 * unit), min(rows - 3 * unit, unit * rng.uniform(7, 14)), ink)
                draw.rectangle((x + columns, y + width, x + columns + width, y + rows - 1), ground)

    def _line_art(self, rng, image, unit, ground, ink):
        """Strokes along smooth curves, flat areas with an outline: drawings and comics."""
        draw, side = ImageDraw.Draw(image), image.width
        for _ in range(int(rng.integers(3, 14))):
            points = rng.uniform(-0.2, 1.2, (4, 2)) * side
            t = np.linspace(0, 1, 40)[:, None]
            curve = (1 - t) ** 3 * points[0] + 3 * (1 - t) ** 2 * t * points[1] + 3 * (1 - t) * t**2 * points[2] + t**3 * points[3]
            path = [tuple(p) for p in curve]
            if rng.random() < 0.3 and ground != (255, 255, 255):
                draw.polygon(path, tuple(int(v) for v in rng.integers(0, 256, 3)))
            draw.line(path, ink, max(1, round(unit * math.exp(rng.uniform(math.log(0.4), math.log(5))))), joint="curve")

    def _screentone(self, rng, image, unit, ground, ink):
        """Dots on a turned grid, their size falling along one direction."""
        side, period, angle = image.width, unit * rng.uniform(2.5, 8), rng.uniform(0, math.pi / 2)
        y, x = np.mgrid[0:side, 0:side].astype(np.float32)
        u = (x * math.cos(angle) + y * math.sin(angle)) / period
        v = (y * math.cos(angle) - x * math.sin(angle)) / period
        tone = 0.15 + 0.6 * (x / side if rng.random() < 0.5 else rng.random())
        dots = (0.5 + 0.25 * (np.cos(2 * math.pi * u) + np.cos(2 * math.pi * v))) > 1 - tone
        return Image.composite(Image.new("RGB", image.size, ink), image, Image.fromarray((dots * 255).astype(np.uint8)))

    def _logo(self, rng, image, unit, ground, ink):
        """Large shapes and letters over their own soft shadow."""
        mask = Image.new("L", image.size)
        draw, side = ImageDraw.Draw(mask), image.width
        x, y = rng.uniform(0, 0.5, 2) * side
        size = rng.uniform(0.3, 0.9) * side
        if rng.random() < 0.5:
            draw.text((x, y), self._words(rng)[0][:3], 255, _font(_pick(rng, self.latin), round(size)))
        else:
            draw.rounded_rectangle((x, y, x + size, y + size * rng.uniform(0.3, 1)), unit * rng.uniform(0, 8), 255)
        shadow = mask.filter(ImageFilter.GaussianBlur(unit * rng.uniform(0.5, 5))).point(lambda v: v * 6 // 10)
        image.paste((0, 0, 0), (0, int(unit * rng.uniform(0, 3))), shadow)
        image.paste(Image.new("RGB", image.size, ink) if rng.random() < 0.6 else _gradient(rng, side), (0, 0), mask)


def _pick(rng, items):
    return items[int(rng.integers(len(items)))]


def _gray(rng):
    return (int(rng.integers(0, 256)),) * 3


def _colors(rng):
    """(ground, ink): black on white most often, else any two of clearly differing luma."""
    kind = rng.random()
    if kind < 0.35:
        pair = (255, 255, 255), (0, 0, 0)
    elif kind < 0.5:
        pair = (int(rng.integers(230, 256)),) * 3, (int(rng.integers(0, 120)),) * 3
    else:
        while True:
            pair = [tuple(int(v) for v in rng.integers(0, 256, 3)) for _ in range(2)]
            if abs(sum(pair[0]) - sum(pair[1])) > 200:
                break
    return tuple(pair[::-1]) if rng.random() < 0.3 else tuple(pair)


def _gradient(rng, side):
    """A linear gradient between two colors, across or down."""
    a, b = rng.integers(0, 256, (2, 3))
    ramp = np.linspace(0, 1, side)[:, None] * (b - a) + a
    pixels = np.broadcast_to(np.rint(ramp).astype(np.uint8)[:, None], (side, side, 3))
    return Image.fromarray(np.ascontiguousarray(pixels if rng.random() < 0.5 else pixels.transpose(1, 0, 2)))
