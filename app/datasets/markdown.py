"""The report of a data set as Markdown: one table for what reading found and what the doctor says."""

from __future__ import annotations

from app.datasets.schemas import DatasetReport

_ESCAPED = str.maketrans({"|": "\\|", "\n": " ", "\r": " ", "<": "&lt;"})


def as_markdown(report: DatasetReport) -> str:
    """A page to be read as it is, or rendered."""
    stats = report.stats or {}
    lines = [f"# Data set {report.dataset}", "", f"Status: {report.status}."]
    if stats:
        counts = ", ".join(f"{stats[name]:,} {name}" for name in ("users", "items", "interactions"))
        period = f", from {stats['first_at']} to {stats['last_at']}" if stats.get("first_at") else ""
        lines += ["", f"{counts}{period}."]
    rows: list[tuple[str, str, str, list[int], str]] = [
        (found.severity, found.code, found.message, found.lines, found.hint or "")
        for found in report.problems
    ]
    for finding in report.findings:
        advice = ""
        if finding.fix is not None:
            value = "" if finding.fix.value is None else f" = {finding.fix.value}"
            advice = f"{finding.fix.kind} `{finding.fix.name}{value}`: {finding.fix.description}"
        examples = f" For example {', '.join(finding.examples)}." if finding.examples else ""
        rows.append((finding.severity, finding.code, finding.message + examples, finding.lines, advice))
    if rows:
        lines += [
            "",
            "| severity | finding | what | first lines | what to do |",
            "| --- | --- | --- | --- | --- |",
        ]
        for severity, code, what, where, advice in rows:
            numbers = ", ".join(map(str, where))
            lines.append(f"| {severity} | {code} | {_cell(what)} | {numbers} | {_cell(advice)} |")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return text.translate(_ESCAPED)
