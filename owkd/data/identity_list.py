"""Lists of people: text files of identity numbers, and folders named by them."""

from pathlib import Path

from owkd.data.index import camera_folders, folders_in, identity_number
from owkd.errors import DataError


def read_identity_list(path: Path) -> list[int]:
    """Identity numbers of a text file, separated by commas or white space, as any editor may have saved it.

    Byte order marks, Windows line ends, trailing commas and UTF-16 are accepted. Raises `DataError` otherwise.
    """
    try:
        content = path.read_bytes()
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except OSError as error:
        raise DataError(f"a list of identities must be readable, but {path}: {error.strerror}; unpack it") from error
    except UnicodeDecodeError as error:
        raise DataError(f"a list of identities must be text, but {path} is not; unpack it again") from error
    words = text.replace(",", " ").split()
    numbers = [identity_number(word) for word in words]
    wrong = [word for word, number in zip(words, numbers, strict=True) if number is None]
    if wrong:
        raise DataError(f"a list of identities must hold numbers only, but {path} has {wrong[0]!r}; unpack it again")
    return [number for number in numbers if number is not None]


def class_order(path: Path) -> list[int]:
    """Identity numbers in the order of a published network's classes: of a list, or of a fold's `train` folder.

    The published loader takes the folders' names in the order of their text: 1, 10, 2. Raises `DataError`.
    """
    if not path.is_dir():
        return read_identity_list(path)
    names = sorted({folder.name for place in camera_folders(path) for folder in folders_in(place)})
    numbers = [identity_number(name) for name in names]
    if None in numbers:
        raise DataError(
            f"identity folders must be named by numbers, but {path} holds {names[numbers.index(None)]!r}; give the "
            "train folder of a fold"
        )
    return [number for number in numbers if number is not None]
