"""F6: the largest photos are judged, cropped and written in less memory than any machine has on which a model runs."""

import json
import subprocess
import sys
from pathlib import Path

from modules.paths import PROGRAM

LIMIT = 1.5e9  # bytes; a photo of 100 megapixels takes 0.3 of them each time that it is there as a whole
WIDTH, HEIGHT = 12_500, 8_000
MAKE = """
import sys
from PIL import ExifTags, Image

turned = Image.Exif()
turned[ExifTags.Base.Orientation] = 6
Image.radial_gradient("L").resize((int(sys.argv[2]), int(sys.argv[3]))).convert("RGB").save(sys.argv[1], exif=turned)
"""
PREPARE = """
import json, resource, sys
from pathlib import Path
from modules.preprocess.copies import Copies
from modules.preprocess.run import Judged, Prepared, preprocess, survey
from modules.preprocess_params import PreprocessParams

source, to, models = map(Path, sys.argv[1:])
params = PreprocessParams(str(source), str(to), focal_crop=True, flip=True, keep_original_size=True)
events = [*survey(params, models, copies=Copies(models / "copies")), *preprocess(params, models)]
try:  # since this program began; what getrusage tells begins with the process that started it
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
except (OSError, IndexError):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
sizes = [event.photo.size for event in events if isinstance(event, Judged)]
pictures = [path.name for event in events if isinstance(event, Prepared) for path in event.pictures]
print(json.dumps([peak, sizes, pictures]))
"""


def python(program: str, *arguments: object) -> str:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    ended = subprocess.run(command, cwd=PROGRAM, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_photo_of_a_hundred_megapixels(tmp_path: Path) -> None:
    source, to = tmp_path / "photos", tmp_path / "prepared"
    source.mkdir()
    python(MAKE, source / "mountain.jpg", WIDTH, HEIGHT)
    peak, sizes, pictures = json.loads(python(PREPARE, source, to, tmp_path / "models"))
    assert sizes == [[HEIGHT, WIDTH]]  # it stands upright
    assert len(pictures) == 4  # the crop and the whole, and both as in a mirror
    assert WIDTH * HEIGHT * 3 < peak < LIMIT, "it was there as a whole, and never five times"
