"""The plots of Scripts/study, written as SVG without a library."""

import html
import math
import statistics

FONT = "font-family=\"DejaVu Sans, Verdana, Helvetica, Arial, sans-serif\""
INK, MUTED, GRID = "#222222", "#5a5a5a", "#dddddd"

# Colours after Okabe and Ito, which people with any colour vision can tell apart; shapes differ too.
STYLES = {
    "rtn": ("#777777", "cross"),
    "gptq": ("#000000", "square"),
    "zero": ("#0072B2", "circle"),
    "low-rank": ("#009E73", "triangle"),
    "odlri": ("#D55E00", "diamond"),
    "best": ("#CC79A7", "point-down"),
    "awq": ("#E69F00", "square"),
    "lordq": ("#56B4E9", "circle"),
    "srr": ("#B8A800", "triangle"),
    "qera": ("#8B4FB3", "point-down"),
    "lqer": ("#8B5A2B", "point-down"),
}
OTHER_STYLE = ("#E69F00", "cross")

# The corners of a marker relative to its middle, in units of its size.
SHAPES = {
    "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
    "triangle": [(0, -1.1), (1, 0.8), (-1, 0.8)],
    "point-down": [(0, 1.1), (1, -0.8), (-1, -0.8)],
    "diamond": [(0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)],
}


class Drawing:
    """An SVG picture; later parts cover earlier ones."""

    def __init__(self, width, height, title):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" role="img" {FONT}>',
            f"<title>{html.escape(title)}</title>",
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        ]

    def line(self, x1, y1, x2, y2, colour=INK, width=1.0, dashes=None):
        dashes = f' stroke-dasharray="{dashes}"' if dashes else ""
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{width}"{dashes}/>')

    def path(self, points, colour, width):
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(
            f'<polyline points="{text}" fill="none" stroke="{colour}" stroke-width="{width}" '
            'stroke-linejoin="round"/>')

    def text(self, x, y, text, anchor="start", size=12, colour=INK, bold=False, turned=False):
        weight = ' font-weight="bold"' if bold else ""
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}"'
            f"{weight}{turn}>{html.escape(text)}</text>")

    def marker(self, x, y, family, size=5.0):
        colour, shape = STYLES.get(family, OTHER_STYLE)
        if shape == "circle":
            self.parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" fill="{colour}" stroke="#ffffff"/>')
        elif shape == "cross":
            for sign in [-1, 1]:
                self.line(x - size, y - sign * size, x + size, y + sign * size, colour, 2.2)
        else:
            corners = " ".join(f"{x + size * dx:.1f},{y + size * dy:.1f}" for dx, dy in SHAPES[shape])
            self.parts.append(f'<polygon points="{corners}" fill="{colour}" stroke="#ffffff"/>')

    def write(self, path):
        path.write_text("\n".join(self.parts) + "\n</svg>\n", encoding="utf-8")


def colour(family):
    return STYLES.get(family, OTHER_STYLE)[0]


