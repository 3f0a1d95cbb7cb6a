"""Clusters are joined strongest first, and only where the whole agrees."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from models.identity.clusters import ClusterLimits, cluster

Link = tuple[int, int, float]


def joined(records: int, links: Iterable[Link], **more: object) -> tuple[list[int], list[str]]:
    links = list(links)
    labels, refusals = cluster(
        records,
        np.array([link[0] for link in links], dtype=np.int64),
        np.array([link[1] for link in links], dtype=np.int64),
        np.array([link[2] for link in links], dtype=np.float64),
        **more,  # type: ignore[arg-type]
    )
    return labels.tolist(), [refusal.reason for refusal in refusals]


def test_a_chain_that_its_ends_contradict_is_cut_at_its_weakest_link() -> None:
    chain = [(0, 1, 9.0), (1, 2, 5.0), (2, 3, 9.0), (0, 2, -9.0), (0, 3, -9.0), (1, 3, -9.0)]
    labels, reasons = joined(4, chain)
    assert labels == [0, 0, 2, 2]
    assert reasons == ["weak_as_a_whole"]


def test_a_record_like_two_people_of_a_household_does_not_make_them_one() -> None:
    """Marc, M. and Julie Valrandt of one address: M. is Marc by his e-mail, and like Julie."""
    veto = ClusterLimits().veto_weight
    links = [(0, 1, 16.0), (1, 2, 13.8), (0, 2, veto)]
    assert joined(3, links) == ([0, 0, 2], ["weak_as_a_whole"])


def test_weak_links_join_nobody() -> None:
    assert joined(2, [(0, 1, 4.0)])[0] == [0, 1]
    assert joined(2, [(0, 1, 4.3)])[0] == [0, 0]


def test_pairs_kept_apart_never_meet_not_even_by_way_of_others() -> None:
    links = [(0, 1, 20.0), (1, 2, 20.0)]
    labels, reasons = joined(3, links, apart=[(0, 2)])
    assert labels[0] != labels[2]
    assert reasons == ["kept_apart"]


def test_what_people_joined_is_joined_whatever_the_weights_say() -> None:
    assert joined(3, [(0, 2, -10.0)], together=[(2, 0)])[0] == [0, 1, 0]


def test_two_records_of_a_source_of_unique_people_stay_two() -> None:
    links = [(0, 1, 20.0), (1, 2, 19.0)]
    labels, reasons = joined(3, links, exclusive={0: 1, 2: 1})
    assert labels == [0, 0, 2]
    assert reasons == ["unique_in_source"]


def test_a_stated_value_of_which_there_is_one_keeps_clusters_apart() -> None:
    links = [(0, 1, 10.0), (1, 2, 10.0)]
    labels, reasons = joined(3, links, distinct={0: 1, 2: 2}, exact=np.array([True, True]))
    assert (labels, reasons) == ([0, 0, 2], ["distinct"])


def test_a_customer_does_not_grow_without_bound() -> None:
    links = [(0, record, 20.0) for record in range(1, 9)]
    labels, _ = joined(9, links, limits=ClusterLimits(max_records=3))
    assert max(labels.count(label) for label in labels) == 3


links_strategy = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 11), st.floats(-10, 10)).filter(
        lambda link: link[0] < link[1]
    ),
    max_size=30,
    unique_by=lambda link: link[:2],
)


@settings(deadline=None)
@given(links_strategy, st.randoms(use_true_random=False))
def test_the_order_of_the_links_changes_nothing(links: list[Link], random: object) -> None:
    shuffled = list(links)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert joined(12, links)[0] == joined(12, shuffled)[0]


@settings(deadline=None)
@given(links_strategy)
def test_without_constraints_exact_links_give_plain_components(links: list[Link]) -> None:
    links = [(a, b, 10.0) for a, b, _ in links]
    labels, _ = joined(12, links, exact=np.ones(len(links), dtype=np.bool_))
    ends = (np.array([a for a, _, _ in links]), np.array([b for _, b, _ in links]))
    graph = coo_array((np.ones(len(links)), ends), shape=(12, 12))
    _, components = connected_components(graph, directed=False)
    assert [labels.index(label) for label in labels] == [
        components.tolist().index(component) for component in components
    ]


@settings(deadline=None)
@given(
    links_strategy,
    st.lists(
        st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda pair: pair[0] != pair[1]),
        max_size=5,
    ),
)
def test_no_cluster_ever_joins_a_pair_kept_apart(
    links: list[Link], apart: list[tuple[int, int]]
) -> None:
    labels, _ = joined(12, links, apart=apart)
    assert all(labels[a] != labels[b] for a, b in apart)
