"""What a report says of the contexts that it names."""

from __future__ import annotations

from dataclasses import replace

from handcraft import Program, compile_program, predict

PROGRAM = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])


def test_a_long_context_is_shortened_where_people_read_it_and_kept_whole_in_the_report():
    report = compile_program(PROGRAM, architecture="block").verify()
    assert report.margin_place == f"after {report.margin_context!r}"
    long = replace(report, margin_context="ab" * 600)
    assert long.margin_place == f"after 1,200 characters that end in {'ab' * 20!r}"