def even_ticks(low, high, count=5):
    """Round numbers from `low` to `high`, about `count` of them."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in [1, 2, 2.5, 5, 10] if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [step * k for k in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value):
    return f"{value:.4g}"


def log_ticks(low, high):
    """Round numbers on a logarithmic axis: even steps below a factor of 4, else 1, 2, 3 and 5 times powers of ten."""
    if high / low < 4:
        return even_ticks(low, high, 6)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [f * 10.0**p for p in powers for f in [1, 2, 3, 5] if low <= f * 10.0**p <= high]


def plot_perplexity(path, title, groups, original, label):
    """Perplexity against bits per weight, a panel for each group, all with the same vertical axis.

    groups: {name: [(family, label, bits per weight, perplexity, standard error of the change)]}.
    original: the perplexity of the model as it was.
    """
    panel_width, height, left, top, bottom = 500, 560, 76, 78, 64
    width = left + len(groups) * panel_width + 10
    picture = Drawing(width, height, title)
    low = original * 0.985
    every = [point for points in groups.values() for point in points]
    # One bad method must not squeeze all others together: points far above most are shown at the edge.
    ceiling = max(2.5 * statistics.median(p for _, _, _, p, _ in every), 1.05 * original)
    high = 1.03 * max([1.05 * original] + [p + e for _, _, _, p, e in every if p + e <= ceiling])

    def place_y(value):
        share = (math.log(min(value, high)) - math.log(low)) / (math.log(high) - math.log(low))
        return height - bottom - share * (height - top - bottom)

    picture.text(left, 26, title, size=15, bold=True)
    picture.text(20, (top + height - bottom) / 2, label, "middle", 13, turned=True)
    for tick in log_ticks(low, high):
        picture.text(left - 8, place_y(tick) + 4, number(tick), "end")
    for index, (name, points) in enumerate(groups.items()):
        x0 = left + index * panel_width
        # The points are in the left part of a panel, their names in the right part.
        inner, names = panel_width - 26, 256
        first, last = min(p[2] for p in points), max(p[2] for p in points)
        margin = max(0.1, 0.12 * (last - first))
        first, last = first - margin, last + margin

        def place_x(value):
            return x0 + (value - first) / (last - first) * (inner - names)

        picture.text(x0 + 4, top - 14, name, size=13, bold=True)
        for tick in log_ticks(low, high):
            picture.line(x0, place_y(tick), x0 + inner - names, place_y(tick), GRID)
        for tick in even_ticks(first, last, 4):
            picture.line(place_x(tick), height - bottom, place_x(tick), height - bottom + 5)
            picture.text(place_x(tick), height - bottom + 20, number(tick), "middle")
        picture.line(x0, height - bottom, x0 + inner - names, height - bottom)
        picture.line(x0, top, x0, height - bottom)
        picture.text(x0 + (inner - names) / 2, height - 20, "bits per weight", "middle", 13)
        y = place_y(original)
        picture.line(x0, y, x0 + inner - names, y, MUTED, 1.2, "6 4")
        picture.text(x0 + inner - names + 20, y + 4, f"{original:.4f} original", size=11.5, colour=MUTED)
        points = sorted(points, key=lambda point: -point[3])
        spots = spread([place_y(p[3]) for p in points], 16, top + 6, y - 16)
        for (family, name, at, value, error), spot in zip(points, spots):
            x, middle = place_x(at), place_y(value)
            text = f"{value:.{4 if value < 100 else 0}f} {name}" + (", off the scale" if value > high else "")
            picture.line(x + 8, middle, x0 + inner - names + 2, spot, "#b5b5b5", 0.8)
            upper, lower = place_y(value + error), place_y(max(value - error, low))
            picture.line(x, upper, x, lower, colour(family), 1.4)
            picture.marker(x0 + inner - names + 10, spot, family, 4.0)
            picture.text(x0 + inner - names + 20, spot + 4, text, size=11.5)
        for family, _, at, value, _ in points:
            picture.marker(place_x(at), place_y(value), family)
    picture.write(path)


def plot_lines(path, title, series, across, label):
    """Lines of a figure over the values of a choice, evenly spaced.

    series: [(name of a line, [(value of the choice, figure)])].
    """
    width, height, left, right, top, bottom = 640, 340, 76, 170, 56, 56
    picture = Drawing(width, height, title)
    values = list(dict.fromkeys(value for _, points in series for value, _ in points))
    figures = [figure for _, points in series for _, figure in points]
    margin = max(0.15 * (max(figures) - min(figures)), 0.002)
    low, high = min(figures) - margin, max(figures) + margin

    def place_x(value):
        return left + (values.index(value) + 0.5) / len(values) * (width - left - right)

    def place_y(figure):
        return height - bottom - (figure - low) / (high - low) * (height - top - bottom)

    picture.text(left, 26, title, size=15, bold=True)
    picture.text(20, (top + height - bottom) / 2, label, "middle", 13, turned=True)
    for tick in even_ticks(low, high):
        picture.line(left, place_y(tick), width - right, place_y(tick), GRID)
        picture.text(left - 8, place_y(tick) + 4, number(tick), "end")
    for value in values:
        picture.text(place_x(value), height - bottom + 20, value, "middle")
    picture.text((left + width - right) / 2, height - 12, across, "middle", 13)
    for (name, points), family in zip(series, ["zero", "odlri", "low-rank", "best"]):
        picture.path([(place_x(value), place_y(figure)) for value, figure in points], colour(family), 1.8)
        for value, figure in points:
            picture.marker(place_x(value), place_y(figure), family)
        picture.text(width - right + 14, place_y(points[-1][1]) + 4, name, colour=colour(family))
    picture.write(path)


def spread(places, gap, top, bottom):
    """`places`, ascending, moved apart to at least `gap`, and above `bottom` if there is room."""
    result = []
    for place in places:
        result.append(max(place, result[-1] + gap if result else top))
    if result and result[-1] > bottom:
        result[-1] = max(bottom, top)
        for index in range(len(result) - 2, -1, -1):
            result[index] = min(result[index], result[index + 1] - gap)
    return result


def plot_errors(path, title, series, label):
    """The relative error of every matrix by method: a panel for each kind of matrix, layers from left to right.

    series: (family, label, {(kind, layer): error}) of every method.
    """
    kinds = list(dict.fromkeys(kind for _, _, errors in series for kind, _ in errors))
    layer_count = 1 + max(layer for _, _, errors in series for _, layer in errors)
    across = 4
    down = -(-(len(kinds) + 1) // across)
    panel_width, panel_height, left, top = 232, 208, 62, 52
    picture = Drawing(left + across * panel_width + 14, top + down * (panel_height + 30) + 16, title)
    picture.text(left, 26, title, size=15, bold=True)
    high = 1.12 * max(max(errors.values()) for _, _, errors in series)
    for index, kind in enumerate(kinds):
        x0 = left + index % across * panel_width
        y0 = top + index // across * (panel_height + 30)
        inner_width, inner_height = panel_width - 22, panel_height - 26

        def place_x(layer):
            return x0 + (layer + 0.5) / layer_count * inner_width

        def place_y(value):
            return y0 + 18 + (1 - value / high) * (inner_height - 18)

        picture.text(x0 + 4, y0 + 10, kind, bold=True)
        for tick in even_ticks(0, high, 4):
            picture.line(x0, place_y(tick), x0 + inner_width, place_y(tick), GRID)
            if index % across == 0:
                picture.text(x0 - 7, place_y(tick) + 4, number(tick), "end", 11)
        step = max(1, layer_count // 8)
        for layer in range(0, layer_count, step):
            picture.text(place_x(layer), y0 + inner_height + 15, str(layer), "middle", 11)
        picture.line(x0, y0 + inner_height, x0 + inner_width, y0 + inner_height)
        picture.text(x0 + inner_width / 2, y0 + inner_height + 30, "layer", "middle", 11, MUTED)
        # Methods are drawn side by side, so that none covers another with nearly the same errors.
        for place, (family, _, errors) in enumerate(series):
            shift = (place - (len(series) - 1) / 2) * 0.6 * inner_width / layer_count / len(series)
            own = sorted((layer, error) for (k, layer), error in errors.items() if k == kind)
            dots = [(place_x(layer) + shift, place_y(error)) for layer, error in own]
            picture.path(dots, colour(family), 0.9)
            for x, y in dots:
                picture.marker(x, y, family, 3.4)
    x = left + len(kinds) % across * panel_width + 22
    y = top + len(kinds) // across * (panel_height + 30) + 22
    for row, (family, name, _) in enumerate(series):
        picture.marker(x, y + 22 * row, family)
        picture.text(x + 14, y + 22 * row + 4, name)
    picture.text(20, top + (panel_height * down) / 2, label, "middle", 13, turned=True)
    picture.write(path)
