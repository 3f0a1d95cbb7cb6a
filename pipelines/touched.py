"""Tables brought up to date for the customers that something new is about, and for no others.

A model whose rows hang on one customer each says so in its configuration (``meta: by_customer``).
When rows came since it was built, its own SQL is asked once more of the records of *touched*
customers alone: those of new and changed records, and whoever had them before. What the table has
of them is taken out, what the SQL says now is put in. The rest of the table is not looked at.

The *base* says what the tables were made of: the files in raw, whose customer each record was, the
products and campaigns that events are named after. It is kept beside the tables and goes on to what
is there now when all of them have. A table at another base, or of other SQL, is built whole, as
all are when a file that was known is gone or another, or when many customers are touched.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import astuple, dataclass
from typing import Any

from cohorte.warehouse import TableInfo, transaction
from pipelines.differences import columns_of
from pipelines.standing import NUMBER, Standing, content_hash, digest, sum_of_hashes
from pipelines.touched_records import (
    CLOSED,
    ENTITIES,
    MADE_OF,
    NAMED_AFTER,
    NUMBERS,
    RENUMBERED,
    SNAPSHOTS,
    THEIRS,
    TOLD,
    TOUCHED,
    changed,
)

MOST_TOUCHED = 0.3
"""With a larger share of customers touched, tables are built whole: it costs less."""

MOST_APPENDED = 0.5
"""A table of which so large a share was put in since it was built whole is built whole again: its
rows no longer lie in the order in which they are read."""

DDL = """
create table if not exists built.local (
    node varchar, base varchar, sql varchar, rows_count bigint, content varchar, appended bigint
);
create table if not exists built.base (
    base varchar, staged varchar, numbered varchar, whole varchar, records varchar
);
create table if not exists built.base_files (
    entity varchar, file_id integer, rows_count bigint, content varchar
);
create table if not exists built.touched (base varchar, since varchar, customer_id varchar);
"""


@dataclass(frozen=True)
class _Base:
    """What the tables are made of, by name, and what there is of it that is not files."""

    base: str
    staged: str
    """Of what the tables of `stage` read alone."""
    numbered: str
    """With customers' numbers, which the tables of `features` read beside."""
    whole: str
    """Of what is not told apart by customer: when it is another, all is built whole."""
    records: str
    """Of the records and whose they are."""


