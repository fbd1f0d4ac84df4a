"""Figures of cascade effects and of the weights made of them."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from worker.training.reporting.arms_in_words import weights_in_words
from worker.training.reporting.plotting import Figure, Report, add_legend, finish_figure, label_axes
from worker.training.reporting.svg import INK, printable
from worker.training.shares import chosen_settings


def cascade_effects(report: Report) -> Figure:
    """Draw effects and weights by place in the training window."""
    facts = report["cascade"]
    rows = facts["by_position"]
    places = [row["from_end"] for row in rows]

    def bands(axes: Axes, field: str, color: str, label: str) -> None:
        low, lower, middle, upper, high = zip(*(row[field] for row in rows), strict=True)
        axes.fill_between(places, low, high, color=color, alpha=0.2, linewidth=0)
        axes.fill_between(places, lower, upper, color=color, alpha=0.35, linewidth=0)
        axes.plot(places, middle, color=color, label=label, linewidth=1.4)

    def draw(canvas: Canvas) -> None:
        effect, weight = canvas.subplots(2, 1, sharex=True)
        bands(effect, "effect", "#0072B2", f"κ = {facts['kappa']:g} (as run)")
        if facts["kappa"] != 1:
            middle = [row["effect_kappa_1"][2] for row in rows]
            effect.plot(places, middle, "--", color="#D55E00", label="κ = 1, median", linewidth=1.2)
        effect.set_yscale("log")
        bands(weight, "weight", "#009E73", "weight")
        weight.set_ylim(bottom=0.0)
        weight.invert_xaxis()
        label_axes(effect, ylabel="cascade effect\n(predictions reading it)")
        label_axes(weight, xlabel="places before the window's end (1 = last input)", ylabel="weight w")
        add_legend(canvas, effect)

    return finish_figure(
        "cascade_effects",
        "Cascade effects and weights by position",
        "How many later training predictions read an interaction, and its cascade weight, by the place in "
        f"the training window. {_weights_in_words(report)} Lines: medians; bands: the middle 50 % and 90 "
        "% of interactions.",
        draw,
        height=4.6,
    )


def example_weights(report: Report) -> Figure:
    """Draw the effects and weights on one training window."""
    facts = report["cascade"]["example"]
    places = range(len(facts["items"]))

    def draw(canvas: Canvas) -> None:
        effect, weight = canvas.subplots(2, 1, sharex=True)
        effect.bar(places, facts["effects"], color="#0072B2")
        weight.bar(places, facts["weights"], color="#009E73")
        weight.axhline(1.0, color=INK, linewidth=0.8, linestyle=":")
        label_axes(effect, ylabel="cascade effect")
        label_axes(weight, xlabel="item of the history, oldest first", ylabel="weight w")
        weight.set_xticks(list(places), [printable(item, 14) for item in facts["items"]], rotation=60)
        for label in weight.get_xticklabels():
            label.set_parse_math(False)
            label.set_horizontalalignment("right")
            label.set_rotation_mode("anchor")

    return finish_figure(
        "example_weights",
        "Weights on one sequence",
        "One training window: the cascade effect and the weight of each item of its history. "
        f"{_weights_in_words(report)} Dotted: 1, all items alike.",
        draw,
        height=4.4,
    )


def _weights_in_words(report: Report) -> str:
    return weights_in_words(report["spec"], chosen_settings(report))
