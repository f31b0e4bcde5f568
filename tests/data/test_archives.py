"""Downloads are checked, archives are not trusted, and nothing half done keeps its name."""

from pathlib import Path

import pytest

from benchmarks.bad_input import pack
from repro.data.archives import checksum, download, unpack
from repro.errors import DataError

CONTENT = {"set/a.txt": b"alpha" * 1000, "set/deep/b.txt": b"beta", "set/empty.txt": b""}


def assert_nothing_but(folder: Path, *names: str) -> None:
    assert sorted(p.name for p in folder.iterdir()) == sorted(names)


def unpacked(archive: Path, folder: Path) -> None:
    unpack(archive, folder, checksum(archive))


@pytest.mark.parametrize(("name", "folder"), [("a.zip", "set"), ("a.tar.gz", "elsewhere")])
def test_unpacks_both_kinds(tmp_path: Path, name: str, folder: str) -> None:
    unpacked(pack(tmp_path / name, CONTENT), tmp_path / folder)
    top = tmp_path / folder if folder == "set" else tmp_path / folder / "set"
    files = {f"set/{p.relative_to(top).as_posix()}": p.read_bytes() for p in top.rglob("*") if p.is_file()}
    assert files == CONTENT
    assert_nothing_but(tmp_path, name, folder)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    """Of damaged and hostile ones, hundreds are tried by ``benchmarks.bad_input``."""
    whole = pack(tmp_path / "a.zip", CONTENT)
    md5 = checksum(whole)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    sentence = f"a.zip is not the official file: its md5 is .*, not {md5}; `repro data fetch` with the name"
    with pytest.raises(DataError, match=sentence):
        unpack(whole, tmp_path / "set", md5)
    with pytest.raises(DataError, match=r"a\.zip cannot be unpacked"):
        unpacked(whole, tmp_path / "set")
    assert_nothing_but(tmp_path, "a.zip")


def test_no_network_or_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """Of a wrong download, test_cifar."""
    url = "http://127.0.0.1:9/set.zip"  # the discard port: nobody listens
    with pytest.raises(DataError, match=rf"cannot fetch {url}: .*; check the network, or get a\.zip from 127") as error:
        download(url, tmp_path / "a.zip", "0")
    assert str(error.value).endswith(f"by hand and put it at {tmp_path / 'a.zip'}")
    assert_nothing_but(tmp_path)
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot fetch http:"):
        download(url, tmp_path / "data" / "a.zip", "0" * 32)
    with pytest.raises(DataError, match=r"b\.zip cannot be unpacked"):
        unpacked(pack(tmp_path / "b.zip", CONTENT), tmp_path / "data" / "set")
