"""Draw the idea of the project, a callback beside polling, as ``notebooks/idea.svg``.

The drawing has a background of its own and follows the reader's colour scheme, so it is legible on
light and dark pages alike. Text stays text: it can be searched, selected and read aloud.
"""

from pathlib import Path
from xml.etree import ElementTree as ET

# beside the notebooks, which JupyterLab may serve without the rest of the repository
TARGET = Path(__file__).parents[1] / "notebooks" / "idea.svg"
TITLE = "A step waits for a nightly batch: callback and polling"
DESCRIPTION = (
    "At 12:00:00 a process calls a nightly batch and hands over its serial number, 5_31. The batch "
    "completes the work at 22:00:01. Callback: the wait is a record in a database until the batch "
    "sends POST 5_31/finish, which is answered 204; the process continues 70 ms late, after one "
    "request. Polling every 15 minutes: the check at 22:00:00 comes one second too early, so the "
    "process continues after the check at 22:15:00, 14 min 59 s late, after 41 requests."
)

WIDTH, HEIGHT = 772, 600
# Heights of the events from noon to the end; the axis is not to scale.
NOON, FIRST, SECOND, EARLY, COMPLETE, ANSWER, LAST, END = 132, 180, 220, 296, 362, 410, 498, 580

LIGHT = {
    "page": "#ffffff",
    "rim": "#d0d7de",
    "ink": "#1f2328",
    "soft": "#59636e",
    "box": "#f0f3f6",
    "callback": "#0a62a3",
    "polling": "#a84300",
    "late": "#fbdcc4",
    "done": "#0f6b4c",
}
DARK = {
    "page": "#0d1117",
    "rim": "#3d444d",
    "ink": "#f0f6fc",
    "soft": "#a3acb6",
    "box": "#212830",
    "callback": "#6cb8f6",
    "polling": "#f2a263",
    "late": "#5a3213",
    "done": "#4cc79a",
}


def rules(colours: dict[str, str]) -> str:
    """Return CSS rules that fill, or draw a line, with each colour."""
    return "".join(
        f".{name}{{fill:{colour}}}.{name}-line{{stroke:{colour}}}"
        for name, colour in colours.items()
    )


STYLE = (
    "text{font:17px system-ui,'Segoe UI',Helvetica,Arial,'DejaVu Sans',sans-serif}"
    ".head{font-size:21px;font-weight:600}.strong{font-weight:600}"
    ".code{font-family:ui-monospace,Consolas,'DejaVu Sans Mono',monospace}"
    ".right{text-anchor:end}.middle{text-anchor:middle}line{stroke-width:2}"
    ".tick{fill:none;stroke-width:2}"
    f"{rules(LIGHT)}@media (prefers-color-scheme:dark){{{rules(DARK)}}}"
)


class Drawing:
    """An SVG under construction."""

    def __init__(self) -> None:
        size = {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "width": str(WIDTH), "height": str(HEIGHT)}
        spoken = {"role": "img", "aria-labelledby": "title description"}
        self.root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, **spoken})
        ET.SubElement(self.root, "title", id="title").text = TITLE
        ET.SubElement(self.root, "desc", id="description").text = DESCRIPTION
        ET.SubElement(self.root, "style").text = STYLE

    def add(self, tag: str, classes: str, words: str | None = None, **where: object) -> None:
        """Add an element; underscores in attributes become hyphens."""
        attributes = {name.replace("_", "-"): f"{value}" for name, value in where.items()}
        ET.SubElement(self.root, tag, {"class": classes, **attributes}).text = words

    def text(self, x: float, y: float, words: str, classes: str = "ink middle") -> None:
        """Write a line of text with its middle at height `y`."""
        self.add("text", classes, words, x=x, y=y + 6)

    def box(self, x: float, y: float, width: float, height: float, classes: str) -> None:
        """Draw a rectangle around a centre."""
        corner = {"x": x - width / 2, "y": y - height / 2, "rx": min(6, width / 3)}
        self.add("rect", classes, width=width, height=height, **corner)

    def line(
        self, x1: float, y1: float, x2: float, y2: float, classes: str, dash: str = ""
    ) -> None:
        """Draw a straight line."""
        dashes = {"stroke_dasharray": dash} if dash else {}
        self.add("line", classes, x1=x1, y1=y1, x2=x2, y2=y2, **dashes)

    def arrow(self, x1: float, x2: float, y: float, colour: str, words: str, classes: str) -> None:
        """Draw a message between two lifelines, its words above it."""
        back = 10 if x2 > x1 else -10
        self.line(x1, y, x2 - back / 2, y, f"{colour}-line")
        self.add("polygon", colour, points=f"{x2},{y} {x2 - back},{y - 5} {x2 - back},{y + 5}")
        self.text((x1 + x2) / 2, y - 14, words, f"{classes} middle")