class Touched:
    """The models of one selection of dbt of which the rows hang on one customer each.

    ``nodes`` are those selected, compiled; ``nodes_there`` and ``sources`` all of the project;
    ``as_of`` the day looked from, as the SQL writes it.
    """

    def __init__(
        self,
        standing: Standing,
        nodes: Mapping[str, Any],
        nodes_there: Mapping[str, Any],
        sources: Mapping[str, Any],
        *,
        station: str,
        as_of: str,
    ) -> None:
        self._standing = standing
        self._connection = standing.connection
        self._all = nodes_there
        self._station = station
        self._as_of = as_of
        self._relations = {
            node: each.relation_name for node, each in {**nodes_there, **sources}.items()
        }
        filters = MADE_OF.get(station, {})
        self._filters = {
            node: filters[name]
            for node, each in {**nodes_there, **sources}.items()
            if (name := _name(each)) in filters
        }
        self._names = {node: _name(each) for node, each in sources.items()}
        self._read_by: dict[str, set[str]] = {}
        self.models = [node for node in standing.in_order() if self._is_local(node)]
        self._compiled = {
            node: getattr(each, "compiled_code", None) for node, each in nodes.items()
        }
        self._base: _Base | None = None
        if self.models:
            self._connection.execute(DDL)
            for node, sql in self._connection.execute(
                "select node, sql from built.nodes where sql is not null"
            ).fetchall():
                self._compiled[node] = self._compiled.get(node) or sql

    def bring_up(self, stale: Collection[str]) -> dict[str, TableInfo]:
        """Bring up to date the stale models that can be; their rows and content."""
        wanted = [node for node in self.models if node in stale]
        if (
            not wanted
            or self._station not in MADE_OF
            or not all(map(self._standing.is_there, self.models))
        ):
            return {}
        now, kept = self._now(), self._kept()
        noted = {
            node: (at, sql, TableInfo(rows=rows, hash=content), appended)
            for node, at, sql, rows, content, appended in self._connection.execute(
                "from built.local"
            ).fetchall()
        }
        done: dict[str, TableInfo] = {}
        behind: list[str] = []
        for node in wanted:
            if node not in noted:
                continue
            at, sql, info, appended = noted[node]
            if sql != self._digest(node):
                continue
            if at == self._at(now):
                done[node] = info
            elif kept and at == self._at(kept) and appended <= info.rows * MOST_APPENDED:
                behind.append(node)
        if kept and behind and self._are_told(now, kept) and self._touch(now, kept):
            self._lay_mini_world(behind, stale)
            for node in behind:
                done[node] = self._merge(node, noted[node][2], noted[node][3])
        return done

    def forget(self, nodes: Collection[str]) -> None:
        """Take away what says of what base these are: they are built whole."""
        if self.models:
            self._connection.execute(
                "delete from built.local where list_contains(?, node)", [list(nodes)]
            )

    def note(self, whole: Mapping[str, TableInfo], left: Collection[str]) -> None:
        """Note of what base the local models are now: those built ``whole``, and those ``left``
        as they stood or brought up."""
        if not self.models or self._station not in MADE_OF:
            return
        now = self._now()
        built = [
            [node, self._at(now), self._digest(node), info.rows, info.hash, 0]
            for node, info in whole.items()
            if node in self.models
        ]
        with transaction(self._connection):
            self._connection.execute(
                "update built.local set base = ? where list_contains(?, node)",
                [self._at(now), [node for node in self.models if node in left]],
            )
            self.forget([str(row[0]) for row in built])
            if built:
                self._connection.executemany(
                    "insert into built.local values (?, ?, ?, ?, ?, ?)", built
                )
            if self._station == "features":
                self._go_on(now)

    # -- the base -------------------------------------------------------------------------

    def _at(self, base: _Base) -> str:
        return {"stage": base.staged, "features": base.numbered}.get(self._station, base.base)

    def _kept(self) -> _Base | None:
        rows = self._connection.execute("from built.base").fetchall()
        return _Base(*rows[0]) if rows else None

    def _now(self) -> _Base:
        if self._base is None:
            files = {entity: self._standing.raw_files(entity) for entity in ENTITIES}
            look, content = self._standing.look, self._standing.content_of
            snapshots = look(f"({SNAPSHOTS})")
            base = numbered = whole = records = ""
            if self._station != "stage":
                whole = digest(*map(content, ("stg_places", "int_places__communes")))
                records = digest(content("stg_contacts"), look("identity.identity_map"))
                base = digest(
                    *(files, snapshots, whole, records),
                    *map(content, ("stg_products", "stg_exchange_rates")),
                    *map(look, ("identity.corrections", "raw.campaigns", "raw.address_verdicts")),
                )
            if self._station == "features":
                numbered = digest(base, look("built.customer_numbers"))
            staged = digest(files["contacts"], snapshots)
            self._base = _Base(base, staged, numbered, whole, records)
        return self._base

    def _are_told(self, now: _Base, kept: _Base) -> bool:
        """Whether what is new since the base kept can be told: no known file is another or gone."""
        is_stage = self._station == "stage"
        entities = ["contacts"] if is_stage else list(ENTITIES)
        if not self._are_snapshots_told() if is_stage else now.whole != kept.whole:
            return False
        self._lay_files(entities)
        ((others,),) = self._connection.execute(
            "select count(*) from built.base_files as kept anti join files_now as now"
            " using (entity, file_id, rows_count, content)"
            " where list_contains(?, kept.entity)",
            [entities],
        ).fetchall()
        self._connection.execute(
            "create or replace temp table fresh_files as select entity, file_id from files_now"
            " anti join built.base_files using (entity, file_id)"
        )
        return not others

    def _are_snapshots_told(self) -> bool:
        """Whether snapshots have only been added to, each later than those known of its feed."""
        self._lay({"fresh_snapshots": f"{SNAPSHOTS} except from built.base_snapshots"})
        ((others,),) = self._connection.execute(f"""
            select (select count(*) from (from built.base_snapshots except {SNAPSHOTS})) + (
                select count(*) from fresh_snapshots as fresh
                inner join built.base_snapshots as known using (source, feed)
                where fresh.shown_at <= known.shown_at
            )
        """).fetchall()
        return not others

    def _lay_files(self, entities: Collection[str]) -> None:
        rows = [(entity, *told) for entity in entities for told in self._standing.raw_files(entity)]
        columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
        self._connection.execute(
            "create or replace temp table files_now as select unnest($1::varchar[]) as entity,"
            " unnest($2::integer[]) as file_id, unnest($3::bigint[]) as rows_count,"
            " unnest($4::varchar[]) as content",
            columns,
        )

    def _go_on(self, now: _Base) -> None:
        """Keep what is there now as the base, once all local models are of it.

        A model of which nothing is noted is built whole when it is next asked for.
        """
        bases = (now.staged, now.base, now.numbered)
        if any(
            base not in bases
            for node, base in self._connection.execute(
                "select node, base from built.local"
            ).fetchall()
            if node in self._all and self._is_local(node)
        ):
            return
        self._lay_files(ENTITIES)
        self._connection.execute("create or replace table built.base_files as from files_now")
        self._connection.execute(f"create or replace table built.base_numbers as {NUMBERS}")
        self._connection.execute(f"create or replace table built.base_snapshots as {SNAPSHOTS}")
        kept = self._kept()
        for name, sql in NAMED_AFTER.items():
            if name == "records" and kept and kept.records == now.records:
                continue
            laid = f"from built.next_{name}" if self._is_touched_since(now) else sql
            self._connection.execute(f"create or replace table built.base_{name} as {laid}")
        self._connection.execute("delete from built.base")
        self._connection.execute(
            "insert into built.base values (?, ?, ?, ?, ?)", list(astuple(now))
        )

    def _digest(self, node: str) -> str:
        """Of all SQL that the rows of a model come of, and of how it is kept."""
        model = self._all[node]
        timeless = model.config.meta.get("timeless", ())
        made = [(model.config.materialized, model.contract.checksum)]
        for each in sorted(self._upstream(node)):
            sql = self._compiled.get(each) or self._all[each].checksum.checksum
            if self._all[each].name in timeless:
                sql = sql.replace(self._as_of, "")
            made.append((each, sql))
        return digest(made)

    def _is_local(self, node: str) -> bool:
        """Whether the rows of a model hang on one customer each, and on what is looked at."""
        each = self._all[node]
        return bool(each.resource_type == "model" and each.config.meta.get("by_customer")) and all(
            self._names[read] in TOLD
            for model in self._upstream(node)
            for read in self._all[model].depends_on_nodes
            if read in self._names
        )

    def _upstream(self, node: str) -> set[str]:
        """A model and all models that it reads, through whatever."""
        if node not in self._read_by:
            found = {node}
            for each in self._all[node].depends_on_nodes:
                if each in self._all:
                    found |= self._upstream(each)
            self._read_by[node] = found
        return self._read_by[node]

    # -- who is touched -------------------------------------------------------------------

    def _touch(self, now: _Base, kept: _Base) -> bool:
        """Lay down who is touched; whether they are few enough."""
        if self._station == "stage":
            self._lay({"mini_contacts": f"{changed('contacts', 'contact_id')} union {CLOSED}"})
            return self._are_few("mini_contacts", "staging.stg_contacts")
        if self._station == "unify" or not self._is_touched_since(now, kept):
            self._lay_touched(now, kept)
        else:
            self._lay({"touched_customers": "select customer_id from built.touched"})
        if self._station == "features":
            self._connection.execute(
                "insert into touched_customers"
                f" from ({RENUMBERED}) anti join touched_customers using (customer_id)"
            )
        return self._are_few("touched_customers", "built.base_records")

    def _lay_touched(self, now: _Base, kept: _Base) -> None:
        """Lay what the next base will keep beside files, and who is touched."""
        same = {"records"} if now.records == kept.records else set()
        with transaction(self._connection):
            for name in NAMED_AFTER.keys() - same:
                self._connection.execute(
                    f"create or replace table built.next_{name} as {NAMED_AFTER[name]}"
                )
            none = {f"changed_{name}": f"from built.base_{name} limit 0" for name in same}
            self._lay(TOUCHED | none)
            self._connection.execute(
                "create or replace table built.touched as"
                " select $1 as base, $2 as since, customer_id from touched_customers",
                [now.base, kept.base],
            )

    def _is_touched_since(self, now: _Base, kept: _Base | None = None) -> bool:
        """Whether it was found already who is touched by what is there now."""
        ((known,),) = self._connection.execute(
            "select count(*) from built.touched where base = $1 and since = coalesce($2, since)",
            [now.base, kept.base if kept else None],
        ).fetchall()
        return bool(known)

    def _lay(self, tables: Mapping[str, str]) -> None:
        for name, sql in tables.items():
            self._connection.execute(f"create or replace temp table {name} as {sql}")

    def _are_few(self, touched: str, of: str) -> bool:
        ((some, all_),) = self._connection.execute(
            f"select (select count(*) from {touched}), (select count(*) from {of})"
        ).fetchall()
        return bool(some <= all_ * MOST_TOUCHED)

    # -- their rows -----------------------------------------------------------------------

    def _lay_mini_world(self, models: Collection[str], stale: Collection[str]) -> None:
        """Ask the SQL of models, and of all that they read, of touched customers' records alone.

        What they read and this selection has not built anew yet is asked whole.
        """
        run = self._connection.execute
        if self._station == "unify":
            self._lay(THEIRS)
        in_mini: dict[str, str] = {}

        def lay(node: str) -> bool:
            """Lay a relation of touched customers; whether it is another than the whole."""
            if node in in_mini:
                return True
            relation = self._relations[node]
            if node in self._filters:
                name = _mini(self._all.get(node), node)
                if "mini__carts" in self._filters[node]:
                    lay(next(each for each in self._filters if each.endswith(".carts")))
                sql = self._filters[node].format(relation=relation)
                run(f"create or replace temp table {name} as {sql}")
                in_mini[node] = f"temp.main.{name}"
                return True
            each = self._all.get(node)
            if each is None or not (node in stale or self._is_expanded(node)):
                return False
            read = [other for other in each.depends_on_nodes if lay(other)]
            sql = str(self._compiled[node])
            for other in read:
                sql = sql.replace(self._relations[other], in_mini[other])
            kind = "view" if each.config.materialized == "view" else "table"
            run(f"create or replace temp {kind} {_mini(each, node)} as {sql}")
            in_mini[node] = f"temp.main.{_mini(each, node)}"
            return True

        for node in models:
            lay(node)

    def _is_expanded(self, node: str) -> bool:
        """Whether a model reads, through whatever, of what is filtered."""
        return any(
            each in self._filters
            for model in self._upstream(node)
            for each in self._all[model].depends_on_nodes
        )

    def _merge(self, node: str, before: TableInfo, appended: int) -> TableInfo:
        """Put the touched rows of a table in the place of those that it has; what it holds then."""
        each = self._all[node]
        table, mini = f'"{each.schema}"."{each.alias}"', f"temp.main.{_mini(each, node)}"
        gone, come = self._touched_rows(each, mini)
        columns = ", ".join(f'"{name}"' for name, _ in columns_of(self._connection, table))
        with transaction(self._connection):
            removed = content_hash(self._connection, f"(from {table} where {gone})")
            self._connection.execute(f"delete from {table} where {gone}")
            coming = f"(select {columns} from {mini} where {come})"
            added = content_hash(self._connection, coming)
            self._connection.execute(f"insert into {table} ({columns}) from {coming}")
            info = sum_of_hashes(
                before.rows - removed.rows + added.rows,
                int(before.hash, 16) - int(removed.hash, 16) + int(added.hash, 16),
            )
            self._connection.execute(
                "update built.local set base = ?, rows_count = ?, content = ?, appended = ?"
                " where node = ?",
                [self._at(self._now()), info.rows, info.hash, appended + added.rows, node],
            )
        return info

    def _touched_rows(self, node: Any, mini: str) -> tuple[str, str]:
        """Conditions: which rows of the table are touched, and which of the mini world count."""
        key = node.config.meta["by_customer"]
        if self._station == "stage":
            met = f"({key}) in (select (_source, contact_id) from mini_contacts)"
            return met, "true"
        if key == NUMBER:
            known = (
                "(select customer_number from {} semi join touched_customers using (customer_id))"
            )
            return (
                f"{NUMBER} in {known.format('built.base_numbers')}",
                f"{NUMBER} in {known.format('built.customer_numbers')}",
            )
        met = "customer_id in (from touched_customers)"
        if key == "customer_id":
            return met, met
        keys = f"select ({key}) from {mini} where customer_id is null or {met}"
        if node.name == "int_web_visits__identified":
            keys += " union all select (_source, session_id) from mini_sessions"
        return (
            f"{met} or (customer_id is null and ({key}) in ({keys}))",
            f"{met} or customer_id is null",
        )


def _name(node: Any) -> str:
    """The name of a model, or of a source with its schema's."""
    return f"{node.source_name}.{node.name}" if node.resource_type == "source" else str(node.name)


def _mini(node: Any, unique_id: str) -> str:
    """What a relation is called among those of touched customers."""
    if node is None:
        return f'"of_{"_".join(unique_id.split(".")[-2:])}"'
    return f'"mini__{node.alias}"'
