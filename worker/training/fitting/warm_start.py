"""Training that starts from an earlier model's weights instead of fresh ones.

Item embeddings go by item id, whatever numbers the items have in either data set; items that the earlier
model does not know keep their fresh vectors, and those it alone knows are left out. Position vectors are
aligned to the end, where the last input stands. All other weights must have the same shapes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from worker.training.models.base import SequenceModel
from worker.training.portable import MODEL_FILES, WEIGHTS_FILE, ModelUnreadableError, load_model
from worker.training.progress import DataError
from worker.training.spec import TrainSpec, start_misfits

_ITEMS, _POSITIONS = "item_embedding.weight", "position_embedding.weight"


@dataclass(frozen=True)
class InitialModel:
    """An earlier model: its config.json, its item ids (item_ids[i − 1] is item number i's) and its weights.

    name: what it is called in errors and in the report.
    """

    name: str
    config: Mapping[str, Any]
    item_ids: Sequence[str]
    weights: Mapping[str, torch.Tensor]

    @classmethod
    def read(cls, name: str, files: Mapping[str, bytes]) -> InitialModel:
        """Read a model's MODEL_FILES, by name. Raises DataError when they are not a model's."""
        try:
            model = load_model(files)
            weights = safetensors.torch.load(files[WEIGHTS_FILE])
        except (ModelUnreadableError, safetensors.SafetensorError) as error:
            raise DataError(
                f"init_from: {name} cannot be read: {error}", hint="Name another model, or none."
            ) from error
        return cls(name, model.config, model.item_ids, weights)

    @classmethod
    def read_folder(cls, folder: Path) -> InitialModel:
        """Read a model folder, as `steadyrank train` writes it. Raises DataError."""
        try:
            files = {name: (folder / name).read_bytes() for name in MODEL_FILES}
        except OSError as error:
            raise DataError(
                f"init_from: {folder} is no model folder: {error}",
                hint=f"Name a folder that holds {', '.join(MODEL_FILES)}.",
            ) from error
        return cls.read(str(folder), files)

    @property
    def sha256(self) -> str:
        """Hash of the items and the weights: runs that start from other ones are other runs."""
        digest = hashlib.sha256(json.dumps(list(self.item_ids)).encode())
        for name, tensor in sorted(self.weights.items()):
            digest.update(name.encode())
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()


class WarmStart:
    """An earlier model fitted to a data set: `apply` gives a fresh model its weights.

    facts: what the report says of it. Raises DataError that names every setting in which the spec differs, or
    when the earlier model knows none of the items.
    """

    def __init__(self, initial: InitialModel, spec: TrainSpec, item_ids: Sequence[str]) -> None:
        misfits = start_misfits(spec, {**initial.config, "model": initial.config["architecture"]})
        if misfits:
            raise DataError(
                f"init_from: {initial.name} has other weights than this job's model: {'; '.join(misfits)}",
                hint="Set these as the earlier model has them, or leave init_from out.",
            )
        self.initial = initial
        number = {item: at for at, item in enumerate(initial.item_ids, 1)}
        known = [(new, number[item]) for new, item in enumerate(item_ids, 1) if item in number]
        if not known:
            raise DataError(
                f"init_from: {initial.name} knows none of the data set's {len(item_ids):,} items",
                hint="Are the ids written in another way? Leave init_from out to start from fresh weights.",
            )
        self._new, self._old = (torch.tensor(side) for side in zip(*known, strict=True))
        self.identity = initial.sha256
        self.facts = {
            "from": initial.name,
            "sha256": self.identity,
            "items_known": len(known),
            "items_new": len(item_ids) - len(known),
            "items_dropped": len(number) - len(known),
        }

    @property
    def protocol_hash(self) -> str | None:
        """What the earlier model was measured under, which says what it was trained on and what was held out.

        None where that is not all it was trained on, since it started from yet another model, or not known.
        """
        config = self.initial.config
        found = config.get("protocol_hash")
        return None if found is None or config.get("spec", {}).get("init_from") else str(found)

    @torch.no_grad()
    def apply(self, model: SequenceModel) -> None:
        """Overwrite the weights of a fresh model. Raises DataError naming weights of another shape."""
        fresh, given = model.state_dict(), self.initial.weights
        partly = {_ITEMS, _POSITIONS}
        shapes = {
            name: tuple(tuple(side[name].shape) if name in side else None for side in (given, fresh))
            for name in sorted(fresh.keys() | given.keys())
        }
        wrong = [
            f"{name} was {was} and is {now}"
            for name, (was, now) in shapes.items()
            if (was != now and name not in partly) or was is None or now is None or was[1:] != now[1:]
        ]
        if wrong:
            raise DataError(
                f"init_from: weights of {self.initial.name} do not fit: {'; '.join(wrong)}",
                hint="Start from a model of the same settings, or from none.",
            )
        for name, tensor in fresh.items():
            old = given[name].to(tensor)
            if name == _ITEMS:
                device = tensor.device
                tensor[self._new.to(device)] = old[self._old.to(device)]
            elif name == _POSITIONS:
                shared = min(len(tensor), len(old))
                tensor[-shared:] = old[-shared:]
            else:
                tensor.copy_(old)
