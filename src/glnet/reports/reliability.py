"""Whether a confidence is what it says, drawn."""

from glnet.metrics import Calibration
from glnet.reports.charts import Chart, Line, scales


def reliability(found: Calibration) -> Chart:
    """Which share is right, by the confidence it is told with: of ten bins, in per cent."""
    x, y = scales([0, 100], [0, 100])
    chart = Chart("Right, %", "confidence, %", x, y, ["found", "as it says"])
    told = [(100 * each.confidence, 100 * each.right) for each in found.bins()]
    for number, points in enumerate((told, [(0.0, 0.0), (100.0, 100.0)]), start=1):
        chart.lines.append(Line(number, [(x(across), y(up)) for across, up in points]))
    return chart