def lifelines(drawing: Drawing, process: float, batch: float, title: str, colour: str) -> None:
    """Draw what both panels share: the process and the batch, the call at noon, the completion."""
    drawing.text((process + batch) / 2, 34, title, f"{colour} head middle")
    for x, name in ((process, "process"), (batch, "nightly batch")):
        drawing.line(x, 92, x, END, "rim-line", dash="2 5" if x == process else "")
        drawing.box(x, 76, 132 if x == batch else 96, 34, "box rim-line")
        drawing.text(x, 76, name, "ink middle")
    drawing.box(process, (92 + NOON) / 2, 8, NOON - 92, colour)
    drawing.arrow(process + 4, batch, NOON, colour, "call with 5_31", "ink")
    drawing.add("circle", "done", cx=batch, cy=COMPLETE, r=10)
    drawing.add("path", "tick page-line", d=f"M{batch - 4.5} {COMPLETE}l3.5 3.5 6 -7")
    drawing.text(batch - 18, COMPLETE - 15, "work complete", "done strong right")


def draw_callback(drawing: Drawing, process: float, batch: float) -> None:
    """Draw a wait that is a record in a database, and the finish by its serial number."""
    lifelines(drawing, process, batch, "Callback", "callback")
    middle = (process + batch) / 2
    drawing.line(process, 236, process + 18, 236, "callback-line")
    drawing.box(middle, 236, batch - process - 36, 64, "box callback-line")
    drawing.text(middle, 223, "database record", "soft middle")
    drawing.text(middle, 249, "5_31 · waiting", "ink code middle")
    drawing.arrow(batch, process + 4, ANSWER, "callback", "POST 5_31/finish", "ink code")
    drawing.arrow(process + 4, batch, ANSWER + 36, "callback", "204", "ink code")
    drawing.box(process, (ANSWER + END) / 2, 8, END - ANSWER, "done")
    drawing.text(process + 16, ANSWER + 62, "70 ms late", "callback strong")
    drawing.text(process + 16, ANSWER + 86, "1 request", "soft")
    drawing.text(process + 16, END - 18, "process continues", "done strong")


def draw_polling(drawing: Drawing, process: float, batch: float) -> None:
    """Draw checks, one of which comes a second too early, and the quarter of an hour it costs."""
    lifelines(drawing, process, batch, "Polling every 15 min", "polling")
    drawing.box(process, (COMPLETE + LAST) / 2, 26, LAST - COMPLETE, "late")
    for y, words in (
        (FIRST, "check: not yet"),
        (SECOND, "check: not yet"),
        (EARLY, "check: not yet"),
    ):
        drawing.box(process, y, 8, 16, "polling")
        drawing.arrow(process + 4, batch, y, "polling", words, "ink")
    drawing.text((process + batch) / 2, EARLY + 16, "1 s too early", "polling strong middle")
    drawing.text((process + batch) / 2, 252, "⋮", "soft middle")
    drawing.text(process + 22, (COMPLETE + LAST) / 2 - 20, "14 min 59 s late", "polling strong")
    drawing.text(process + 22, (COMPLETE + LAST) / 2 + 4, "41 requests", "soft")
    drawing.arrow(process + 4, batch, LAST, "polling", "check: complete", "ink")
    drawing.box(process, (LAST + END) / 2, 8, END - LAST, "done")
    drawing.text(process + 16, END - 18, "process continues", "done strong")


def idea() -> str:
    """Return the drawing as SVG."""
    drawing = Drawing()
    drawing.box(WIDTH / 2, HEIGHT / 2, WIDTH - 2, HEIGHT - 2, "page rim-line")
    drawing.line(98, COMPLETE, WIDTH - 18, COMPLETE, "done-line", dash="5 5")
    clock = {NOON: "12:00:00", EARLY: "22:00:00", COMPLETE: "22:00:01", LAST: "22:15:00"}
    for y, time in clock.items():
        drawing.text(94, y, time, f"{'done strong' if y == COMPLETE else 'soft'} right")
    draw_callback(drawing, 146, 352)
    draw_polling(drawing, 488, 694)
    ET.indent(drawing.root, " ")
    return ET.tostring(drawing.root, encoding="unicode") + "\n"


def main() -> None:
    """Write the drawing."""
    TARGET.write_text(idea(), encoding="utf-8")


if __name__ == "__main__":
    main()
