"""The ranks of Appendix A.1 in a record, and what is shown of it."""

from pathlib import Path

from repro.exhibits.deepmoe_theory import CIRCUITS, DEEP, EXHIBIT, ROUTINGS, Parameters, cell, run
from repro.report.verdict import Verdict, by_seed


def test_the_whole_exhibit(tmp_path: Path) -> None:
    result = run(Parameters.check(scale="smoke", seeds="0,1", root=tmp_path))
    assert (result.name, result.seeds) == ("deepmoe_theory-none-exact", [0, 1])
    assert by_seed(result, cell(DEEP, "dense")) == {0: 81, 1: 81}
    assert by_seed(result, cell(DEEP, "dynamic")) == {0: 256, 1: 256}
    main, masks = EXHIBIT.tables(result).values()
    for _, row in main.frame.iterrows():
        assert row["dense"] == row["m^(N/2)"] and row["static"] == row["n^(N/2)"] and row["random"] == row["full"]
    assert masks.frame.iloc[0].tolist() == ["0.0278", "0.2500"]
    judged = {j.claim.key: j.verdict for j in EXHIBIT.judge(result)}
    assert (judged["DT1"], judged["DT2"]) == (Verdict.HOLDS, Verdict.HOLDS)
    assert judged["DT2/1"] is Verdict.HOLDS, "by an embedding that tells places apart"
    assert (judged["DT3"], judged["DT3/1"]) == (Verdict.OPPOSITE, Verdict.OPPOSITE), "no more than at random"
    (axes,) = EXHIBIT.figures([result])["main"].axes
    assert len(axes.patches) == len(CIRCUITS) * len(ROUTINGS)
