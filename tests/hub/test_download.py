"""The real Hub client against a local server that speaks the Hub's protocol."""

from __future__ import annotations

import dataclasses
import json
import socket

import pytest

from plainbert.errors import DownloadError
from plainbert.hub.download import cached, fetch, is_complete
from plainbert.hub.record import Record
from plainbert.hub.table import RECORDS
from tests.helpers.hub_server import COMMIT, Hub, serve

SIZE = 300_000  # bytes of the "weights": several network packets


@pytest.fixture
def repository(tmp_path):
    root = tmp_path / "published"
    root.mkdir()
    (root / "config.json").write_text('{"model_type": "bert"}')
    (root / "vocab.txt").write_text("[PAD]\n[UNK]\n")
    (root / "1_Pooling").mkdir()
    (root / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    (root / "README.md").write_text("not needed")
    (root / "model.safetensors").write_bytes(bytes(range(256)) * (SIZE // 256))
    (root / "pytorch_model.bin").write_bytes(b"not needed either")
    return root


@pytest.fixture
def hub(repository, monkeypatch):
    with serve(Hub(some__model=repository)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield running


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def record(repository="some/model"):
    return Record("bert_1_2_1", "test", repository, True, 2, "MIT", "")


def partial_files(cache):
    return [path.name for path in cache.rglob("*incomplete*")]


def test_download_holds_what_is_needed_and_no_more(hub, repository, cache):
    folder = fetch(record(), cache)

    wanted = ["1_Pooling/config.json", "config.json", "model.safetensors", "vocab.txt"]
    found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert found == wanted
    for name in wanted:
        assert (folder / name).read_bytes() == (repository / name).read_bytes()
    assert folder.name == COMMIT


def test_progress_is_told_in_the_log_where_there_is_no_terminal(hub, cache, caplog, monkeypatch):
    monkeypatch.setattr("plainbert.hub.download.SECONDS_BETWEEN_LINES", 0.0)
    caplog.set_level("INFO", logger="plainbert")
    fetch(record(), cache)
    assert "downloading model.safetensors of some/model (299776 bytes)" in caplog.text
    assert "downloaded 0 of 0 MB" in caplog.text


def test_second_time_comes_from_the_cache_without_a_request(hub, cache):
    folder = fetch(record(), cache)
    hub.requests.clear()
    assert fetch(record(), cache) == folder == cached(record(), cache)
    assert hub.requests == []


def test_vocabulary_alone_leaves_the_weights_there(hub, cache):
    folder = fetch(record(), cache, weights=False)
    assert not (folder / "model.safetensors").exists()
    assert cached(record(), cache) is None
    assert cached(record(), cache, weights=False) == folder
    assert (fetch(record(), cache) / "model.safetensors").exists()


@pytest.mark.parametrize("single", ["model.safetensors", "pytorch_model.bin"])
def test_shards_of_the_index_are_fetched(hub, repository, cache, single):
    stem, _, suffix = single.partition(".")
    names = [f"{stem}-0000{number}-of-00002.{suffix}" for number in (1, 2)]
    (repository / "pytorch_model.bin").unlink()
    (repository / "model.safetensors").rename(repository / names[0])
    (repository / names[1]).write_bytes(b"second")
    index = repository / f"{single}.index.json"
    index.write_text(json.dumps({"weight_map": {"a": names[0], "b": names[1]}}))

    folder = fetch(record(), cache)
    assert all((folder / name).exists() for name in names)
    assert is_complete(folder)
    (folder / names[1]).unlink()
    assert not is_complete(folder)


@pytest.mark.parametrize("inner", ["0_BERT", "0_Transformer"])
@pytest.mark.parametrize("has_config", [True, False])
def test_older_folders_of_sentence_transformers(hub, repository, cache, inner, has_config):
    (repository / inner).mkdir()
    for name in ("config.json", "vocab.txt", "model.safetensors"):
        (repository / name).rename(repository / inner / name)
    (repository / "pytorch_model.bin").unlink()
    (repository / "1_Pooling").rename(repository / "3_Pooling")
    if has_config:
        (repository / "config.json").write_text('{"__version__": "0.2.3"}')
    kinds = {inner: inner[2:], "3_Pooling": "Pooling"}
    steps = [{"type": f"sentence_transformers.models.{kind}", "path": path}
             for path, kind in kinds.items()]  # fmt: skip
    (repository / "modules.json").write_text(json.dumps(steps))

    assert not is_complete(fetch(record(), cache, weights=False))
    folder = fetch(record(), cache)
    names = ["3_Pooling/config.json", *(["config.json"] if has_config else []), "modules.json"]
    names += [f"{inner}/{name}" for name in ("config.json", "model.safetensors", "vocab.txt")]
    files = (path for path in folder.rglob("*") if path.is_file())
    assert {path.relative_to(folder).as_posix() for path in files} == set(names)
    assert cached(record(), cache) == folder
    hub.requests.clear()
    assert fetch(record(), cache) == folder
    assert hub.requests == []


@pytest.mark.parametrize("path", ["../other", "/etc", "a/../../b"])
def test_steps_outside_of_a_repository_are_refused(hub, repository, cache, path):
    step = {"type": "sentence_transformers.models.Transformer", "path": path}
    (repository / "modules.json").write_text(json.dumps([step]))
    with pytest.raises(DownloadError, match="outside of the folder"):
        fetch(record(), cache)


def test_cut_download_is_resumed_where_it_stopped(hub, repository, cache):
    content = bytes(range(250)) * 48_000  # the client keeps blocks of 10 MiB
    (repository / "model.safetensors").write_bytes(content)
    hub.cut["model.safetensors"] = [11_500_000]
    folder = fetch(record(), cache)
    assert (folder / "model.safetensors").read_bytes() == content
    assert f"GET /store/some/model/model.safetensors bytes={10 << 20}-" in hub.requests


def test_download_that_stays_cut_leaves_nothing_to_open(hub, repository, cache):
    (repository / "model.safetensors").write_bytes(bytes(12_000_000))
    hub.cut["model.safetensors"] = [11_500_000]
    hub.refuse_after_cut = True
    with pytest.raises(DownloadError, match=r"(?s)some/model .*path of their folder"):
        fetch(record(), cache)
    assert cached(record(), cache) is None
    assert list(cache.rglob("model.safetensors")) == []
    assert partial_files(cache) == []

    hub.refuse_after_cut = False  # the next try works
    assert is_complete(fetch(record(), cache))


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.txt"])
def test_wrong_checksum_is_refused_and_removed(hub, repository, cache, name):
    hub.garbled.add(name)
    with pytest.raises(DownloadError, match=f"the checksum of {name} is .* the server states"):
        fetch(record(), cache)
    assert cached(record(), cache) is None
    assert not any(path.is_file() for path in cache.rglob(name))

    hub.garbled.clear()  # what was kept of the first try must not be taken for the file
    assert (fetch(record(), cache) / name).read_bytes() == (repository / name).read_bytes()


def test_unknown_repository(hub, cache):
    with pytest.raises(DownloadError, match=r"(?s)no/such .*not exist there.*path of their folder"):
        fetch(record("no/such"), cache)


def test_repository_without_weights(hub, repository, cache):
    (repository / "model.safetensors").unlink()
    (repository / "pytorch_model.bin").unlink()
    with pytest.raises(DownloadError, match="offers none of model.safetensors"):
        fetch(record(), cache)


def test_machine_without_a_network(monkeypatch, cache):
    with socket.socket() as closed:  # a port that nothing listens on
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DownloadError, match=rf"127.0.0.1:{port}/some/model .*Connection refused"):
        fetch(record(), cache)


def test_offline_mode_uses_the_cache_and_asks_nobody(hub, monkeypatch, cache):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set"):
        fetch(record(), cache)
    assert hub.requests == []

    monkeypatch.delenv("HF_HUB_OFFLINE")
    folder = fetch(record(), cache)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert fetch(record(), cache) == folder


def test_record_without_a_repository_says_how_to_pass_a_folder(cache):
    with pytest.raises(DownloadError, match=r"(?s)No public repository .*path of their folder"):
        fetch(record(None), cache)


@pytest.mark.parametrize(
    "wanted",
    [each for each in RECORDS if each.repository is None],
    ids=lambda each: each.dataset_name,
)
def test_error_says_where_to_get_the_files_and_how_to_convert_them(cache, wanted):
    with pytest.raises(DownloadError) as caught:
        fetch(wanted, cache)
    message = str(caught.value)
    for part in (
        f"{wanted.model} trained on {wanted.dataset_name}",
        f"Get the files from {wanted.source},",
        "type the path of that folder in place of the name",
        "plainbert convert_checkpoint --from FOLDER --to OUT",
        wanted.old_params,
        wanted.old_vocab,
    ):
        assert part in message
    assert len(message.splitlines()) == 5


def test_everything_the_tokenizer_reads_is_downloaded(hub, repository, cache):
    (repository / "vocab.txt").rename(repository / "spiece.model")
    (repository / "special_tokens_map.json").write_text("{}")
    (repository / "added_tokens.json").write_text("{}")
    folder = fetch(record(), cache)
    for name in ("spiece.model", "special_tokens_map.json", "added_tokens.json"):
        assert (folder / name).read_bytes() == (repository / name).read_bytes()
    assert cached(record(), cache) == folder


def test_a_pinned_commit_is_asked_for_and_found_again(hub, cache):
    pinned = dataclasses.replace(record(), revision=COMMIT)
    folder = fetch(pinned, cache)
    assert folder.name == COMMIT
    assert f"revision/{COMMIT}" in " ".join(hub.requests)
    hub.requests.clear()
    assert fetch(pinned, cache) == folder
    assert hub.requests == []


def test_a_pinned_commit_is_compared_with_the_answer(hub, cache):
    hub.commit = "f" * 40
    pinned = dataclasses.replace(record(), revision=COMMIT)
    with pytest.raises(DownloadError, match=f"commit {COMMIT} was asked for, but .* f{{40}}"):
        fetch(pinned, cache)
    assert not cache.exists() or not list(cache.rglob("*.safetensors"))
    assert fetch(record(), cache).name == "f" * 40  # a branch may stand anywhere


def test_a_file_of_another_commit_is_refused(hub, cache, monkeypatch):
    from tests.helpers import hub_server

    # Between the list and the files, the server changes its mind.
    original = hub_server._Handler._file

    def moved(handler, *arguments):
        handler.commit = "e" * 40
        original(handler, *arguments)

    monkeypatch.setattr(hub_server._Handler, "_file", moved)
    with pytest.raises(DownloadError, match=f"of another commit than {COMMIT}"):
        fetch(record(), cache)


@pytest.mark.parametrize(
    "change",
    [
        {"sha": None},
        {"sha": "../../etc"},
        {"sha": 5},
        {"siblings": [{"rfilename": 3}]},
        {"siblings": [{"rfilename": "config.json", "size": "big"}]},
        {"siblings": [{"rfilename": "config.json", "size": 3, "blobId": ["x"]}]},
        {"siblings": [{"rfilename": "m.bin", "size": 3, "lfs": {"sha256": None}}]},
        {"siblings": {"a": 1}},
        {"siblings": 7},
    ],
    ids=str,
)
def test_answers_of_another_shape(hub, cache, tmp_path, change):
    whole = {"id": "some/model", "sha": COMMIT, "tags": [], "siblings": []}
    hub.answer = tmp_path / "answer.json"
    hub.answer.write_text(json.dumps({**whole, **change}))
    with pytest.raises(
        DownloadError, match="some/model .*its answer is not that of a Hugging Face Hub"
    ):
        fetch(record(), cache)
