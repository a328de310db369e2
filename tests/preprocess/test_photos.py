from dataclasses import replace
from pathlib import Path

import pytest
from PIL import ExifTags, Image, ImageEnhance, ImageFilter

from modules.errors import ImageError
from modules.preprocess.copies import Copies, stamp
from modules.preprocess.faces import Face, FaceFinder
from modules.preprocess.focal import Weights
from modules.preprocess.photos import Framing, Photo, Verdict, compared, judge
from tests.preprocess.drawn import detailed, figure

SQUARE = (512, 512)


class Told(FaceFinder):
    def __init__(self, *heights: float):
        self.heights = heights

    def faces(self, image: Image.Image) -> list[Face]:
        return [Face(0, 0, 10, height * image.height) for height in self.heights]

    def focus_points(self, image: Image.Image) -> list[tuple[float, float]]:
        return []


def judged(path: Path, picture: Image.Image | None = None, faces: FaceFinder | None = None) -> Photo:
    if picture:
        picture.save(path)
    return judge(path, 7, SQUARE, Weights(), faces)


def texts(photo: Photo) -> str:
    return " ".join(remark.text for remark in photo.remarks)


def test_a_good_photo_has_no_remarks(tmp_path):
    photo = judged(tmp_path / "anna.png", detailed((900, 600)))
    assert (photo.verdict, photo.remarks, photo.size, photo.number) == (Verdict.GOOD, (), (900, 600), 7)
    assert photo.name_words == "anna"
    assert photo.caption is None


def test_small_copies_are_kept_while_the_photo_is_open(tmp_path):
    picture = detailed((1500, 1000))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    picture.save(tmp_path / "anna.png", exif=exif)
    copies = Copies(tmp_path / "copies")
    photo = judge(tmp_path / "anna.png", 0, SQUARE, Weights(), None, copies)
    assert copies.has(photo.stamp)
    sizes = [Image.open(copies.path(f"{photo.stamp}-{kind}.jpg")).size for kind in ("thumbnail", "view")]
    assert sizes == [(213, 320), (853, 1280)]
    copies.forget([photo.stamp])
    assert copies.has(photo.stamp)
    copies.forget([])
    assert not list(copies.folder.iterdir())


def test_a_stamp_changes_with_the_photo_and_with_its_caption(tmp_path):
    path = tmp_path / "anna.png"
    detailed((60, 60)).save(path)
    stamps = [stamp(path)]
    path.with_suffix(".txt").write_text("a woman")
    stamps.append(stamp(path))
    detailed((60, 62)).save(path)
    stamps.append(stamp(path))
    assert len(set(stamps)) == 3
    path.unlink()
    with pytest.raises(ImageError, match="not there any more"):
        stamp(path)


@pytest.mark.parametrize("name", ["../album.json", "x.jpg", "", "/etc/passwd", "0" * 20 + "-thumbnail.jpg\n"])
def test_copies_have_no_other_names(tmp_path, name):
    with pytest.raises(ImageError):
        Copies(tmp_path).path(name)


