"""HTTP interfaces that answer JSON: page after page into a file of lines, then read as JSON lines.

The way of the pages is declared, the token comes from the environment, requests keep under a rate,
and an answer that says "later" (429, 5xx) or does not come is asked for again after a growing wait,
or the one that the answer names.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import httpx

from cohorte.said import said
from cohorte.sources import Feed, Rest
from cohorte.yamlfile import resolve_environment
from pipelines.connectors.extract import (
    EXTRACT_TABLE,
    Delivery,
    Extract,
    Prepared,
    QuarantineError,
)
from pipelines.connectors.json_lines import prepare_records, value_at
from pipelines.connectors.json_lines import read as read_lines_of_json

MAXIMUM_PAGES = 100_000
LONGEST_WAIT_SECONDS = 60.0
LATER = frozenset({408, 425, 429, 500, 502, 503, 504})


def prepare(
    connection: duckdb.DuckDBPyConnection, delivery: Delivery, feed: Feed, temp_dir: Path
) -> Prepared:
    """Fetch every page; QuarantineError when the interface refuses, or does not answer in time.

    Raises SettingsError when the environment lacks the token.
    """
    return prepare_records(delivery, _records(delivery, feed), temp_dir)


def read(connection: duckdb.DuckDBPyConnection, feed: Feed, group: Sequence[Prepared]) -> Extract:
    """Read the records fetched; they are known when the same came before."""
    (one,) = group
    extract = read_lines_of_json(connection, feed, group)
    file_id = one.delivery.file_id
    largest = one.delivery.since
    if feed.incremental:
        values = connection.execute(
            f"select max(json_extract_string(line, ?)) from {EXTRACT_TABLE}",
            [feed.incremental],
        ).fetchall()[0][0]
        largest = max(filter(None, (values, largest)), default=None)
    total = connection.execute(
        f"select coalesce(sum(md5_number_lower(line)), 0) from {EXTRACT_TABLE}"
    ).fetchall()[0][0]
    described = f"{extract.records[file_id]}\x1f{total}"
    read = {"format": "rest", "columns": extract.dialects[file_id]["columns"]}
    return replace(
        extract,
        dialects={file_id: read | ({"watermark": largest} if largest else {})},
        content_hash=hashlib.sha256(described.encode()).hexdigest(),
    )


def _records(delivery: Delivery, feed: Feed) -> Iterator[Any]:
    """The records of all pages, in the order they come."""
    rest = feed.rest or Rest()
    where = f'feed "{feed.feed}"'
    url = resolve_environment(feed.url or "", f"{where} key url")
    headers = {
        name: resolve_environment(value, f"{where} key headers")
        for name, value in rest.headers.items()
    }
    parameters: dict[str, str] = {
        name: resolve_environment(value, f"{where} key parameters")
        for name, value in rest.parameters.items()
    }
    if rest.since_parameter and delivery.since:
        parameters[rest.since_parameter] = delivery.since
    if rest.size_parameter:
        parameters[rest.size_parameter] = str(rest.page_size)
    page, seen = _first(rest), 0
    asked: set[str] = set()
    with httpx.Client(headers=headers, timeout=rest.timeout_seconds) as client:
        pace = Pace(rest.requests_per_minute)
        for _ in range(MAXIMUM_PAGES):
            if page is not None:
                parameters[rest.page_parameter] = page
            answer = ask(
                partial(client.get, url, params=parameters or None),
                pace,
                rest.retries,
                f"{delivery.name} {httpx.URL(url).host}",
            )
            document = _document(answer, delivery)
            records = value_at(document, feed.records)
            if not isinstance(records, list):
                raise _refused(
                    said("there is no list at {records}", records=feed.records or "$"),
                    delivery,
                    feed,
                )
            yield from records
            seen += len(records)
            following = _following(rest, answer, document, records, seen, page)
            if following is None:
                return
            if rest.paging == "link":
                url, parameters = str(answer.url.join(following)), {}
                _same_host(answer.url, url, delivery)
            else:
                page = following
            if following in asked:
                raise _refused(
                    said("page {following} leads to itself", following=following), delivery, feed
                )
            asked.add(following)
    raise _refused(
        said("over {maximum_pages:,} pages", maximum_pages=MAXIMUM_PAGES), delivery, feed
    )


def _first(rest: Rest) -> str | None:
    return {"page": str(rest.first_page), "offset": "0"}.get(rest.paging)


def _following(
    rest: Rest,
    answer: httpx.Response,
    document: Any,
    records: list[Any],
    seen: int,
    page: str | None,
) -> str | None:
    """The next page's number, place, cursor or address; none after the last."""
    match rest.paging:
        case "page" | "offset" if not records or (
            rest.size_parameter and len(records) < rest.page_size
        ):
            return None
        case "page":
            return str(int(page or rest.first_page) + 1)
        case "offset":
            return str(seen)
        case "cursor":
            value = value_at(document, rest.next_path)
            return str(value) if value not in (None, "", False) else None
        case "link":
            if rest.next_path:
                value = value_at(document, rest.next_path)
                return str(value) if value else None
            return answer.links.get("next", {}).get("url")
    return None


