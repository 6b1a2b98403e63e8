"""A quality report in lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from llmops.types import Json

_MOST_NAMED = 3


def run_lines(report: Json) -> Iterator[str]:
    """A run's report in a few lines; nothing where there is nothing to say."""
    if not report["documents"]["ready"] and not report["documents"]["failed"]:
        return
    if report["documents"]["ready"]:
        yield f"  languages: {_counted(report['languages'])}; {report['tokens']:,} tokens"
    duplicates = {"exact duplicates": report["exact_duplicates"], "near duplicates": report["near_duplicates"]}
    lacking = {"empty": report["empty"], "too short": report["too_short"], "without a title": report["untitled"]}
    lacking |= {"pages without text": report["pages_without_text"]}
    found = {name: count for name, count in {**duplicates, **lacking}.items() if count}
    if found:
        yield "  look at: " + ", ".join(f"{count:,} {name}" for name, count in found.items())
    yield from _gaps(report["missing_metadata"])
    yield from _pii(report["pii"])
    yield from _drifted(report["change"]["drift"])


def lines(report: Json) -> Iterator[str]:
    """A collection's report."""
    documents = report["documents"]
    yield f"{report['collection']} at sequence {report['seq']}: {documents['ready']:,} documents ready, {documents['failed']:,} failed"
    if documents["without_profile"]:
        yield f"  {documents['without_profile']:,} have no profile, for an earlier release read them: ingest them again"
    if documents["ready"]:
        sizes = report["characters"]
        yield f"  {sizes['total']:,} characters, {report['tokens']:,} tokens; median {sizes['median']:,}, longest {sizes['longest']:,}"
    if report["languages"]:
        yield f"  languages: {_counted(report['languages'])}"
    for failure in report["failures"]:
        yield f"  failed  {failure['documents']:,}: {failure['reason']}"
    for name in ("empty", "too_short", "untitled", "pages_without_text"):
        if report[name]:
            yield f"  {name.replace('_', ' ')}: {report[name]:,}"
    yield from _duplicates("exact duplicates", report["exact_duplicates"])
    yield from _duplicates(f"near duplicates, from {report['near_duplicates']['threshold']} on", report["near_duplicates"])
    if report["near_duplicates"]["estimated"]:
        yield f"    {report['near_duplicates']['estimated']:,} pairs were judged by their signatures alone"
    yield from _gaps(report["missing_metadata"])
    yield from _pii(report["pii"])
    yield from _change(report["change"])


def _duplicates(name: str, found: Json) -> Iterator[str]:
    yield f"  {name}: {found['documents']:,} documents in {found['groups']:,} groups"
    for group in found["largest"][:_MOST_NAMED]:
        names = [f"{document['source']}/{document['external_id']}" for document in group[:_MOST_NAMED]]
        yield f"    {', '.join(names)}{' …' if len(group) > _MOST_NAMED else ''}"


def _gaps(gaps: list[Json]) -> Iterator[str]:
    shown = [f"{gap['field']} in {gap['lack']:,} of {gap['have'] + gap['lack']:,} ({gap['source']})" for gap in gaps[:_MOST_NAMED]]
    if shown:
        yield f"  missing metadata: {', '.join(shown)}{' …' if len(gaps) > _MOST_NAMED else ''}"


def _pii(found: Json) -> Iterator[str]:
    if found:
        shown = (f"{counts['found']:,} {label} in {counts['documents']:,}" for label, counts in found.items())
        yield f"  personal data: {', '.join(shown)}"


def _change(change: Json | None) -> Iterator[str]:
    if change is None:
        yield "  no run is known to compare with"
        return
    yield f"  since sequence {change['since']}: {change['added']:,} added, {change['changed']:,} changed, {change['withdrawn']:,} withdrawn"
    for one in change["drift"]:
        yield f"    {_measured(one)}{'  drifted' if one['drifted'] else ''}"


def _drifted(drift: list[Json]) -> Iterator[str]:
    if drifted := [_measured(one) for one in drift if one["drifted"]]:
        yield f"  drift: {', '.join(drifted)}"


def _measured(one: Json) -> str:
    return f"{one['of']}: {one['measure']} {one['value']:.3f}, threshold {one['threshold']:.3f}"


def _counted(counts: Json) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
