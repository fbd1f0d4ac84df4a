"""Run all benchmarks, or one by name with its own options: `python -m benchmarks [NAME [options]]`."""

from __future__ import annotations

import importlib
import sys

BENCHMARKS = {
    "training": "benchmarks.training",
    "evaluation": "benchmarks.evaluation",
    "cascade": "benchmarks.cascade",
    "reading": "benchmarks.reading",
    "memory": "benchmarks.memory",
    "flops": "benchmarks.flops",
    "growth": "benchmarks.growth",
    "losses": "benchmarks.losses",
    "uploads": "benchmarks.uploads",
    "api": "benchmarks.api",
    "peers": "benchmarks.peers.compare",
}


def main(arguments: list[str]) -> int:
    """Import a benchmark's module only when it runs; without a name, run each with its defaults."""
    if arguments and arguments[0] in BENCHMARKS:
        importlib.import_module(BENCHMARKS[arguments[0]]).main(arguments[1:])
        return 0
    if arguments:
        print(f"python -m benchmarks [{' | '.join(BENCHMARKS)}] [options]", file=sys.stderr)
        return 0 if arguments[0] in {"-h", "--help"} else 2
    for name, module in BENCHMARKS.items():
        print(f"\n## {name}\n", flush=True)
        importlib.import_module(module).main([])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
