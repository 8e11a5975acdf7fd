"""Growth is told by a slope that outliers can't move: of memory or files in a long run.

Source: P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", 1968.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import theilslopes

POINTS_MAX = 400
"""More points are thinned out: each pair of them is looked at."""
POINTS_MIN = 60
"""A slope of fewer points is not known, where nothing else is said."""
ENDS_SHARE = 0.2
"""The median of the last such part of the points is compared with that of the first."""


def growth_share(
    at_s: Sequence[float], values: Sequence[float], points_min: int = POINTS_MIN
) -> float | None:
    """`growth_share` returns by which share of its level a figure rose from first to last; None
    where there are too few points.

    It is what the median of the slopes of all pairs says, or the medians of both ends, whichever
    rose, and then whichever is more: a step near the end is in few of the pairs.
    """
    if len(values) < points_min:
        return None
    step = -(-len(values) // POINTS_MAX)
    times, levels = np.array(at_s[::step]), np.array(values[::step])
    level = float(np.median(levels))
    if level == 0:
        return 0.0
    rose = theilslopes(levels, times).slope * (times[-1] - times[0])
    ends = int(np.ceil(ENDS_SHARE * len(levels)))
    stepped = np.median(levels[-ends:]) - np.median(levels[:ends])
    return float(max(rose, stepped, key=lambda change: (change > 0, abs(change))) / level)


def peak_growth_share(
    at_s: Sequence[float], values: Sequence[float], points_min: int = POINTS_MIN
) -> float | None:
    """`peak_growth_share` returns by which share the peak of the second half of the time is above
    that of the first, for a figure that climbs and falls again and again, where a slope tells only
    when it fell; None where there are too few points."""
    if len(values) < points_min:
        return None
    middle_s = (at_s[0] + at_s[-1]) / 2
    earlier = max(value for at, value in zip(at_s, values, strict=True) if at <= middle_s)
    later = max(value for at, value in zip(at_s, values, strict=True) if at > middle_s)
    return later / earlier - 1 if earlier else 0.0
