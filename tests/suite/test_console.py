"""What goes out: data in UTF-8 whatever the locale, nothing that acts on a terminal, messages of one line."""

from __future__ import annotations

import io
import json
import sys

import pytest

from optathlon.results.errors import StoreError
from optathlon.suite import main
from optathlon.suite.commands import list as list_command
from optathlon.suite.console import print_json, say, show, table, write_data

HOSTILE = "优\x1b[31m\u202e\x9b2J \u2265"


class Screen(io.TextIOWrapper):
    """Text that is written in an encoding, to a terminal or not."""

    def __init__(self, encoding, terminal):
        super().__init__(io.BytesIO(), encoding=encoding, errors="replace", write_through=True)
        self.terminal = terminal

    def isatty(self):
        return self.terminal

    def written(self):
        self.flush()
        return self.buffer.getvalue()


@pytest.fixture
def screen(monkeypatch):
    def make(encoding="ascii", terminal=False):
        made = Screen(encoding, terminal)
        monkeypatch.setattr(sys, "stdout", made)
        return made

    return make


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_csv_and_json_are_utf8_whatever_the_locale(screen, encoding):
    out = screen(encoding)
    write_data(f"row,{HOSTILE}\n")
    assert out.written().decode("utf-8") == f"row,{HOSTILE}\n"
    out = screen(encoding)
    print_json({"name": HOSTILE})
    assert json.loads(out.written().decode("utf-8"))["name"] == HOSTILE


def test_half_a_character_is_written_as_its_escape(screen):
    out = screen()
    write_data("a\udc80b\n")
    assert out.written() == b"a\\udc80b\n"


def test_on_a_terminal_nothing_in_csv_or_text_is_carried_out(screen):
    for write in (write_data, show):
        out = screen("utf-8", terminal=True)
        write(f"a,{HOSTILE}\n")
        text = out.written().decode()
        assert text.replace("\n", "").isprintable()
        assert "优\\x1b[31m\\u202e\\x9b2J" in text


def test_progress_and_messages_carry_nothing_out(capsys):
    say(f"left out: {HOSTILE}")
    assert capsys.readouterr().err == "left out: 优\\x1b[31m\\u202e\\x9b2J ≥\n"


def test_an_error_of_several_lines_is_told_in_one(monkeypatch, capsys):
    def broken(_):
        raise StoreError(f"runs.parquet: cannot be read\n  line two\r\n\tline {HOSTILE}")

    monkeypatch.setattr(list_command, "main", broken)
    assert main._run("list", ["tasks"]) == 4
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.rstrip("\n").isprintable()
    assert "cannot be read line two line 优" in err


def test_columns_of_a_table_line_up_under_wide_characters():
    lines = table([("优化器", "1"), ("a", "23")], ("name", "n")).splitlines()
    assert lines[2:] == ["优化器   1", "a       23"]


@pytest.mark.parametrize("word", ["lr\x1b[31m=3", "protocol.x\x9b2J=3", "protocol.settings.\u202ey=1", "\x1b[2J"])
def test_an_unknown_key_does_nothing_to_the_terminal_that_it_is_named_on(capsys, word):
    assert main._run("run", ["ptb-awd-lstm", "adamw", word, "--scale", "smoke"]) == 2
    err = capsys.readouterr().err
    assert err.rstrip("\n").isprintable()
    assert "\\x1b" in err or "\\x9b" in err or "\\u202e" in err
