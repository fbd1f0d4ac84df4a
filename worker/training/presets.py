"""Named starting points for a training specification: what `preset` in a TrainSpec stands for.

`paper` follows each model's original paper as far as this project has what it asks for; `strong` starts from
what later papers found to be better. docs/method.md says of every value where it comes from. Whatever a spec
gives by itself goes before its preset. Imports nothing, so the API process may import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

PresetName = Literal["paper", "strong"]

DESCRIPTIONS: Final[Mapping[PresetName, str]] = MappingProxyType(
    {
        "paper": "as in the model's original paper, as far as this service has what it asks for",
        "strong": "a starting point from later papers (eSASRec, gSASRec): more negatives, newer blocks",
    }
)

_SASREC_PAPER: Final = {
    "loss": "bce",
    "block": "original",
    "blocks": 2,
    "heads": 1,
    "hidden_size": 64,
    "max_length": 50,
    "windows_per_user": 1,
    "dropout": 0.5,
    "batch_size": 256,
    "optimiser": "adam",
    "learning_rate": 1e-3,
    "adam_beta1": 0.9,
    "adam_beta2": 0.98,
}
_STRONG: Final = {
    "loss": "sampled_softmax",
    "negatives": 256,
    "negative_sampling": "uniform",
    "windows_per_user": 10,
    "batch_size": 64,
    "dropout": 0.2,
    "learning_rate_warmup_epochs": 2,
}

PRESETS: Final[Mapping[PresetName, Mapping[str, Mapping[str, Any]]]] = MappingProxyType(
    {
        "paper": {
            "sasrec": _SASREC_PAPER,
            "gru4rec": {**_SASREC_PAPER, "blocks": 1},
        },
        "strong": {
            "sasrec": {**_STRONG, "block": "ligr", "blocks": 2, "heads": 1, "feed_forward_multiplier": 4},
            "gru4rec": {**_STRONG, "block": "pre_norm", "blocks": 1},
        },
    }
)
"""Preset → model → the settings that it stands for; every other setting keeps its own default."""

ALONG_GRADIENT: Final[Mapping[str, Any]] = MappingProxyType({"epsilon_history": 0.1, "perturb_share": None})
"""Defaults of a history level along the gradient; the fields' own are for steps towards items."""


def expanded(given: Mapping[str, Any], default_model: str) -> dict[str, Any]:
    """Return the given settings with those of the preset and of the direction that they name beneath them.

    A preset or model that there is none of is left for the field's own check to refuse.
    """
    if given.get("perturb_towards") == "gradient":
        given = {**ALONG_GRADIENT, **given}
    model = given.get("model", default_model)
    for name, of_model in PRESETS.items():
        if name == given.get("preset") and isinstance(model, str):
            return {**of_model.get(model, {}), **given}
    return dict(given)