@pytest.mark.parametrize(
    ("picture", "verdict", "said"),
    [
        (detailed((400, 400)), Verdict.LOOK, "400×400 has to be enlarged 1.3 times"),
        (detailed((100, 3000)), Verdict.UNUSABLE, "enlarged 5.1 times"),
        (detailed((20, 3000)), Verdict.UNUSABLE, "only 20×3000 pixels"),
        (detailed((600, 600)).filter(ImageFilter.GaussianBlur(5)), Verdict.LOOK, "Soft"),
        (ImageEnhance.Brightness(detailed((600, 600))).enhance(0.2), Verdict.LOOK, "Dark"),
        (Image.blend(detailed((600, 600)), Image.new("RGB", (600, 600), "white"), 0.8), Verdict.LOOK, "Washed out"),
        (Image.blend(detailed((600, 600)), Image.new("RGB", (600, 600), "gray"), 0.9), Verdict.LOOK, "Dull"),
        (Image.new("RGB", (600, 600), "gray"), Verdict.UNUSABLE, "one shade"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, picture, verdict, said):
    photo = judged(tmp_path / "photo.png", picture)
    assert said in texts(photo)
    assert photo.verdict is verdict


@pytest.mark.parametrize("content", [b"", b"a text", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_a_damaged_photo_is_named_and_unusable(tmp_path, content):
    (tmp_path / "torn.jpg").write_bytes(content)
    photo = judged(tmp_path / "torn.jpg")
    assert photo.verdict is Verdict.UNUSABLE
    assert "“torn.jpg”" in texts(photo)
    assert (photo.size, photo.can_be_opened, photo.stamp) == ((0, 0), False, "")


def test_a_small_photo_is_not_called_blurred_for_being_enlarged(tmp_path):
    assert "Soft" not in texts(judged(tmp_path / "small.png", detailed((200, 200))))


def test_captions_and_names(tmp_path):
    (tmp_path / "0001-anna at sea.txt").write_text(" a woman \n")
    photo = judged(tmp_path / "0001-anna at sea.png", detailed((600, 600)))
    assert (photo.caption, photo.name_words) == ("a woman", "anna at sea")
    (tmp_path / "0001-anna at sea.txt").write_bytes(b"\xff\xfe")
    assert "UTF-8" in texts(judged(tmp_path / "0001-anna at sea.png"))


@pytest.mark.parametrize("stem", ["IMG_1234", "DSC00012", "PXL_20240131_235959123", "20240131", "IMG-20240131-WA0007"])
def test_names_that_cameras_give_say_nothing(tmp_path, stem):
    assert judged(tmp_path / f"{stem}.png", detailed((64, 64))).name_words == ""


@pytest.mark.parametrize(("head", "framing"), [(0.6, Framing.CLOSE_UP), (0.22, Framing.HALF), (0.1, Framing.FULL)])
def test_framing_is_guessed_from_what_stands_out(tmp_path, head, framing):
    photo = judged(tmp_path / "person.png", figure(head))
    assert (photo.framing, photo.faces) == (framing, None)


@pytest.mark.parametrize(
    ("heights", "framing"),
    [((0.4,), Framing.CLOSE_UP), ((0.05, 0.15), Framing.HALF), ((0.05,), Framing.FULL), ((), Framing.FULL)],
)
def test_framing_follows_the_largest_face(tmp_path, heights, framing):
    photo = judged(tmp_path / "person.png", figure(0.1), Told(*heights))
    assert (photo.framing, photo.faces) == (framing, len(heights))
    assert ("move the crop" in texts(photo)) == (len(heights) > 1)


def test_near_duplicates_name_the_earlier_photo(tmp_path):
    picture = detailed((640, 640), field=80)
    first = judged(tmp_path / "first.png", picture)
    other = judged(tmp_path / "other.png", detailed((640, 640), seed=1, field=80))
    again = judged(tmp_path / "again.jpg", picture.resize((700, 700)))
    torn = replace(first, backdrop=b"")
    assert compared(other, [first]).duplicate_of is None
    found = compared(again, [torn, other, first])
    assert found.duplicate_of == tmp_path / "first.png"
    assert found.verdict is Verdict.LOOK
    assert "“first.png”" in texts(found)
    assert compared(torn, [first]) == torn


def test_photos_of_one_shade_are_alike_only_in_the_same_shade(tmp_path):
    white, black, again = (
        judged(tmp_path / f"{i}.png", Image.new("RGB", (600, 600), colour))
        for i, colour in enumerate(("white", "black", "white"))
    )
    assert compared(black, [white]).duplicate_of is None
    assert compared(again, [white]).duplicate_of == white.path


def test_the_crop_goes_where_the_detail_is(tmp_path):
    photo = Image.new("RGB", (1200, 600), (128, 128, 128))
    photo.paste(detailed((300, 300)), (850, 150))
    assert judged(tmp_path / "wide.png", photo).crop.x > 0.7
