from pathlib import Path

from modules.preprocess.photos import Framing, Photo, Remark, Verdict
from modules.preprocess.report import report_on

WALL, WOOD = bytes([200] * 60), bytes([60, 120, 40] * 20)


def photo(number: int, backdrop: bytes = b"", **rest) -> Photo:
    """One before a background of its own, unless told otherwise."""
    return Photo(Path(f"{number}.png"), number, backdrop=backdrop or bytes([number * 20] * 60), **rest)


def test_counts_in_numbers_and_words():
    look, unusable = Remark(Verdict.LOOK, "Soft."), Remark(Verdict.UNUSABLE, "Torn.")
    photos = [
        photo(0, framing=Framing.CLOSE_UP, caption="a woman", faces=1),
        photo(2, framing=Framing.CLOSE_UP, name_words="anna", faces=1),
        photo(4, framing=Framing.HALF, remarks=(look,), duplicate_of=Path("0.png"), faces=1),
        photo(6, framing=Framing.FULL, remarks=(look, unusable), faces=1),
    ]
    report = report_on(photos)
    assert report.verdicts == {Verdict.GOOD: 2, Verdict.LOOK: 1, Verdict.UNUSABLE: 1}
    assert report.framings == {Framing.CLOSE_UP: 2, Framing.HALF: 1}
    assert (report.duplicates, report.without_caption, report.without_words) == (1, 2, 1)
    assert report.sentences == (
        "4 photos: 2 good, 1 to look at, 1 unusable.",
        "2 close-ups, 1 half figure, 0 full figures: the article suggests 12/5/3 of twenty.",
        "1 photo is nearly the same as another one: keep one of each.",
        "2 photos are without a caption, and the names of 1 say nothing.",
    )


def test_where_nobody_looked_for_faces_it_says_so():
    report = report_on([photo(0, caption="a"), photo(1, caption="b", faces=1)])
    assert report.framing_guessed
    assert any("opencv" in sentence for sentence in report.sentences)
    assert "2 unclear" in report.sentences[1]


def test_one_background_for_many_is_told():
    same = [photo(number, WALL, faces=1, caption="a") for number in range(5)]
    others = [photo(5, WOOD, faces=1, caption="a"), photo(6, bytes(60), faces=1, caption="a")]
    report = report_on(same + others)
    assert report.same_background == tuple(one.path for one in same)
    told = "5 photos are before nearly the same background (0.png, 1.png, 2.png, 3.png and 1 more): the embedding would"
    assert any(sentence.startswith(told) for sentence in report.sentences)
    assert report_on(same[:2] + others).same_background == ()


def test_a_few_of_many_before_one_background_are_no_fault():
    photos = [photo(number) for number in range(12)] + [photo(20 + n, WALL) for n in range(3)]
    assert report_on(photos).same_background == ()


def test_an_empty_set_has_a_report():
    assert report_on([]).sentences[0].startswith("0 photos")


def test_words_that_all_captions_share_are_told():
    captions = [f"Photo of a smiling woman, {hair} hair, pink wall" for hair in ("pink", "red", "long", "wet", "short")]
    report = report_on([photo(number, caption=caption) for number, caption in enumerate(captions)])
    assert report.in_every_caption == ("smiling", "pink", "hair", "wall")
    assert report.sentences[-1].startswith("Every caption says “smiling”, “pink”, “hair”, “wall”: what captions name")
    some = [photo(number, caption=caption) for number, caption in enumerate([*captions, "a woman"])]
    assert report_on(some).in_every_caption == ()
    assert report_on(some[:4]).in_every_caption == (), "four captions may agree by chance"
