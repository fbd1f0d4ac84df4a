"""Use a trained model without torch: load its folder and ask it what comes next after one history.

numpy only, nothing of the rest of the project: the service's `recommend` and whoever has
downloaded a model run this same file. Nothing in a model folder is ever executed.

    model = load_model("my-model")
    model.recommend(["50", "181", "174"], k=5)
    model.recommend(["50", "181", "174"], k=5, replace={-1: "1"})    # what if the last had been item 1?

Shape letters: n items of the history that are read, D embedding width, V items; row 0 of E is padding. The
formulas are those of `models/sasrec.py` and `models/gru4rec.py`; tests hold the two to 1e-5 of each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Weights = dict[str, Float32]

FORMAT: Final = "steadyrank-model"
FORMAT_VERSION: Final = 2
READABLE_VERSIONS: Final = (1, 2)
"""Version 1 had no `block`, `feed_forward_multiplier`, `item_normalisation` and `temperature`."""
WEIGHTS_FILE: Final = "weights.safetensors"
CONFIG_FILE: Final = "config.json"
ITEMS_FILE: Final = "items.json"
CARD_FILE: Final = "README.md"
MODEL_FILES: Final[tuple[str, ...]] = (CONFIG_FILE, ITEMS_FILE, WEIGHTS_FILE)
"""What of a model's files is read."""

_VERSION_1: Final = {
    "block": "original",
    "feed_forward_multiplier": 1,
    "item_normalisation": "none",
    "temperature": 1.0,
}
_CHOICES: Final = {
    "block": ("original", "pre_norm", "ligr"),
    "item_normalisation": ("none", "items", "cosine"),
}
_NORM_EPSILON = 1e-8
_SHORTEST = 1e-12
_NAMED = 10


class ModelUnreadableError(Exception):
    """The files are not a model of this format, or do not fit together."""


