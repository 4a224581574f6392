"""Scores by class, tag or kind of entity, as a table."""

from __future__ import annotations


def format_report(scores: dict[str, dict[str, float]]) -> str:
    """Scores of every label as text, one line a label under a header."""
    width = max(5, *(len(name) for name in scores))
    lines = [f"{'label':<{width}}  precision  recall     f1  rows"]
    lines += [
        f"{name:<{width}}  {row['precision']:9.4f}  {row['recall']:6.4f} {row['f1']:6.4f} "
        f"{row['support']:5.0f}"
        for name, row in scores.items()
    ]
    return "\n".join(lines)