class Pace:
    """Keeps requests under a rate."""

    def __init__(self, per_minute: float) -> None:
        self._apart = 60.0 / per_minute
        self._next = 0.0

    def wait(self) -> None:
        now = time.monotonic()
        if now < self._next:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + self._apart


def ask(send: Callable[[], httpx.Response], pace: Pace, retries: int, where: str) -> httpx.Response:
    """One answer, asked for again while the interface says later; QuarantineError for none."""
    reason = said("it does not answer")
    for attempt in range(retries + 1):
        pace.wait()
        wait = min(LONGEST_WAIT_SECONDS, 0.5 * 2**attempt)
        try:
            answer = send()
        except httpx.HTTPError as error:
            reason = said("it does not answer: {error}", error=type(error).__name__)
        else:
            if answer.is_success:
                return answer
            reason = said(
                "it answers {status} {phrase}",
                status=answer.status_code,
                phrase=answer.reason_phrase,
            )
            if answer.status_code not in LATER:
                break
            wait = _asked_wait(answer, wait)
        if attempt < retries:
            time.sleep(wait)
    raise QuarantineError(
        "unreadable_interface",
        reason,
        where=where,
        remedy=said("see its address and token, and run again"),
    )


def _asked_wait(answer: httpx.Response, usual: float) -> float:
    """The seconds that ``Retry-After`` names, within bounds; else the usual wait."""
    try:
        return min(LONGEST_WAIT_SECONDS, max(0.0, float(answer.headers["Retry-After"])))
    except (KeyError, ValueError):
        return usual


def _document(answer: httpx.Response, delivery: Delivery) -> Any:
    try:
        return json.loads(answer.content, parse_float=str)
    except (ValueError, RecursionError):
        raise QuarantineError(
            "unreadable_interface",
            said("its answer is no JSON"),
            where=delivery.name,
            remedy=said("see that url is the interface's, not a page for people"),
        ) from None


def _same_host(asked: httpx.URL, following: str, delivery: Delivery) -> None:
    """The token goes to no other host than the declared one."""
    url = httpx.URL(following)
    if (url.host, url.port, url.scheme) != (asked.host, asked.port, asked.scheme):
        raise QuarantineError(
            "unreadable_interface",
            said("its next page is at another host, {host}", host=url.host),
            where=delivery.name,
            remedy=said("see what the interface answers; the token is not sent there"),
        )


def _refused(reason: str, delivery: Delivery, feed: Feed) -> QuarantineError:
    return QuarantineError(
        "unreadable_interface",
        reason,
        where=delivery.name,
        remedy=said('correct records or rest of feed "{feed}"', feed=feed.feed),
    )
