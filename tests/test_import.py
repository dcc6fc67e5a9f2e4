"""Importing costs nothing and touches no network."""

import subprocess
import sys

HEAVY = "{'torch', 'diffusers', 'transformers', 'spacy', 'numpy', 'pandas', 'matplotlib'}"


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_import_loads_nothing_heavy():
    """How long it takes is shown by `benchmarks/startup.py`."""
    python(f"import daamkit, sys; assert not {HEAVY} & set(sys.modules), sys.modules")


def test_the_network_is_not_touched():
    python(
        "import socket\n"
        "def refuse(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse\n"
        "import daamkit\n"
        "for name in daamkit.__all__: getattr(daamkit, name)\n"
        "daamkit.load('toybox')\n"
    )


def test_all_public_names_are_there():
    import daamkit

    assert set(daamkit.__all__) <= set(dir(daamkit))
    for name in daamkit.__all__:
        assert getattr(daamkit, name) is not None
    assert not hasattr(daamkit, "nonsense")
