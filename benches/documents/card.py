"""Draws both sides of a business card, 91 x 55 mm, at any density: text of 6 to 10 points, hairlines, a screentone.

It is drawn at 3600 pixels an inch, where hinting no longer matters, and averaged down, as a scanner's sensor would."""

from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont, ImageOps

MASTER = 3600
WIDTH, HEIGHT = 3.6, 2.16  # inches; 91.4 x 54.9 mm, whole pixels at every density used
FONTS = {"latin": "DejaVuSans.ttf", "japanese": "ipaexg.ttf"}
INK = (20, 20, 60)
# Where the screentone lies, in inches: left, top, right, bottom; its dots keep some distance inside.
TONE = (0.15, 1.73, 3.45, 2.05)


class Line(NamedTuple):
    text: str
    script: str
    points: float
    x: float  # inches, the left of the text
    y: float  # inches, its top


FRONT = [
    Line("株式会社青空印刷研究所", "japanese", 9, 0.2, 0.16),
    Line("営業部 課長", "japanese", 7, 0.2, 0.42),
    Line("高橋 健一郎", "japanese", 10, 0.2, 0.62),
    Line("Kenichiro Takahashi", "latin", 8, 1.35, 0.645),
    Line("〒101-0051 東京都千代田区神田神保町1丁目23番地", "japanese", 7, 0.2, 1.02),
    Line("電話 03-5555-0142 携帯 090-5555-0178", "japanese", 6, 0.2, 1.2),
    Line("k.takahashi@aozora-printing.example", "latin", 7, 0.2, 1.36),
    Line("https://www.aozora-printing.example/kanda", "latin", 6, 0.2, 1.53),
]
BACK = [
    Line("Aozora Printing Laboratory, Inc.", "latin", 10, 0.2, 0.16),
    Line("Offset, letterpress and proofs since 1957", "latin", 8, 0.2, 0.42),
    Line("1-23 Kanda Jimbocho, Chiyoda-ku, Tokyo 101-0051", "latin", 7, 0.2, 0.64),
    Line("Open Monday to Friday, 8:30 to 17:45", "latin", 6, 0.2, 0.82),
    Line("VAT JP8010401073462, lot 59-Q7 / B836", "latin", 6, 0.2, 0.97),
    Line("名刺、封筒、挨拶状の印刷を承ります", "japanese", 8, 0.2, 1.14),
    Line("地下鉄神保町駅より徒歩三分", "japanese", 7, 0.2, 1.34),
    Line("土曜、日曜、祝日は休業いたします", "japanese", 6, 0.2, 1.52),
]
SIDES = {"front": FRONT, "back": BACK}


def font(line):
    name = FONTS[line.script]
    try:
        return ImageFont.truetype(name, line.points * MASTER / 72)
    except OSError:
        raise SystemExit(f"documents: the font {name} is missing; install the packages fonts-dejavu-core and "
                         "fonts-ipaexfont-gothic and run this again") from None


def master(side):
    """One side at `MASTER` pixels an inch: 0 is ink, 255 paper."""
    card = Image.new("L", (round(WIDTH * MASTER), round(HEIGHT * MASTER)), 255)
    draw = ImageDraw.Draw(card)
    for line in SIDES[side]:
        draw.text((line.x * MASTER, line.y * MASTER), line.text, 0, font(line))
    rules(draw)
    screentone(draw)
    return card


def rules(draw):
    """Hairlines of 0.25 and 0.5 points: a frame, a line that slants by a degree, a bundle that opens."""
    def rule(x0, y0, x1, y1, points=0.25):
        draw.line([side * MASTER for side in (x0, y0, x1, y1)], 0, max(1, round(points * MASTER / 72)))

    for y in (0.08, 2.08):
        rule(0.08, y, 3.52, y, 0.5)
    for x in (0.08, 3.52):
        rule(x, 0.08, x, 2.08, 0.5)
    rule(0.2, 1.67, 2.6, 1.69)
    for step in range(5):
        rule(2.75 + 0.04 * step, 1.0, 2.75 + 0.1 * step, 1.65)


def screentone(draw):
    """Round dots at 45 degrees, 30 lines an inch, from 10 to 50 per cent from left to right."""
    pitch = MASTER / 30 / 2**0.5
    left, top, right, bottom = ((side + inset) * MASTER for side, inset in zip(TONE, (0.05, 0.04, -0.05, -0.03)))
    for row in range(round((bottom - top) / pitch)):
        for column in range(row % 2, round((right - left) / pitch), 2):
            x, y = left + column * pitch, top + row * pitch
            share = 0.1 + 0.4 * column * pitch / (right - left)
            radius = (share * 2 * pitch * pitch / 3.14159) ** 0.5
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], 0)




def at(card, density):
    """A master at `density` pixels an inch, which must divide `MASTER`, printed in `INK`."""
    return ImageOps.colorize(card.reduce(MASTER // density), INK, "white")


def box(line, density, margin=0.03):
    """The rectangle of a line at a density, with some paper around it."""
    left, top, right, bottom = font(line).getbbox(line.text)
    corners = (line.x + left / MASTER - margin, line.y + top / MASTER - margin,
               line.x + right / MASTER + margin, line.y + bottom / MASTER + margin)
    return tuple(round(side * density) for side in corners)
