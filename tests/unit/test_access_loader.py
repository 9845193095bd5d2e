"""The order of batches: shuffled by seed and epoch, shared among ranks, resumed, by workers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from access_store import FACES, StoreBuilder, mixed_recordings, samples_of
from hypothesis import given, settings
from hypothesis import strategies as st

import bidsmill
from bidsmill.access.training.loading import RowOrder, Sharing, permutation
from bidsmill.errors import BidsmillError


@pytest.fixture(scope="module")
def selection(tmp_path_factory, torch):
    root = tmp_path_factory.mktemp("loader")
    recordings = mixed_recordings()[:3]
    builder = StoreBuilder(root / "store")
    builder.publish("ds", recordings, samples_of(recordings))
    return bidsmill.open(builder.root, cache=root / "cache")["ds"].select()


def numbers(batches) -> list[list[float]]:
    """Return each batch as what tells its rows apart: their first values."""
    return [batch[:, 0, 0].tolist() for batch in batches]


def flat(batches) -> list[float]:
    return [number for batch in batches for number in batch]


def half(x):
    return x / 2


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 60), st.integers(1, 7), st.booleans(), st.booleans(), st.integers(0, 3))
def test_ranks_share_rows_like_those_of_pytorch(torch, n, size, shuffle, drop_last, epoch):
    class Sized:
        def __len__(self):
            return n

    shares = []
    for rank in range(size):
        order = RowOrder(n, shuffle, 3, Sharing(rank, size), drop_last)
        order.set_epoch(epoch)
        share = list(order)
        if n:
            theirs = torch.utils.data.DistributedSampler(
                Sized(), size, rank, shuffle=False, drop_last=drop_last
            )
            # With fewer rows than ranks it rounds a negative number up.
            assert len(share) == len(order) and (n < size or len(order) == len(theirs))
            assert shuffle or n < size or share == list(theirs)
        shares.append(share)
    counts = Counter(row for share in shares for row in share)
    assert set(counts) <= set(range(n)) and len({len(share) for share in shares}) == 1
    if drop_last:
        assert sum(counts.values()) == n // size * size and set(counts.values()) <= {1}
    else:
        assert sum(counts.values()) == -(-n // size) * size
        assert set(counts) == set(range(n)) and (n < size or max(counts.values()) <= 2)
    # The order of all does not depend on how many share it.
    alone = RowOrder(n, shuffle, 3, Sharing(0, 1), drop_last)
    alone.set_epoch(epoch)
    together = [share[i] for i in range(len(shares[0])) for share in shares]
    assert together[:n] == list(alone)[: len(together)]


def test_the_order_of_an_epoch():
    orders = [permutation(1000, seed, epoch).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert all(sorted(order) == list(range(1000)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    # Pinned: NumPy promises the raw numbers of PCG64, and a resumed training relies on them.
    assert permutation(10, 0, 0).tolist() == PINNED


PINNED = [3, 2, 1, 8, 6, 0, 7, 4, 5, 9]


def test_epochs(selection):
    settings = {"batch_size": 4, "shuffle": True, "seed": 2}
    loader = selection.loader(**settings)
    epochs = [numbers(loader) for _ in range(3)]
    assert len(loader) == 5 and epochs[0] != epochs[1] != epochs[2]
    other = selection.loader(**settings)
    other.set_epoch(2)
    assert numbers(other) == epochs[2]
    other.set_epoch(0)
    assert [numbers(other), numbers(other)] == epochs[:2]
    for number, _ in zip(range(2), other, strict=False):
        assert number < 2
    assert other.state_dict()["epoch"] == 2
    other.set_epoch(1)
    assert numbers(other) == epochs[1], "a pass that was broken off is not resumed by itself"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_loader_gives_exactly_the_other_batches(selection, workers):
    settings = {"batch_size": 3, "shuffle": True, "seed": 5, "num_workers": workers}
    whole = selection.loader(**{**settings, "num_workers": 0})
    epochs = [numbers(whole) for _ in range(3)]
    for stop in (0, 1, 4, 7) if workers == 0 else (2,):
        loader = selection.loader(**settings)
        assert numbers(loader) == epochs[0]
        seen = []
        if stop:
            for batch in loader:
                seen.append(batch)
                if len(seen) == stop:
                    break
        state = loader.state_dict()
        resumed = selection.loader(**settings)
        resumed.load_state_dict(state)
        left = epochs[1][stop:]
        if left:
            assert state["epoch"] == 1
            resumed.set_epoch(1)  # as a loop over epochs does; it goes on all the same
            assert numbers(resumed) == left
            assert numbers(seen) + left == epochs[1]
        assert numbers(resumed) == epochs[2]
        assert resumed.state_dict() == {**state, "epoch": 3, "done": 0}


def test_resume_with_another_number_of_ranks(selection):
    settings = {"batch_size": 2, "shuffle": True, "seed": 1}
    seen = []
    for rank in range(2):
        loader = selection.loader(**settings, rank=rank, world_size=2)
        for number, batch in enumerate(loader, 1):
            seen += batch[:, 0, 0].tolist()
            if number == 3:
                break
        state = loader.state_dict()
    alone = selection.loader(**settings)
    alone.load_state_dict(state)
    rest = flat(numbers(alone))
    assert sorted(seen + rest) == sorted(flat(numbers(selection.loader(batch_size=8))))


def test_states_of_other_loaders_are_refused(selection):
    state = selection.loader(shuffle=True, seed=1).state_dict()
    for other, name in (
        (selection.loader(shuffle=True), "seed"),
        (selection.loader(seed=1), "shuffle"),
        (selection.loader("face", shuffle=True, seed=1), "rows"),
    ):
        with pytest.raises(BidsmillError, match=f"another {name}"):
            other.load_state_dict(state)


def test_options_that_cannot_be(selection):
    with pytest.raises(BidsmillError, match="takes no sampler"):
        selection.loader(sampler=[1, 2])
    for options in ({"rank": 0}, {"world_size": 2}, {"rank": 2, "world_size": 2}):
        with pytest.raises(BidsmillError, match="rank and world_size do not fit"):
            selection.loader(**options)
    for size in (0, -1, 2.5, True):
        with pytest.raises(BidsmillError, match="a batch needs rows"):
            selection.loader(batch_size=size)
        with pytest.raises(BidsmillError, match="a batch needs rows"):
            selection.stream(batch_size=size)
    with pytest.raises(BidsmillError, match="only `loader` takes None"):
        selection.stream(batch_size=None)


def test_transforms_that_cannot_be_sent_to_workers(selection, torch):
    import multiprocessing

    for context in ("spawn", multiprocessing.get_context("spawn")):
        settings = {"num_workers": 1, "multiprocessing_context": context}
        for name in ("transform", "batch_transform"):
            with pytest.raises(BidsmillError, match=f"the {name} cannot be sent to workers"):
                selection.loader(**{name: lambda x: x}, **settings)
            with pytest.raises(BidsmillError, match=f"the {name} cannot be sent to workers"):
                selection.stream(**{name: lambda x: x}).loader(**settings)
        selection.loader(transform=half, **settings)
    selection.loader(transform=lambda x: x)
    selection.loader(transform=lambda x: x, num_workers=1, multiprocessing_context="fork")


def test_ranks_of_torch_distributed(selection, torch):
    from torch.testing._internal.distributed.fake_pg import FakeStore

    torch.distributed.init_process_group("fake", rank=1, world_size=3, store=FakeStore())
    try:
        found = numbers(selection.loader(batch_size=4, shuffle=True))
        streamed = selection.stream(seed=4)
        stated = numbers(selection.stream(seed=4, rank=0, world_size=1))
    finally:
        torch.distributed.destroy_process_group()
    assert found == numbers(selection.loader(batch_size=4, shuffle=True, rank=1, world_size=3))
    assert len(flat(found)) == 7
    assert numbers(streamed) == numbers(selection.stream(seed=4, rank=1, world_size=3)) != stated


def test_workers_of_both_kinds_give_the_same_batches(selection, torch, tmp_path):
    settings = {"target": "face", "batch_size": 4, "shuffle": True, "transform": half}
    alone = selection.loader(**settings)
    expected = [[(X, y) for X, y in alone] for _ in range(2)]
    for method in ("fork", "spawn"):
        # Their cache is empty: the workers fill it.
        store = bidsmill.open(selection.dataset.store_files.address, cache=tmp_path / method)
        loader = (
            store["ds"]
            .select()
            .loader(
                **settings, num_workers=2, multiprocessing_context=method, persistent_workers=True
            )
        )
        for epoch in expected:
            for (X, y), (own_X, own_y) in zip(epoch, loader, strict=True):
                assert torch.equal(X, own_X) and torch.equal(y, own_y)
    X, y = selection.arrays("face")
    found = {
        x.tobytes(): FACES[c] for X, y in expected[0] for x, c in zip(X.numpy(), y, strict=True)
    }
    assert found == {(x / 2).tobytes(): face for x, face in zip(X, y, strict=True)}


def test_a_batch_is_a_gather_also_without_batches(selection, torch):
    items = list(selection.loader(batch_size=None))
    np.testing.assert_array_equal(torch.stack(items).numpy(), selection.arrays())
