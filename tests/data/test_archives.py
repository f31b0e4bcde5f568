"""Downloads are checked, archives are not trusted, and nothing half done keeps its name."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from repro.data import archives
from repro.data.archives import download, unpack
from repro.errors import DataError

CONTENT = {"set/a.txt": b"alpha" * 1000, "set/deep/b.txt": b"beta", "set/empty.txt": b""}


def make_zip(path: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, content: dict[str, bytes], *special: tarfile.TarInfo) -> Path:
    with tarfile.open(path, {".gz": "w:gz", ".xz": "w:xz"}.get(path.suffix, "w")) as archive:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in special:
            archive.addfile(info)
    return path


def special_member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def make(path: Path, content: dict[str, bytes]) -> Path:
    return make_zip(path, content) if path.suffix == ".zip" else make_tar(path, content)


def assert_nothing_but(folder: Path, *names: str) -> None:
    assert sorted(p.name for p in folder.iterdir()) == sorted(names)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"])
@pytest.mark.parametrize("folder", ["set", "elsewhere"])
def test_unpacks_every_kind(tmp_path: Path, name: str, folder: str) -> None:
    unpack(make(tmp_path / name, CONTENT), tmp_path / folder)
    top = tmp_path / folder if folder == "set" else tmp_path / folder / "set"
    found = {f"set/{p.relative_to(top).as_posix()}": p.read_bytes() for p in top.rglob("*") if p.is_file()}
    assert found == CONTENT
    assert_nothing_but(tmp_path, name, folder)


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
@pytest.mark.parametrize("bad", ["../out.txt", "/tmp/out.txt", "set/../../out.txt", "C:/out.txt", "set\\..\\out.txt"])
def test_refuses_names_that_lead_outside(tmp_path: Path, name: str, bad: str) -> None:
    archive = make(tmp_path / name, {"set/a.txt": b"a", bad: b"b"})
    with pytest.raises(DataError, match="is refused: it would write outside its folder"):
        unpack(archive, tmp_path / "set")
    assert_nothing_but(tmp_path, name)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_refuses_links_and_devices_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    archive = make_tar(tmp_path / "a.tar", {"set/a.txt": b"a"}, special_member("set/x", kind, "a.txt"))
    with pytest.raises(DataError, match="set/x is a link or device, not a file or a folder"):
        unpack(archive, tmp_path / "set")
    assert_nothing_but(tmp_path, "a.tar")


def test_refuses_links_in_a_zip(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("set/x")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="set/x is a link or device"):
        unpack(tmp_path / "a.zip", tmp_path / "set")
    assert_nothing_but(tmp_path, "a.zip")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_refuses_absurd_expansion(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make(tmp_path / name, {"set/zeros": bytes(2_000_000)})
    unpack(archive, tmp_path / "set")  # below a gibibyte any ratio will do
    monkeypatch.setattr(archives, "MAX_TOTAL_AT_ANY_RATIO", 1_000_000)
    with pytest.raises(DataError, match="bytes would unpack to 2000000 or more"):
        unpack(archive, tmp_path / "again")
    monkeypatch.setattr(archives, "MAX_RATIO", 10**9)
    monkeypatch.setattr(archives, "MAX_TOTAL", 1_999_999)
    with pytest.raises(DataError, match="bytes would unpack to 2000000 or more"):
        unpack(archive, tmp_path / "again")
    assert_nothing_but(tmp_path, name, "set")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"])
def test_a_truncated_archive_leaves_nothing(tmp_path: Path, name: str) -> None:
    whole = make(tmp_path / name, CONTENT)
    whole.write_bytes(whole.read_bytes()[: 1500 if name == "a.tar" else whole.stat().st_size // 2])
    with pytest.raises(DataError, match=r"cannot be unpacked \(.*\); if .* damaged, `repro data fetch` gets"):
        unpack(whole, tmp_path / "set")
    assert_nothing_but(tmp_path, name)


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_a_compressed_tar_whose_checksum_does_not_hold_is_refused(tmp_path: Path, suffix: str) -> None:
    archive = make_tar(tmp_path / f"a.tar{suffix}", CONTENT)
    data = bytearray(archive.read_bytes())
    data[-6 if suffix == ".gz" else -30] ^= 1  # in the checksum of the contents, or in xz's index of them
    archive.write_bytes(data)
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "set")
    assert_nothing_but(tmp_path, archive.name)


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    twice = tarfile.TarInfo("set/a.txt")
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(make_tar(tmp_path / "a.tar", {"set/a.txt": b"a"}, twice), tmp_path / "set")


def test_something_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("<html>404</html>")
    with pytest.raises(DataError, match=r"a\.zip cannot be unpacked"):
        unpack(tmp_path / "a.zip", tmp_path / "set")
    with pytest.raises(DataError, match=r"b\.zip is missing"):
        unpack(tmp_path / "b.zip", tmp_path / "set")


def test_never_unpacks_over_what_stands(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(DataError, match="stands already; move it away"):
        unpack(make_zip(tmp_path / "a.zip", CONTENT), tmp_path / "set")


def test_downloads_and_checks(tmp_path: Path) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(b"bytes" * 1000)
    md5, sha256 = (hashlib.new(name, source.read_bytes()).hexdigest() for name in ("md5", "sha256"))
    download(source.as_uri(), tmp_path / "got" / "a.bin", md5=md5, sha256=sha256, size=5000)
    assert (tmp_path / "got" / "a.bin").read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("expected", "sentence"),
    [
        ({"md5": "0" * 32}, "sent a file whose md5 is .*, not 0000"),
        ({"sha256": "0" * 64}, "sent a file whose sha256 is .*, not 0000"),
        ({"size": 4999}, "sent 5000 bytes instead of 4999"),
    ],
)
def test_a_wrong_download_is_dropped(tmp_path: Path, expected: dict, sentence: str) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(b"bytes" * 1000)
    with pytest.raises(DataError, match=sentence):
        download(source.as_uri(), tmp_path / "got" / "a.bin", **expected)
    assert_nothing_but(tmp_path / "got")


def test_no_network_says_what_to_do(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/set.zip"  # the discard port: nobody listens
    with pytest.raises(DataError, match=rf"cannot fetch {url}: .*; check the network, or get a\.zip from 127") as error:
        download(url, tmp_path / "a.zip")
    assert str(error.value).endswith(f"by hand and put it at {tmp_path / 'a.zip'}")
    assert_nothing_but(tmp_path)


def test_a_broken_connection_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.BytesIO):
        headers = {"Content-Length": "100"}  # noqa: RUF012

    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: Broken(b"x" * 40))
    with pytest.raises(DataError, match="the connection broke after 40 of 100 bytes"):
        download("https://example.org/a.zip", tmp_path / "a.zip")
    assert_nothing_but(tmp_path)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    source = make_zip(tmp_path / "a.zip", CONTENT)
    with pytest.raises(DataError, match="cannot fetch file:"):
        download(source.as_uri(), tmp_path / "data" / "a.zip")
    with pytest.raises(DataError, match=r"a\.zip cannot be unpacked"):
        unpack(source, tmp_path / "data" / "set")