class UnknownItemsError(ValueError):
    """A history or a replacement holds items that the model was not trained with; `names` lists them."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        more = f" and {len(self.names) - _NAMED} more" if len(self.names) > _NAMED else ""
        super().__init__(f"unknown items: {', '.join(map(repr, self.names[:_NAMED]))}{more}")


class ReplacePositionError(ValueError):
    """`replace` names a position that the history does not have."""


class PortableModel:
    """A trained model, for one history at a time.

    config: the parsed config.json; item_ids[i - 1] is the id of item number i; weights: float32 arrays by
    name. Raises ModelUnreadableError when they do not fit together. Never changed after it was made, so
    threads may share it.
    """

    def __init__(self, config: Mapping[str, Any], item_ids: Sequence[str], weights: Weights) -> None:
        self.config = {**_VERSION_1, **config}
        self.item_ids = list(item_ids)
        self._number = {item: number for number, item in enumerate(self.item_ids, 1)}
        self._weights = weights
        _check_format(self.config)
        self._max_length = int(self.config["max_length"])
        if len(self._number) != len(self.item_ids):
            raise ModelUnreadableError(f"{ITEMS_FILE} names an item twice")
        self._check_weights()
        table = weights["item_embedding.weight"]
        self._scored = table if self.config["item_normalisation"] == "none" else _unit(table)

    def recommend(
        self,
        history: Sequence[str],
        k: int = 10,
        exclude_seen: bool = True,
        replace: Mapping[int, str] | None = None,
    ) -> list[tuple[str, float]]:
        """Return the k best next items, best first, as (item id, score); scores compare within one answer.

        history: item ids, oldest first; the last `max_length` are read. exclude_seen leaves all of the
        history's items out, those that were replaced and their replacements included. replace asks 'what if':
        {position: item}, positions counted from 0, or from the end when negative. Raises UnknownItemsError,
        ReplacePositionError, and ValueError for an empty history or k < 1.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        replacements = dict(replace or {})
        self._refuse_unknown([*history, *replacements.values()])
        seen = [self._number[item] for item in history]
        read = list(seen)
        for position, item in replacements.items():
            if not -len(read) <= position < len(read):
                raise ReplacePositionError(f"position {position}: the history has {len(read)} items")
            read[position] = self._number[item]
        scores = self.score(read)
        if exclude_seen:
            scores[seen + read] = -np.inf
        best = np.argsort(-scores, kind="stable")[: min(k, len(self.item_ids))]
        return [(self.item_ids[i - 1], float(scores[i])) for i in best.tolist() if scores[i] > -np.inf]

    def score(self, numbers: Sequence[int]) -> Float32:
        """Return the score of every item after these item numbers (1 … V, oldest first): float32[V+1].

        Padding, at index 0, scores minus infinity. Raises ValueError for an empty history.
        """
        if not len(numbers):
            raise ValueError("an empty history says nothing about what comes next")
        embeddings = self._weights["item_embedding.weight"]
        window = np.asarray(numbers[-self._max_length :], dtype=np.int64)
        x_nD = embeddings[window] * np.float32(np.sqrt(embeddings.shape[1]))
        encode = self._sasrec if self.config["architecture"] == "sasrec" else self._gru4rec
        h_D = encode(x_nD)
        if self.config["item_normalisation"] == "cosine":
            h_D = _unit(h_D)
        scores: Float32 = self._scored @ (h_D / np.float32(self.config["temperature"]))
        if not np.isfinite(scores).all():
            raise ModelUnreadableError("the model's scores are not finite: its weights are damaged")
        scores[0] = -np.inf
        return scores

    def _sasrec(self, x_nD: Float32) -> Float32:
        n, width = x_nD.shape
        x = x_nD + self._weights["position_embedding.weight"][self._max_length - n :]
        heads, kind = int(self.config["heads"]), self.config["block"]
        future = np.triu(np.ones((n, n), dtype=bool), 1)
        for block in range(int(self.config["blocks"])):
            name = f"blocks.{block}"
            q = self._norm(f"{name}.attention_norm", x)
            read = x if kind == "original" else q
            Q, K, V = (
                self._linear(f"{name}.{part}", source).reshape(n, heads, -1).swapaxes(0, 1)
                for part, source in (("query", q), ("key", read), ("value", read))
            )
            logits = Q @ K.swapaxes(1, 2) / np.float32(np.sqrt(width // heads))
            logits[:, future] = -np.inf
            weights = np.exp(logits - logits.max(axis=2, keepdims=True))
            weights /= weights.sum(axis=2, keepdims=True)
            attended = (weights @ V).swapaxes(0, 1).reshape(n, width)
            if kind == "original":
                x = q + attended
                z = self._norm(f"{name}.feed_forward_norm", x)
                inner = np.maximum(self._linear(f"{name}.expand", z), 0)
                x = z + self._linear(f"{name}.contract", inner)
                continue
            x = x + self._gated(f"{name}.attention_gate", x, self._linear(f"{name}.project", attended))
            z = self._norm(f"{name}.feed_forward_norm", x)
            inner = self._linear(f"{name}.expand", z)
            if kind == "pre_norm":
                inner = np.maximum(inner, 0)
            else:
                gate = self._linear(f"{name}.gate", z)
                inner = inner * gate * _sigmoid(gate)
            x = x + self._gated(f"{name}.feed_forward_gate", x, self._linear(f"{name}.contract", inner))
        return self._norm("final_norm", x[-1])

    def _gru4rec(self, x_nD: Float32) -> Float32:
        x, pre_norm = x_nD, self.config["block"] == "pre_norm"
        for layer in range(int(self.config["blocks"])):
            name = f"layers.{layer}"
            read = self._norm(f"norms.{layer}", x) if pre_norm else x
            inputs = read @ self._weights[f"{name}.weight_ih_l0"].T + self._weights[f"{name}.bias_ih_l0"]
            recurrent, bias = self._weights[f"{name}.weight_hh_l0"], self._weights[f"{name}.bias_hh_l0"]
            state = np.zeros(x.shape[1], dtype=np.float32)
            states = np.empty_like(x)
            for t in range(len(x)):
                ir, iz, in_ = np.split(inputs[t], 3)
                hr, hz, hn = np.split(recurrent @ state + bias, 3)
                reset, update = _sigmoid(ir + hr), _sigmoid(iz + hz)
                state = (1 - update) * np.tanh(in_ + reset * hn) + update * state
                states[t] = state
            x = x + states if pre_norm else states
        last = self._norm("final_norm", x[-1]) if pre_norm else x[-1]
        return self._linear("output", last)

    def _gated(self, name: str, x: Float32, change: Float32) -> Float32:
        """Let the gate decide how much of a change passes; `pre_norm` has no gates."""
        return change * _sigmoid(self._linear(name, x)) if self.config["block"] == "ligr" else change

    def _linear(self, name: str, x: Float32) -> Float32:
        product: Float32 = x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return product

    def _norm(self, name: str, x: Float32) -> Float32:
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(_NORM_EPSILON))
        normed: Float32 = (
            centred / deviation * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        )
        return normed

    def _refuse_unknown(self, items: Sequence[str]) -> None:
        unknown = dict.fromkeys(item for item in items if item not in self._number)
        if unknown:
            raise UnknownItemsError(list(unknown))

    def _check_weights(self) -> None:
        expected = weight_shapes(self.config, len(self.item_ids))
        found = {name: array.shape for name, array in self._weights.items()}
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                raise ModelUnreadableError(
                    f"{WEIGHTS_FILE} does not fit {CONFIG_FILE}: {name} should have shape "
                    f"{expected.get(name)} and has {found.get(name)}"
                )


def weight_shapes(config: Mapping[str, Any], n_items: int) -> dict[str, tuple[int, ...]]:
    """Name every array that an architecture of this configuration has, with its shape."""
    width, blocks = int(config["hidden_size"]), range(int(config["blocks"]))
    options = {**_VERSION_1, **config}
    kind, inner = options["block"], int(options["feed_forward_multiplier"]) * width
    shapes: dict[str, tuple[int, ...]] = {"item_embedding.weight": (n_items + 1, width)}
    linears: dict[str, tuple[int, int]] = {}
    norms: list[str] = []
    if config["architecture"] == "sasrec":
        shapes["position_embedding.weight"] = (int(config["max_length"]), width)
        maps = dict.fromkeys(("query", "key", "value"), (width, width))
        maps |= {"expand": (inner, width), "contract": (width, inner)}
        if kind != "original":
            maps["project"] = (width, width)
        if kind == "ligr":
            maps |= {"gate": (inner, width), "attention_gate": (width, width)}
            maps["feed_forward_gate"] = (width, width)
        linears = {f"blocks.{i}.{part}": shape for i in blocks for part, shape in maps.items()}
        norms = [f"blocks.{i}.{norm}_norm" for i in blocks for norm in ("attention", "feed_forward")]
        norms.append("final_norm")
    else:
        linears["output"] = (width, width)
        if kind == "pre_norm":
            norms = [*(f"norms.{i}" for i in blocks), "final_norm"]
        for i, part in ((i, part) for i in blocks for part in ("ih", "hh")):
            shapes[f"layers.{i}.weight_{part}_l0"] = (3 * width, width)
            shapes[f"layers.{i}.bias_{part}_l0"] = (3 * width,)
    shapes |= {f"{norm}.{part}": (width,) for norm in norms for part in ("weight", "bias")}
    shapes |= {f"{linear}.weight": shape for linear, shape in linears.items()}
    shapes |= {f"{linear}.bias": shape[:1] for linear, shape in linears.items()}
    return shapes


def load_model(source: str | Path | Mapping[str, bytes]) -> PortableModel:
    """Load a model from its folder, or from its files' contents by name. Raises ModelUnreadableError."""
    try:
        if isinstance(source, Mapping):
            files = {name: source[name] for name in MODEL_FILES}
        else:
            folder = Path(source)
            files = {name: (folder / name).read_bytes() for name in MODEL_FILES}
        config, item_ids = json.loads(files[CONFIG_FILE]), json.loads(files[ITEMS_FILE])
        weights = _read_weights(files[WEIGHTS_FILE])
    except KeyError as error:
        raise ModelUnreadableError(f"the file {error.args[0]} is missing") from error
    except OSError as error:
        raise ModelUnreadableError(f"a model file cannot be read: {error}") from error
    except ValueError as error:
        raise ModelUnreadableError(f"a model file is damaged: {error}") from error
    if not isinstance(config, dict) or not isinstance(item_ids, list):
        raise ModelUnreadableError(f"{CONFIG_FILE} must hold an object and {ITEMS_FILE} a list")
    if not all(isinstance(item, str) for item in item_ids):
        raise ModelUnreadableError(f"{ITEMS_FILE} must list item ids as strings")
    return PortableModel(config, item_ids, weights)


def _read_weights(content: bytes) -> Weights:
    """Read a safetensors file: the header's length (8 bytes), the header as JSON, then the arrays end to end.

    Only float32, as `package.py` writes it. ValueError when the file is not that; nothing is copied.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length]) if len(content) >= 8 + length else None
    if not isinstance(header, dict):
        raise ValueError(f"{WEIGHTS_FILE} is cut short")
    header.pop("__metadata__", None)
    body, weights, end = memoryview(content)[8 + length :], Weights(), 0
    try:
        for name, array in sorted(header.items(), key=lambda entry: tuple(entry[1]["data_offsets"])):
            start, stop = array["data_offsets"]
            if array["dtype"] != "F32" or start != end or stop > len(body):
                raise ValueError(f"{name} is not float32, or not all there")
            weights[name] = np.frombuffer(body[start:stop], dtype="<f4").reshape(array["shape"])
            end = stop
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the header of {WEIGHTS_FILE} does not say what is in it") from error
    if end != len(body):
        raise ValueError(f"{WEIGHTS_FILE} is longer than its header says")
    return weights


def _check_format(config: Mapping[str, Any]) -> None:
    if config.get("format") != FORMAT or config.get("format_version") not in READABLE_VERSIONS:
        versions = " or ".join(map(str, READABLE_VERSIONS))
        raise ModelUnreadableError(f"{CONFIG_FILE} is not of format {FORMAT!r}, version {versions}")
    if config.get("architecture") not in ("sasrec", "gru4rec"):
        raise ModelUnreadableError(f"unknown architecture {config.get('architecture')!r}")
    for name in ("max_length", "hidden_size", "blocks", "heads", "feed_forward_multiplier"):
        if not isinstance(config.get(name), int) or config[name] < 1:
            raise ModelUnreadableError(f"{CONFIG_FILE}: {name} must be a positive integer")
    for name, choices in _CHOICES.items():
        if config[name] not in choices:
            raise ModelUnreadableError(f"{CONFIG_FILE}: unknown {name} {config[name]!r}")
    if not isinstance(config["temperature"], int | float) or not config["temperature"] > 0:
        raise ModelUnreadableError(f"{CONFIG_FILE}: temperature must be a positive number")


def _unit(x: Float32) -> Float32:
    unit: Float32 = x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), np.float32(_SHORTEST))
    return unit


def _sigmoid(x: Float32) -> Float32:
    # By tanh, which does not overflow for large negative x.
    result: Float32 = 0.5 * (1 + np.tanh(0.5 * x))
    return result
