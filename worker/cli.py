"""`steadyrank train`: the training library on a file, with no service.

Plugged into the command by an entry point, so that `app` never imports torch.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from app.cli.demo.results import print_table, rows_of
from app.cli.exits import BAD_INPUT, FAILED, INTERRUPTED, OK, UsageProblemError
from app.cli.settings_file import read_assignments, read_spec, split_names
from app.console import new_console
from app.sdk.reports import JobReport
from worker.console_progress import interruptible
from worker.reproduce import EXIT_CODES, Reproduction, read_manifest
from worker.training.data.readers.problems import Problem, UnreadableDataset
from worker.training.data.readers.read import ReadOptions, read_interactions
from worker.training.experiment import ExperimentResult, run_experiment
from worker.training.fitting.checkpoint_folder import FolderCheckpoints
from worker.training.fitting.warm_start import InitialModel
from worker.training.progress import CheckpointUnreadableError, DataError, Stopped, TrainingError
from worker.training.reporting.reproduction import DEFAULT_TOLERANCE
from worker.training.runtime import DeviceUnavailableError, Runtime
from worker.training.spec import TrainSpec

Column = Annotated[str | None, typer.Option(show_default="guessed")]


def train(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Interaction log: csv, tsv, jsonl, parquet, .inter, …"),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FILE", help="The same as the argument.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Result folder.")] = Path("train-output"),
    spec: Annotated[Path | None, typer.Option(help="JSON or TOML file of training settings.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, name=value; may be repeated.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Settings to start from: paper or strong; others win over it.")
    ] = None,
    arms: Annotated[str | None, typer.Option(help="Comma-separated arms.")] = None,
    init_from: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Start from the weights of this model folder.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(show_default="auto", help="auto, cpu, cuda or cuda:N.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=0, show_default="0", help="CPU threads; 0 is all cores.")
    ] = None,
    from_manifest: Annotated[
        Path | None,
        typer.Option(help="Do the run of this manifest.json again, on the same data, and compare."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="With --from-manifest: how far a metric may be off.")
    ] = DEFAULT_TOLERANCE,
    file_format: Annotated[str | None, typer.Option("--format", show_default="guessed")] = None,
    user_column: Column = None,
    item_column: Column = None,
    time_column: Column = None,
    rating_column: Column = None,
) -> None:
    """Train on a file: writes report.json, report.md and models/<arm>-seed<n>/ into the output folder.

    Interrupted (Ctrl-C, a power cut) and started again with the same settings, it goes on where it was.
    With --from-manifest the settings, device and threads are the manifest's, other data are refused, and the
    answer is 'bit-equal', 'within tolerance' or 'different' with the first field that differs. It trains
    anew whatever lies in the output folder, but for a reproduction that was interrupted there, which it goes
    on with. Where its run started from a model, --init-from names that
    model's folder; another is refused.
    Exit codes: 0 done (bit-equal), 1 training failed, 2 bad input, 5 within tolerance, 6 different,
    130 interrupted.
    """
    console = new_console(stderr=True, soft_wrap=True)
    path = _the_file(file, data)
    again = read_manifest(from_manifest) if from_manifest else None
    if from_manifest and from_manifest.resolve() == (output / "manifest.json").resolve():
        raise UsageProblemError(
            f"{from_manifest} would be overwritten by the manifest of the new run.",
            hint="Name another folder with --output.",
        )
    if again and (spec or settings or arms is not None or preset):
        raise UsageProblemError(
            "--from-manifest brings all settings: leave out --spec, --set, --arms and --preset."
        )
    wanted = again.spec if again else read_training_spec(spec, settings or [], split_names(arms), preset)
    start = again.initial(init_from) if again else init_from
    if start is not None:
        wanted = wanted.model_copy(update={"init_from": str(start)})
    runtime = Runtime(
        device if device is not None else again.device if again else "auto",
        threads if threads is not None else again.threads if again else 0,
    )
    options = ReadOptions(file_format, user_column, item_column, time_column, rating_column)
    try:
        read = read_interactions(path, options)
    except UnreadableDataset as error:
        _show_problems(console, error.problems)
        raise typer.Exit(BAD_INPUT) from error
    _say(console, f"{path.name}: {read.format}, columns {read.columns}, {read.stats}")
    _show_problems(console, read.problems)
    prepare_folder(output)
    # What an earlier run has left there would be read back instead of trained, and prove nothing.
    kept = output / (f"checkpoints-{again.name}" if again else "checkpoints")
    checkpoints = FolderCheckpoints(kept)
    with interruptible(console) as progress:
        try:
            result = run_experiment(
                wanted,
                read.interactions,
                progress=progress,
                checkpoints=checkpoints,
                runtime=runtime,
                expected=again.manifest["data"] if again else None,
                initial=InitialModel.read_folder(Path(wanted.init_from)) if wanted.init_from else None,
            )
        except Stopped:
            _say(console, f"Stopped. Run the same command again to go on from {kept}.")
            raise typer.Exit(INTERRUPTED) from None
        except TrainingError as error:
            console.print(f"[bold red]Error[/] {escape(str(error))} ({error.code})")
            hint = error.hint
            if isinstance(error, CheckpointUnreadableError):
                hint = f"Name another --output, or delete {kept} to start again."
            if hint:
                console.print(f"  [cyan]Hint[/] {escape(hint)}")
            wrong_input = isinstance(error, DataError | DeviceUnavailableError)
            raise typer.Exit(BAD_INPUT if wrong_input else FAILED) from error
    write_result(result, output)
    page = new_console()
    print_table(page, rows_of(cast("JobReport", result.report)))
    _say(page, result.report["verdict"])
    _say(
        page,
        f"Written to {output}: report.html, report.md, report.json, manifest.json, figures/ and models/.",
    )
    if again is None:
        raise typer.Exit(OK)
    answer = _answer(page, again, result, tolerance)
    shutil.rmtree(kept)
    raise typer.Exit(answer)


def _the_file(argument: Path | None, option: Path | None) -> Path:
    if (argument is None) == (option is None):
        raise UsageProblemError(
            "Name one data file.", hint="steadyrank train FILE, or steadyrank train --data FILE"
        )
    return argument or option or Path()


def _answer(page: Console, again: Reproduction, result: ExperimentResult, tolerance: float) -> int:
    """Say how the run compares with the manifest it was made from; return the exit code."""
    compared = again.compare(result.manifest, tolerance)
    difference = f": {compared.first_difference}" if compared.first_difference else ""
    _say(page, f"{compared.verdict}{difference}")
    for remark in again.remarks(result.manifest) if difference else ():
        _say(page, f"  {remark}")
    return EXIT_CODES[compared.verdict]


def read_training_spec(
    path: Path | None, assignments: list[str], arms: list[str] | None, preset: str | None = None
) -> TrainSpec:
    """Settings of the file, then `--set`, then `--arms` and `--preset`; later ones win.

    The name of a preset, that is: what it stands for lies beneath all of them. Raises UsageProblemError.
    """
    given: dict[str, Any] = {**(read_spec(path) if path else {}), **read_assignments(assignments)}
    if arms is not None:
        given["arms"] = arms
    if preset is not None:
        given["preset"] = preset
    try:
        return TrainSpec.model_validate(given)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'spec'}: {fault['msg']} (got {fault['input']!r})"
            if fault["loc"]
            else fault["msg"]
            for fault in error.errors()
        )
        hint = "docs/api.md lists the settings, as GET /v1/capabilities does."
        raise UsageProblemError(faults, hint=hint) from None


def prepare_folder(output: Path) -> None:
    """Make the output folder and write to it once, for hours may pass before the first result.

    Raises OSError, which names the path, where that fails.
    """
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=output):
        pass


def write_result(result: ExperimentResult, folder: Path) -> None:
    """Write the report, figures, manifest and each model's files, over what an earlier run left."""
    files = dict(result.documents)
    for model in result.models:
        of_model = f"models/{model.arm}-seed{model.seed}"
        files |= {f"{of_model}/{name}": content for name, content in result.files_of(model).items()}
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _say(console: Console, text: str) -> None:
    """Print a line that holds names of the user's own, which are no markup."""
    console.print(text, markup=False, soft_wrap=True)


def _show_problems(console: Console, problems: Sequence[Problem]) -> None:
    """Write a block for each fault or remark about the file; lines are named in the message."""
    for problem in problems:
        colour = "red" if problem.severity == "error" else "yellow"
        console.print(f"[{colour}]{problem.severity}[/] {escape(problem.message)} ({problem.code})")
        console.print(f"  [cyan]Hint[/] {escape(problem.hint)}")
