"""PyTorch datasets and loaders, against `arrays`."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from access_store import FACES, StoreBuilder, mixed_recordings, samples_of

import bidsmill
from bidsmill.errors import BidsmillError


@pytest.fixture
def selection(tmp_path, torch):
    recordings = mixed_recordings()[:3]
    builder = StoreBuilder(tmp_path / "store")
    builder.publish("ds", recordings, samples_of(recordings))
    return bidsmill.open(builder.root, cache=tmp_path / "cache")["ds"].select()


def negative(x):
    return -x


def test_items(selection, torch):
    X, y = selection.arrays("face")
    dataset = selection.torch("face")
    assert len(dataset) == len(X) < len(selection)
    for i in (0, 5, len(X) - 1, -1):
        x, code = dataset[i]
        assert x.dtype == torch.float32 and code.dtype == torch.int64 and code.shape == ()
        np.testing.assert_array_equal(x.numpy(), X[i])
        assert FACES[code] == y[i]
    with pytest.raises(IndexError):
        dataset[len(X)]


def test_numbers_and_no_target(selection, torch):
    X, y = selection.arrays("rt")
    x, number = selection.torch("rt")[3]
    assert number.dtype == torch.float32 and number.item() == np.float32(y[3])
    np.testing.assert_array_equal(x.numpy(), X[3])
    x = selection.torch()[3]
    np.testing.assert_array_equal(x.numpy(), selection.arrays()[3])


def test_several_targets_are_a_dict(selection, torch):
    X, frame = selection.arrays(["face", "rt"])
    dataset = selection.torch(["face", "rt"])
    _, y = dataset[2]
    assert list(y) == ["face", "rt"] and y["rt"].dtype == torch.float32
    assert FACES[y["face"]] == frame["face"][2]
    batches = list(selection.loader(["face", "rt"], batch_size=4))
    np.testing.assert_array_equal(torch.cat([x for x, _ in batches]).numpy(), X)
    assert [FACES[c] for _, y in batches for c in y["face"]] == frame["face"].tolist()
    found = torch.cat([y["rt"] for _, y in batches]).numpy()
    np.testing.assert_array_equal(found, frame["rt"].to_numpy(np.float32))
    stacked = list(torch.utils.data.DataLoader(dataset, batch_size=4))
    assert torch.equal(torch.cat([y["rt"] for _, y in stacked]), torch.from_numpy(found))
    assert list(selection.torch(["rt"])[0][1]) == ["rt"], "a list is a dict, also of one"
    for wrong in ([], ["rt", "rt"]):
        with pytest.raises(BidsmillError, match="named once each"):
            selection.torch(wrong)


@pytest.mark.parametrize("target", [None, "face"])
def test_any_loader_of_pytorch_can_use_the_dataset(selection, torch, target):
    """Without our own collate function, items are stacked as those of any dataset."""
    loader = torch.utils.data.DataLoader(selection.torch(target), batch_size=4)
    batches = list(loader)
    if target is None:
        np.testing.assert_array_equal(torch.cat(batches).numpy(), selection.arrays())
        return
    X, y = selection.arrays(target)
    np.testing.assert_array_equal(torch.cat([batch[0] for batch in batches]).numpy(), X)
    codes = torch.cat([batch[1] for batch in batches])
    assert [FACES[code] for code in codes] == y.tolist()


def test_the_loader_gathers_a_batch_in_one_call(selection, monkeypatch):
    from bidsmill.access.gather import Rows

    calls = []
    take = Rows.take
    monkeypatch.setattr(Rows, "take", lambda self, p: calls.append(len(p)) or take(self, p))
    batches = list(selection.loader(batch_size=8))
    assert calls == [8, 8, 4]
    assert [len(batch) for batch in batches] == [8, 8, 4]
    assert len(list(selection.loader(batch_size=8, drop_last=True))) == 2


def test_transform(selection, torch):
    X = selection.arrays()
    np.testing.assert_array_equal(selection.torch(transform=negative)[2].numpy(), -X[2])
    whole = torch.cat(list(selection.loader(batch_size=3, transform=negative)))
    np.testing.assert_array_equal(whole.numpy(), -X)
    seen = []
    loader = selection.loader(
        batch_size=8, transform=negative, batch_transform=lambda X: seen.append(X.shape) or X[:, :2]
    )
    np.testing.assert_array_equal(torch.cat(list(loader)).numpy(), -X[:, :2])
    assert [tuple(shape) for shape in seen] == [(8, 5, 16), (8, 5, 16), (4, 5, 16)]
    one = selection.torch(batch_transform=lambda X: X.mean(-1))[4]
    np.testing.assert_allclose(one.numpy(), X[4].mean(-1), rtol=1e-5)


def order_of(loader, X) -> list[int]:
    rows = {x.tobytes(): i for i, x in enumerate(X)}
    return [rows[x.numpy().tobytes()] for batch, _ in loader for x in batch]


def test_shuffle_is_that_of_the_seed(selection):
    X, y = selection.arrays("face")
    settings = {"target": "face", "batch_size": 4, "shuffle": True}
    loader = selection.loader(**settings, seed=1)
    first, second = order_of(loader, X), order_of(loader, X)
    assert sorted(first) == sorted(second) == list(range(len(X)))
    assert first != second and first != sorted(first)
    again = selection.loader(**settings, seed=1)
    assert [order_of(again, X), order_of(again, X)] == [first, second]
    assert order_of(selection.loader(**settings, seed=2), X) != first
    codes = [code for _, batch in selection.loader(**settings, seed=1) for code in batch]
    assert [FACES[code] for code in codes] == y[first].tolist()


@pytest.mark.parametrize(
    ("method", "warm"),
    [
        ("fork", False),
        ("fork", True),
        pytest.param("spawn", False, marks=pytest.mark.long),
        pytest.param("spawn", True, marks=pytest.mark.long),
    ],
    ids=lambda value: {False: "cold", True: "warm"}.get(value, value),
)
def test_workers(selection, torch, method, warm):
    if method not in torch.multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    loader = selection.loader(
        "face", batch_size=4, num_workers=2, multiprocessing_context=method, transform=negative
    )
    X, y = None, None
    if warm:
        X, y = selection.arrays("face")
    batches = list(loader)
    if not warm:
        X, y = selection.arrays("face")
    np.testing.assert_array_equal(torch.cat([batch[0] for batch in batches]).numpy(), -X)
    assert [FACES[c] for batch in batches for c in batch[1]] == y.tolist()


def test_what_workers_get_is_small(selection):
    selection.arrays()
    assert len(pickle.dumps(selection.torch("face"))) < 6000
