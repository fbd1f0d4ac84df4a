"""A trained model as files: weights, configuration, item ids and a card. Data only, nothing that runs.

The run's whole report is not among them: it is the same for every arm and seed, and stands beside them (the
job's report, or report.json in the folder above). The card quotes what concerns the model, and its protocol.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import safetensors.torch
import torch

from worker.training.portable import (
    CARD_FILE,
    CONFIG_FILE,
    FORMAT,
    FORMAT_VERSION,
    ITEMS_FILE,
    WEIGHTS_FILE,
)
from worker.training.shares import chosen_settings
from worker.training.spec import TrainSpec


def model_files(
    spec: TrainSpec,
    weights: Mapping[str, torch.Tensor],
    item_ids: Sequence[str],
    *,
    arm: str,
    seed: int,
    report: Mapping[str, Any],
) -> dict[str, bytes]:
    """Return the files of one arm and seed by name; `portable.load_model` reads them.

    weights: the state dict of the spec's model, on any device. item_ids[i - 1]: the id of item number i.
    report: of `build_report`, which the card quotes.
    """
    config = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "architecture": spec.model,
        "n_items": len(item_ids),
        "max_length": spec.max_length,
        "hidden_size": spec.hidden_size,
        "blocks": spec.blocks,
        "heads": spec.heads,
        "block": spec.block,
        "feed_forward_multiplier": spec.feed_forward_multiplier,
        "item_normalisation": spec.item_normalisation,
        "temperature": spec.temperature,
        "arm": arm,
        "seed": seed,
        "protocol_hash": report["protocol_hash"],
        "spec": spec.model_dump(mode="json"),
    }
    plain = {name: tensor.detach().float().cpu().contiguous() for name, tensor in weights.items()}
    return {
        WEIGHTS_FILE: safetensors.torch.save(plain),
        CONFIG_FILE: _json(config),
        ITEMS_FILE: _json(list(item_ids)),
        CARD_FILE: model_card(report, arm, seed).encode(),
    }


def model_card(report: Mapping[str, Any], arm: str, seed: int) -> str:
    """Say what the model is, how good and how steady it is, and how to use it."""
    spec, data, body = report["spec"], report["dataset"], report["arms"][arm]
    (own,) = [one for one in body["seeds"] if one["seed"] == seed]
    warned = [
        f"> **Warning.** {warning['message']}."
        for warning in report["warnings"]
        if warning["arm"] == arm and warning.get("seed", seed) == seed
    ]
    rows = [(f"{spec['model']}, {arm}, seed {seed}", own), *report["baselines"].items()]
    figures = [
        f"| {name} | {one['test']['hr@10']:.4f} | {_ndcg(one)} | {_steadiness(one)} |" for name, one in rows
    ]
    return (
        "\n\n".join(
            [
                f"# {spec['model']} ({arm}), seed {seed}",
                *warned,
                f"Ranks the next item of a history among {data['items']:,} items; reads its last "
                f"{spec['max_length']} items. {_trained_on(data)}, {_held_out(data['split'])}. "
                f"Chosen at epoch {own['best_epoch']} of {own['epochs']} by validation NDCG@10 "
                f"({own['validation']['ndcg@10']:.4f}).{_searched(report, arm)}",
                "## Figures",
                "Test targets, full ranking over the catalogue; in brackets the 95 % bootstrap interval over "
                "users. The last two columns: the last item of every "
                "history replaced by a random one, the share of NDCG@10 that is kept and the share of the "
                "top 10 that stays.",
                "| | HR@10 | NDCG@10 | kept | overlap |\n| --- | --- | --- | --- | --- |\n"
                + "\n".join(figures),
                f"Measured under protocol `{report['protocol_hash']}`.",
                "## Use",
                "Needs Python 3.11 or newer and numpy, nothing else; no torch. The zip of this model "
                "(`steadyrank models bundle`, or `/bundle` of the API) brings a loader beside these files:",
                "```sh\npython load.py -k 10 'item id' 'a later item id'\n```",
                "```python\nfrom load import model\n\n"
                'model.recommend(["item id", "a later item id"], k=10)\n```',
                "Where these files came without it, `worker/training/portable.py` of SteadyRank's source "
                'does the same (`load_model(".")`).',
                "| file | holds |\n| --- | --- |\n"
                f"| `{WEIGHTS_FILE}` | the weights, float32 |\n"
                f"| `{CONFIG_FILE}` | the architecture, and every training setting |\n"
                f"| `{ITEMS_FILE}` | item ids; the first is item number 1 (row 0 of the table is padding) |",
            ]
        )
        + "\n"
    )


def _searched(report: Mapping[str, Any], arm: str) -> str:
    found = chosen_settings(report).get(arm, {})
    return "".join(f" Its {name}, {share:g}, was chosen on validation." for name, share in found.items())


def _trained_on(data: Mapping[str, Any]) -> str:
    in_part, too_old = data["split"]["train_interactions"], data["cut_interactions"]
    cut = f"; {too_old:,} more of their training part are too old for its windows" if too_old else ""
    return (
        f"Trained on {in_part - too_old:,} interactions of {data['users']:,} users "
        f"(of {data['interactions']:,} in the log{cut})"
    )


def _held_out(split: Mapping[str, Any]) -> str:
    if split["name"] == "temporal":
        return f"all from {split['validation_from']} on held out"
    return "the last two of each evaluated user held out"


def _ndcg(one: Mapping[str, Any]) -> str:
    value, interval = f"{one['test']['ndcg@10']:.4f}", one["test_intervals"]["ndcg@10"]
    return value if interval is None else f"{value} ({interval[0]:.4f} to {interval[1]:.4f})"


def _steadiness(one: Mapping[str, Any]) -> str:
    for row in one["attacks"]:
        if (row["position"], row["count"], row["replacement"]) == ("end", 1, "uniform"):
            return " | ".join(
                "–" if row[name] is None else f"{row[name]:.2f}" for name in ("kept", "overlap")
            )
    return "– | –"


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False).encode()
