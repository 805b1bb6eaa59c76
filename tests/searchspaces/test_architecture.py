"""The architecture document: strict, canonical, immutable, written whole or not at all."""

import json
import pickle

import pytest

from searchspaces import Architecture, NasError, get_space, write_bytes, write_text

SEED = get_space("asvit").from_notation("8,2,3|4,1,2|4,1,4|4,1,6|32")


def broken(**changes):
    plain = json.loads(SEED.to_json())
    plain.update(changes)
    return {key: value for key, value in plain.items() if value != "absent"}


def choices(**changes):
    return {**SEED.choices, **{key.replace("__", "."): value for key, value in changes.items()}}


def test_goes_there_and_back(tmp_path):
    architecture = SEED.replace(image_size=64, num_classes=10, provenance={"run": "x", "metrics": {"macs": 3}})
    architecture.write(tmp_path / "a.json")
    again = Architecture.read(tmp_path / "a.json")
    assert again == architecture
    assert again.provenance == {"run": "x", "metrics": {"macs": 3}}
    assert hash(again) == hash(architecture)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_provenance_changes_nothing():
    assert SEED.replace(provenance={"seed": 3}) == SEED
    assert SEED.replace(provenance={"seed": 3}).key == SEED.key


def test_is_immutable_and_travels_between_processes():
    with pytest.raises(TypeError):
        SEED.choices["heads"] = 16
    assert pickle.loads(pickle.dumps(SEED)) == SEED


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        (broken(spaces="asvit"), "unknown key 'spaces'; did you mean 'space'"),
        (broken(format="nas.architecture/9"), "format='nas.architecture/9' cannot be read"),
        (broken(format="absent"), "the key 'format' is missing"),
        (broken(choices="absent"), "the key 'choices' is missing"),
        (broken(space="asvitt"), "unknown space 'asvitt'; did you mean 'asvit'"),
        (broken(space=3), "space=3 must be the name"),
        (broken(choices=[1]), r"choices=\[1\] must be a JSON object"),
        (broken(provenance=1), "provenance=1 must be a JSON object"),
        (broken(choices=choices(head=16)), "unknown dimension of asvit 'head'; did you mean 'heads'"),
        (broken(choices=choices(heads=17)), "heads=17 is outside the space; choose one of 16, 32, 64"),
        (broken(choices=choices(heads=True)), "heads=True is outside the space"),
        (broken(choices=choices(heads=16.0)), "heads=16.0 is outside the space"),
        (broken(choices=choices(heads="16")), "heads='16' is outside the space"),
        (broken(choices=choices(width=-4)), "width=-4 is outside the space; choose one of 1 to 1024"),
        (broken(choices={"heads": 16}), "the dimension 'stage1.kernel' is missing"),
        (broken(image_size=-224), "image_size=-224 cannot be taken by asvit; give an integer from 32 to 4096"),
        (broken(image_size=224.5), "image_size=224.5 cannot be taken"),
        (broken(num_classes=0), "num_classes=0 cannot be taken"),
        ([], "an architecture is a JSON object, not list"),
    ],
)
def test_mistakes_are_named(plain, message):
    with pytest.raises(NasError, match=message):
        Architecture.from_json(json.dumps(plain))


@pytest.mark.parametrize("text", ["", "{", SEED.to_json()[:-20], "not json", "\x00"])
def test_truncated_and_foreign_files(tmp_path, text):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(NasError, match=r"broken.json: not a JSON document"):
        Architecture.read(path)


def test_nan_binary_and_missing_files(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(SEED.to_json().replace('"image_size": 224', '"image_size": NaN'))
    with pytest.raises(NasError, match="NaN is not a value an architecture can have"):
        Architecture.read(path)
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(NasError, match="not a text file"):
        Architecture.read(path)
    with pytest.raises(NasError, match="cannot be read: No such file"):
        Architecture.read(tmp_path / "none.json")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_text(path, "old")

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(NasError, match="cannot be written: No space left on device"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_replace_refuses_unknown_fields():
    with pytest.raises(NasError, match="unknown field 'image_sizes'; did you mean 'image_size'"):
        SEED.replace(image_sizes=3)


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path):
    """And leaves nothing behind."""
    with pytest.raises(NasError, match="cannot be written"):
        write_bytes(tmp_path / "missing" / "a.png", b"x")
    (tmp_path / "a.png").mkdir()
    with pytest.raises(NasError, match="cannot be written"):
        write_bytes(tmp_path / "a.png", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
